"""NamespaceLifecycle: nothing is created in a namespace that is absent or going, and some namespaces stay.

A no from the cache is asked again of etcd itself: the namespace may have been created through another server a
millisecond ago (STORAGE rule 9).
"""

from __future__ import annotations

from apimachinery import errors, kinds, meta
from apiserver.admission.chain import CREATE, DELETE, Attributes, Plugin
from apiserver.storage import Storage

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
_ACCESS_REVIEWS = frozenset({"localsubjectaccessreviews", "selfsubjectaccessreviews", "subjectaccessreviews"})


class NamespaceLifecycle(Plugin):
    """See the module. Which namespaces are active is kept from the storage's events.

    It refuses in the first phase, before other plugins look things up in the namespace.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._active: set[str] = set()
        storage.listen(kinds.NAMESPACE, self._on_namespace)

    def _on_namespace(self, event: str, key: str, obj: meta.JSON | None) -> None:
        name = key.rpartition("/")[2]
        if event == "DELETED" or obj is None or _terminating(obj):
            self._active.discard(name)
        else:
            self._active.add(name)

    def cares(self, resource: tuple[str, str], subresource: str, operation: str) -> bool:
        if resource == ("", "namespaces"):
            return operation == DELETE
        return operation == CREATE and resource[1] not in _ACCESS_REVIEWS

    async def admit(self, a: Attributes) -> None:
        """404 for an absent namespace, 403 for one that is being terminated."""
        if a.operation == DELETE:
            if a.name in IMMORTAL:
                raise errors.forbidden("", "namespaces", a.name, "this namespace may not be deleted")
            return
        if not a.namespace or a.namespace in self._active:
            return
        entry = await self._storage.get_live(kinds.NAMESPACE.registry_prefix + a.namespace)
        if entry is None:
            raise errors.not_found("", "namespaces", a.namespace)
        if _terminating(entry.parsed()):
            raise self._going(a)

    def _going(self, a: Attributes) -> errors.StatusError:
        name = a.name or (a.object.get("metadata") or {}).get("name") or ""
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {a.namespace} is being terminated",
            "field": "metadata.namespace",
        }
        error = errors.forbidden(
            a.kind.group,
            a.kind.plural,
            name,
            f"unable to create new content in namespace {a.namespace} because it is being terminated",
        )
        error.status.setdefault("details", {})["causes"] = [cause]
        return error


def _terminating(namespace: meta.JSON) -> bool:
    return meta.is_deleting(namespace) or (namespace.get("status") or {}).get("phase") == "Terminating"
