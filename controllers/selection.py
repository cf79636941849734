"""Which Services a pod belongs to, for the two controllers that list a Service's endpoints."""

from collections.abc import Callable
from typing import Any

from apimachinery import kinds, labels, meta
from controllers.context import Context
from kubeclient.informer import Informer

JSON = dict[str, Any]


class ServicePods:
    """The Services' pods; calls `changed` with the key of each Service whose endpoints a change may affect."""

    def __init__(self, context: Context, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self.services: Informer = context.informers.informer(kinds.SERVICE)
        self.pods: Informer = context.informers.informer(kinds.POD)
        self.services.add_index("selector", _selector_entry)
        self.services.add_handler(
            on_add=self._service, on_update=lambda _, new: self._service(new), on_delete=self._service
        )
        self.pods.add_handler(on_add=self._pod, on_update=self._pod_updated, on_delete=self._pod)

    def of(self, service: JSON) -> list[JSON]:
        """The pods that a Service selects."""
        selector = labels.from_labels(service["spec"].get("selector") or {})
        return self.pods.list(meta.namespace(service), selector)

    def _service(self, service: JSON) -> None:
        self._changed(meta.key(service))

    def _pod(self, pod: JSON) -> None:
        own, namespace = meta.labels(pod).items(), meta.namespace(pod)
        for name, value in own:
            for service in self.services.by_index("selector", f"{namespace}/{name}={value}"):
                if service["spec"]["selector"].items() <= own:
                    self._changed(meta.key(service))

    def _pod_updated(self, old: JSON, new: JSON) -> None:
        relabelled = meta.labels(old) != meta.labels(new)
        if relabelled:
            self._pod(old)
        if relabelled or _facts(old) != _facts(new):
            self._pod(new)


def _selector_entry(service: JSON) -> list[str]:
    """Index entry: the first label that a pod must have to be selected (any pod selected has it)."""
    selector = service["spec"].get("selector") or {}
    return [f"{meta.namespace(service)}/{name}={selector[name]}" for name in sorted(selector)[:1]]


def _facts(pod: JSON) -> tuple[Any, ...]:
    """All of a pod that endpoints are made of, besides its labels."""
    status, spec = pod.get("status") or {}, pod["spec"]
    ready = meta.condition(pod, "Ready") or {}
    return (
        status.get("podIP"),
        status.get("podIPs"),
        status.get("phase"),
        ready.get("status"),
        spec.get("nodeName"),
        meta.is_deleting(pod),
    )
