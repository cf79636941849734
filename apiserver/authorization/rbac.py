"""Role-based access control: roles and bindings, indexed by subject, with remembered decisions.

Fed by the storage's in-process events. A request asks for its user's decisions (one dict look-up) and there for
(verb, group, resource, subresource, namespace) (another): the name of the object is left out of the key, since rules
that name objects are rare, and a key per object would make the memory as large as the cluster. What is remembered for
a key is either one decision for every name, or a decision for each name that some rule lists. Any change of a role or
binding forgets everything: policies change seldom, and a stale allowance must not live.

Aggregation (a ClusterRole that is the sum of others, by label) is worked out here, when a role's rules are read, so
that it holds from the first moment, whether or not a controller has written the sum into the object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from apimachinery import labels as label_selectors
from apimachinery import meta
from apimachinery.meta import JSON
from apiserver.authorization.decision import NO_OPINION, Decision
from apiserver.authorization.rules import Rule, compile_rules
from apiserver.request import RequestInfo, User

GROUP = "rbac.authorization.k8s.io"
_USERS_REMEMBERED = 2048
_DECISIONS_REMEMBERED = 8192  # of one user


@dataclass(frozen=True, slots=True)
class _Role:
    """A Role or a ClusterRole; `selectors` choose the ClusterRoles that one sums up."""

    rules: tuple[Rule, ...]
    raw: tuple[JSON, ...]
    labels: dict[str, str]
    selectors: tuple[label_selectors.Selector, ...]


@dataclass(frozen=True, slots=True)
class _Binding:
    """One subject's share of a binding."""

    kind: str  # ClusterRoleBinding or RoleBinding
    key: str  # name, or namespace/name
    role_kind: str
    role: str
    subject: str  # as the reason prints it: `Group "system:masters"`

    def reason(self) -> str:
        return f'RBAC: allowed by {self.kind} "{self.key}" of {self.role_kind} "{self.role}" to {self.subject}'


@dataclass(slots=True)
class _Grant:
    """The decision for every name, or those for single names."""

    every: Decision | None = None
    named: dict[str, Decision] = field(default_factory=dict)
    otherwise: Decision = NO_OPINION


_Index = dict[str, dict[str, list[_Binding]]]  # subject -> binding key -> what it binds


class RBAC:
    """Decides by roles and bindings. Handlers `on_*` fit `Storage.listen`."""

    def __init__(self) -> None:
        self._cluster_roles: dict[str, _Role] = {}
        self._roles: dict[str, _Role] = {}
        self._cluster: _Index = {}
        self._namespaced: dict[str, _Index] = {}
        self._subjects: dict[str, list[str]] = {}  # binding kind and key -> subjects it is indexed under
        self._remembered: dict[tuple[str, tuple[str, ...]], dict[tuple[str, ...], _Grant]] = {}

    # -- events -------------------------------------------------------------------------------------------------

    def on_cluster_role(self, event: str, key: str, obj: JSON | None) -> None:
        """A ClusterRole came, changed or went."""
        self._keep(self._cluster_roles, event, key.rpartition("/")[2], obj)

    def on_role(self, event: str, key: str, obj: JSON | None) -> None:
        """A Role came, changed or went."""
        self._keep(self._roles, event, _namespaced_name(key), obj)

    def _keep(self, roles: dict[str, _Role], event: str, name: str, obj: JSON | None) -> None:
        self._remembered.clear()
        if event == "DELETED" or obj is None:
            roles.pop(name, None)
        else:
            rules = obj.get("rules") or ()
            roles[name] = _Role(compile_rules(rules), tuple(rules), meta.labels(obj), tuple(_selectors(obj)))

    def on_cluster_role_binding(self, event: str, key: str, obj: JSON | None) -> None:
        """A ClusterRoleBinding came, changed or went."""
        binding = None if event == "DELETED" else obj
        self._rebind(self._cluster, "ClusterRoleBinding", key.rpartition("/")[2], "", binding)

    def on_role_binding(self, event: str, key: str, obj: JSON | None) -> None:
        """A RoleBinding came, changed or went."""
        name = _namespaced_name(key)
        namespace = name.partition("/")[0]
        index = self._namespaced.setdefault(namespace, {})
        self._rebind(index, "RoleBinding", name, namespace, None if event == "DELETED" else obj)
        if not index:
            del self._namespaced[namespace]

    def _rebind(self, index: _Index, kind: str, key: str, namespace: str, obj: JSON | None) -> None:
        self._remembered.clear()
        mark = f"{kind} {key}"
        for subject in self._subjects.pop(mark, ()):
            index[subject].pop(key, None)
            if not index[subject]:
                del index[subject]
        if obj is None:
            return
        reference = obj.get("roleRef") or {}
        subjects = []
        for subject in obj.get("subjects") or ():
            found = _subject(subject, namespace)
            if found is None:
                continue
            who, printed = found
            bound = index.setdefault(who, {}).setdefault(key, [])
            bound.append(_Binding(kind, key, reference.get("kind", ""), reference.get("name", ""), printed))
            if who not in subjects:
                subjects.append(who)
        self._subjects[mark] = subjects

    # -- questions ----------------------------------------------------------------------------------------------

    def authorize(self, user: User, info: RequestInfo) -> Decision:
        """Remembered, or worked out from the bindings of the user and its groups."""
        who = (user.name, user.groups)
        decisions = self._remembered.get(who)
        if decisions is None:
            if len(self._remembered) >= _USERS_REMEMBERED:
                self._remembered.clear()
            decisions = self._remembered[who] = {}
        if info.is_resource:
            key: tuple[str, ...] = (info.verb, info.group, info.resource, info.subresource, info.namespace)
        else:
            key = (info.verb, info.path)
        grant = decisions.get(key)
        if grant is None:
            if len(decisions) >= _DECISIONS_REMEMBERED:
                decisions.clear()
            grant = decisions[key] = self._grant(user, info)
        if grant.every is not None:
            return grant.every
        return grant.named.get(info.name, grant.otherwise)

    def _grant(self, user: User, info: RequestInfo) -> _Grant:
        grant = _Grant()
        missing: list[str] = []
        for binding in self._bindings(user, info.namespace if info.is_resource else ""):
            rules = self._rules(binding, missing)
            for rule in rules:
                if not info.is_resource:
                    if rule.matches_path(info.verb, info.path):
                        grant.every = Decision(True, binding.reason())
                        return grant
                elif rule.matches(info.verb, info.group, info.resource, info.subresource):
                    decision = Decision(True, binding.reason())
                    if not rule.names:
                        grant.every = decision
                        return grant
                    for name in rule.names:
                        grant.named.setdefault(name, decision)
        if missing:
            grant.otherwise = Decision(False, "RBAC: " + ", ".join(missing))
        return grant

    def _bindings(self, user: User, namespace: str) -> Iterator[_Binding]:
        subjects = (f"u:{user.name}", *(f"g:{group}" for group in user.groups))
        indexes = [self._cluster]
        if namespace and (index := self._namespaced.get(namespace)) is not None:
            indexes.append(index)
        for index in indexes:
            for subject in subjects:
                for bound in index.get(subject, {}).values():
                    yield from bound

    def _rules(self, binding: _Binding, missing: list[str]) -> tuple[Rule, ...]:
        namespace = binding.key.partition("/")[0] if binding.kind == "RoleBinding" else ""
        rules = self.role_rules(binding.role_kind, binding.role, namespace)
        if rules is None:
            missing.append(f'{binding.role_kind.lower()}.{GROUP} "{binding.role}" not found')
            return ()
        return rules

    def role_rules(self, kind: str, name: str, namespace: str) -> tuple[Rule, ...] | None:
        """The rules of a role, aggregation included; None if there is no such role."""
        parts = self._parts(kind, name, namespace)
        return tuple(rule for part in parts for rule in part.rules) if parts else None

    def _parts(self, kind: str, name: str, namespace: str) -> list[_Role]:
        """The role and those that it sums up; [] if there is no such role."""
        role = self._roles.get(f"{namespace}/{name}") if kind == "Role" else self._cluster_roles.get(name)
        if role is None:
            return []
        return [role] if kind == "Role" else [role, *self._aggregated(name, {name})]

    def _aggregated(self, name: str, seen: set[str]) -> Iterator[_Role]:
        """The roles that an aggregating role sums up, through roles that aggregate in turn (edit is part of admin)."""
        for selector in self._cluster_roles[name].selectors:
            for other, role in self._cluster_roles.items():
                if other not in seen and selector.matches(role.labels):
                    seen.add(other)
                    yield role
                    yield from self._aggregated(other, seen)

    def aggregated_rules(self, obj: JSON) -> tuple[Rule, ...]:
        """What a ClusterRole about to be written would sum up, from its aggregationRule."""
        found: list[Rule] = []
        for selector in _selectors(obj):
            for role in self._cluster_roles.values():
                if selector.matches(role.labels):
                    found += role.rules
        return tuple(found)

    def held(self, user: User, namespace: str) -> tuple[Rule, ...]:
        """Every rule a user holds in a namespace, cluster-wide ones included."""
        missing: list[str] = []
        return tuple(rule for binding in self._bindings(user, namespace) for rule in self._rules(binding, missing))

    def rules_for(self, user: User, namespace: str) -> tuple[list[JSON], str]:
        """(PolicyRules a user holds in a namespace as they were written, what could not be resolved)."""
        found: list[JSON] = []
        missing: list[str] = []
        for binding in self._bindings(user, namespace):
            if self._rules(binding, missing):
                for part in self._parts(binding.role_kind, binding.role, binding.key.partition("/")[0]):
                    found += [rule for rule in part.raw if rule not in found]
        return found, ", ".join(missing)


def _selectors(role: JSON) -> Iterator[label_selectors.Selector]:
    for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
        yield label_selectors.from_label_selector(selector)


def _namespaced_name(key: str) -> str:
    """`namespace/name` from a storage key."""
    namespace, name = key.split("/")[-2:]
    return f"{namespace}/{name}"


def _subject(subject: JSON, namespace: str) -> tuple[str, str] | None:
    """(what it is indexed by, how a reason prints it); None for a kind that is not known."""
    kind, name = subject.get("kind", ""), subject.get("name", "")
    if kind == "User":
        return f"u:{name}", f'User "{name}"'
    if kind == "Group":
        return f"g:{name}", f'Group "{name}"'
    if kind == "ServiceAccount":
        where = subject.get("namespace") or namespace
        if where:
            return f"u:system:serviceaccount:{where}:{name}", f'ServiceAccount "{name}/{where}"'
    return None
