"""What every namespace has: the `default` ServiceAccount, and the cluster's CA in a ConfigMap for its pods.

Without them no pod can be made there, so both are made the moment a namespace appears, and made again when deleted.
"""

import logging
from pathlib import Path
from typing import Any, ClassVar

from apimachinery import errors, kinds, meta
from apimachinery.kinds import Kind
from controllers import objects
from controllers.context import Context, QueueController

log = logging.getLogger(__name__)

JSON = dict[str, Any]
ACCOUNT = "default"
CONFIG_MAP = "kube-root-ca.crt"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


class PerNamespace(QueueController[str]):
    """Keeps one object of a fixed name in every namespace that isn't going away."""

    workers = 2
    kind: ClassVar[Kind]
    object_name: ClassVar[str]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._namespaces = context.informers.informer(kinds.NAMESPACE)
        self._present = context.informers.informer(self.kind, field_selector=f"metadata.name={self.object_name}")
        self._namespaces.add_handler(
            on_add=lambda obj: self._queue.add(meta.name(obj)), on_update=lambda _, new: self._queue.add(meta.name(new))
        )
        self._present.add_handler(
            on_update=lambda _, new: self._queue.add(meta.namespace(new)),
            on_delete=lambda obj: self._queue.add(meta.namespace(obj)),
        )

    def wanted(self, namespace: str) -> JSON:
        """The object as it is to be."""
        return {
            "apiVersion": self.kind.api_version,
            "kind": self.kind.kind,
            "metadata": {"name": self.object_name, "namespace": namespace},
        }

    async def _reconcile(self, name: str) -> None:
        namespace = self._namespaces.get(name)
        if namespace is None or meta.is_deleting(namespace):
            return
        wanted = self.wanted(name)
        present = self._present.get(f"{name}/{self.object_name}")
        try:
            if present is None:
                await self._client.create(self.kind, wanted)
            elif "data" in wanted and present.get("data") != wanted["data"]:
                await self._client.update(self.kind, {**present, "data": wanted["data"]})
        except errors.AlreadyExists:
            return
        except errors.Forbidden as error:
            if not objects.is_ending_namespace(error):
                raise


class ServiceAccountController(PerNamespace):
    """The `default` ServiceAccount."""

    name, kind, object_name = "serviceaccount", kinds.SERVICE_ACCOUNT, ACCOUNT


class RootCAPublisher(PerNamespace):
    """The cluster's CA as ConfigMap `kube-root-ca.crt`."""

    name, kind, object_name = "root-ca-cert-publisher", kinds.CONFIG_MAP, CONFIG_MAP

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        file = context.options.root_ca_file
        self._bundle = Path(file).read_text() if file else ""

    def wanted(self, namespace: str) -> JSON:
        """The ConfigMap with the bundle."""
        made = super().wanted(namespace)
        made["metadata"]["annotations"] = {"kubernetes.io/description": DESCRIPTION}
        return {**made, "data": {"ca.crt": self._bundle}}

    async def run(self) -> None:
        """Work until cancelled; without a CA there is nothing to publish."""
        if self._bundle:
            await super().run()
        else:
            log.info("no --root-ca-file: %s is not published", CONFIG_MAP)
