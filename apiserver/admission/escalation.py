"""Nobody grants what they don't hold: the check on writes of roles and bindings, and on ownership that blocks deletion.

Who writes a role must hold every permission in it, or the verb `escalate` on it; who writes a binding must hold every
permission of the role, or `bind` on it. https://kubernetes.io/docs/reference/access-authn-authz/rbac/ has the rules.
"""

from __future__ import annotations

from apimachinery import errors, kinds, meta
from apimachinery.meta import JSON
from apiserver.admission.chain import CREATE, UPDATE, Attributes, Plugin, refused
from apiserver.authorization import Authorizer
from apiserver.authorization.authorizer import SUPERUSERS
from apiserver.authorization.decision import go_quote
from apiserver.authorization.rules import Rule, compile_rules, uncovered

GROUP = "rbac.authorization.k8s.io"
_ROLES = frozenset({"roles", "clusterroles"})
_BINDINGS = frozenset({"rolebindings", "clusterrolebindings"})


class PrivilegeEscalation(Plugin):
    """Part of upstream's RBAC storage rather than of its admission: it can't be switched off there, nor here."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def cares(self, resource: tuple[str, str], subresource: str, operation: str) -> bool:
        return resource[0] == GROUP and operation in (CREATE, UPDATE)

    async def validate(self, a: Attributes) -> None:
        """Compare what is granted with what the user holds."""
        if SUPERUSERS in a.user.groups or _same(a):
            return
        name = meta.name(a.object)
        if a.kind.plural in _ROLES:
            granted = self._role(a)
            if self._allows(a, "escalate", a.kind.plural, name):
                return
        else:
            reference = a.object.get("roleRef") or {}
            plural = f"{reference.get('kind', '')}s".lower()
            role = reference.get("name", "")
            if self._allows(a, "bind", plural, role):
                return
            rules = self._authorizer.rbac.role_rules(reference.get("kind", ""), role, a.namespace)
            if rules is None:
                raise errors.not_found(GROUP, plural, role)
            granted = rules
        self._compare(a, granted)

    def _role(self, a: Attributes) -> tuple[Rule, ...]:
        granted = compile_rules(a.object.get("rules"))
        if a.object.get("aggregationRule"):
            granted += self._authorizer.rbac.aggregated_rules(a.object)
        return granted

    def _allows(self, a: Attributes, verb: str, plural: str, name: str) -> bool:
        return self._authorizer.allows(a.user, verb, GROUP, plural, name=name, namespace=a.namespace)

    def _compare(self, a: Attributes, granted: tuple[Rule, ...]) -> None:
        missing = uncovered(self._authorizer.rbac.held(a.user, a.namespace), granted)
        if missing:
            groups = " ".join(go_quote(group) for group in a.user.groups)
            lines = "\n".join(missing)
            raise refused(
                a,
                f"user {go_quote(a.user.name)} (groups=[{groups}]) is attempting to grant RBAC "
                f"permissions not currently held:\n{lines}",
            )


def _same(a: Attributes) -> bool:
    """An update that grants nothing new."""
    if a.old is None:
        return False
    fields = ("rules", "aggregationRule") if a.kind.plural in _ROLES else ("subjects", "roleRef")
    return all((a.object.get(field) or None) == (a.old.get(field) or None) for field in fields)


class OwnerReferencesPermissionEnforcement(Plugin):
    """Who makes an owner wait for a dependent (blockOwnerDeletion) must be allowed to set the owner's finalizers."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def cares(self, resource: tuple[str, str], subresource: str, operation: str) -> bool:
        return not subresource and operation in (CREATE, UPDATE)

    async def validate(self, a: Attributes) -> None:
        """Ask for `update` on `<owners>/finalizers` of each owner that newly blocks."""
        old = {owner.get("uid") for owner in _blocking(a.old)}
        for owner in _blocking(a.obj):
            if owner.get("uid") in old:
                continue
            group = owner.get("apiVersion", "").rpartition("/")[0]
            plural = _plural(group, owner.get("kind", ""))
            if not self._authorizer.allows(
                a.user,
                "update",
                group,
                plural,
                name=owner.get("name", ""),
                namespace=a.namespace,
                subresource="finalizers",
            ):
                raise refused(
                    a,
                    "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't "
                    "set finalizers on: ",
                )


def _blocking(obj: JSON | None) -> list[JSON]:
    owners = meta.metadata(obj or {}).get("ownerReferences") or ()
    return [owner for owner in owners if owner.get("blockOwnerDeletion")]


def _plural(group: str, kind: str) -> str:
    try:
        return kinds.named(kind, group).plural
    except KeyError:
        return kind.lower() + "s"
