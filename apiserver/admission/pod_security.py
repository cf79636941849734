"""PodSecurity: a namespace's labels say which of the Pod Security Standards its pods must meet.

`pod-security.kubernetes.io/enforce` refuses pods; `warn` answers with a Warning, for pods and for what makes pods
(Deployments, Jobs, …), which are never refused; `audit` has no effect here, there being no audit log. Without labels
everything is allowed, as upstream has it by default.
"""

from __future__ import annotations

from apimachinery import kinds, meta
from apimachinery.meta import JSON
from apiserver.admission.chain import CREATE, UPDATE, Attributes, Plugin, refused
from apiserver.admission.pod_security_checks import LEVELS, violations
from apiserver.storage import Storage

_LABEL = "pod-security.kubernetes.io/"
_MODES = ("enforce", "warn")
# where a pod's spec is in what makes pods
_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "podtemplates"): ("template", "spec"),
    ("", "replicationcontrollers"): ("spec", "template", "spec"),
    ("apps", "daemonsets"): ("spec", "template", "spec"),
    ("apps", "deployments"): ("spec", "template", "spec"),
    ("apps", "replicasets"): ("spec", "template", "spec"),
    ("apps", "statefulsets"): ("spec", "template", "spec"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template", "spec"),
    ("batch", "jobs"): ("spec", "template", "spec"),
}


class PodSecurity(Plugin):
    """See the module. Only namespaces with labels are kept."""

    watched = {
        ("", "pods", ""): (CREATE, UPDATE),
        ("", "pods", "ephemeralcontainers"): (CREATE, UPDATE),
        **{(*resource, ""): (CREATE, UPDATE) for resource in _TEMPLATES},
    }

    def __init__(self, storage: Storage) -> None:
        self._policies: dict[str, dict[str, tuple[str, str]]] = {}  # namespace -> mode -> (level, version)
        storage.listen(kinds.NAMESPACE, self._on_namespace)

    def _on_namespace(self, event: str, key: str, obj: JSON | None) -> None:
        name = key.rpartition("/")[2]
        labels = meta.labels(obj) if obj is not None and event != "DELETED" else {}
        policy = {}
        for mode in _MODES:
            level = labels.get(_LABEL + mode)
            if level is not None:  # one that is not known counts as the strictest
                policy[mode] = (
                    level if level in LEVELS else "restricted",
                    labels.get(f"{_LABEL}{mode}-version", "latest"),
                )
        if policy:
            self._policies[name] = policy
        else:
            self._policies.pop(name, None)

    async def validate(self, a: Attributes) -> None:
        """Refuse, or warn."""
        policy = self._policies.get(a.namespace)
        if policy is None:
            return
        is_pod = a.resource == ("", "pods")
        spec = _at(a.obj, ("spec",) if is_pod else _TEMPLATES[a.resource])
        if not spec or (a.old is not None and is_pod and not _changed(a)):
            return
        if is_pod and (told := _told(policy.get("enforce"), spec)):
            raise refused(a, f"violates {told}")
        if told := _told(policy.get("warn"), spec):
            a.warnings.append(f"would violate {told}")


def _changed(a: Attributes) -> bool:
    """Whether an update touches what the standards look at; labels and finalizers of a pod stay writable."""
    return (a.old or {}).get("spec") != a.object.get("spec")


def _at(obj: JSON | None, path: tuple[str, ...]) -> JSON:
    for field in path:
        obj = (obj or {}).get(field)
    return obj or {}


def _told(policy: tuple[str, str] | None, spec: JSON) -> str:
    if policy is None:
        return ""
    level, version = policy
    found = violations(level, spec)
    if not found:
        return ""
    return f'PodSecurity "{level}:{version}": ' + ", ".join(f"{what} ({where})" for what, where in found)
