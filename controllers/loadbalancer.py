"""Services of type LoadBalancer: an address from a pool, announced by one node.

There is no cloud here. An address is a free one of `--load-balancer-pool`; the node that answers for it on its link is
chosen here too, and stands in the Service's status beside the address (condition `Announced`, the node's name as its
message), so that one place decides and everyone can look it up. The proxy of that node takes the address
(`proxy/announcing.py`), and its rules lead to the pods as for any external address. A node that is no longer fit loses
the address to another; one that is fit keeps it.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from apimachinery import kinds, meta
from apimachinery.addresspool import Pool
from controllers import nodehealth, objects
from controllers.context import Context, QueueController, enqueue_all, on_change
from controllers.slices import SERVICE_NAME

JSON = dict[str, Any]
ANNOUNCED = "Announced"
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
COMPONENT = "service-controller"
RETRY_SECONDS = 30.0  # until an address may have become free


def is_ours(service: JSON) -> bool:
    """Whether the Service asks for an address, and no other implementation by `loadBalancerClass`."""
    spec = service["spec"]
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass") and not meta.is_deleting(service)


def addresses(service: JSON) -> list[str]:
    """The addresses in the Service's status."""
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [entry["ip"] for entry in ingress if entry.get("ip")]


def address_for(service: JSON, pool: Pool, taken: Collection[str]) -> str:
    """The address a Service keeps or gets. Raises ValueError with the reason why there is none."""
    asked = service["spec"].get("loadBalancerIP")
    if asked:
        if asked not in pool:
            raise ValueError(f"spec.loadBalancerIP {asked} is not in the pool {pool.text}")
        if asked in taken:
            raise ValueError(f"spec.loadBalancerIP {asked} belongs to another Service")
        return str(asked)
    for address in addresses(service):
        if address in pool and address not in taken:
            return address
    if found := pool.free(taken):
        return found
    raise ValueError(f"no address is left in the pool {pool.text}")


def announcer(service: JSON, nodes: Iterable[JSON], slices: Sequence[JSON]) -> str | None:
    """The node to answer for the Service's address: the present one while it is fit, else one by rendezvous hash.

    Fit is a ready node that is not excluded by label; with `externalTrafficPolicy: Local` it needs a ready endpoint.
    """
    fit = {meta.name(node) for node in nodes if nodehealth.ready(node) == "True" and EXCLUDED not in meta.labels(node)}
    if service["spec"].get("externalTrafficPolicy") == "Local":
        fit &= {
            endpoint.get("nodeName")
            for each in slices
            for endpoint in each.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready") is not False
        }
    present = meta.condition(service, ANNOUNCED)
    if present and present["status"] == "True" and present["message"] in fit:
        return str(present["message"])
    return max(fit, key=lambda node: hashlib.sha256(f"{meta.uid(service)}/{node}".encode()).digest(), default=None)


def status(service: JSON, address: str | None, node: str | None, *, now: str) -> JSON:
    """The Service's status with its address and the node that announces it; other conditions stay."""
    old = service.get("status") or {}
    conditions = [dict(each) for each in old.get("conditions") or () if address or each["type"] != ANNOUNCED]
    if address:
        meta.set_condition(
            conditions,
            type=ANNOUNCED,
            status="True" if node else "False",
            reason="NodeAssigned" if node else "NoNode",
            message=node or "no ready node can announce the address",
            now=now,
        )
    made: JSON = {**old, "loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]} if address else {}}
    made.pop("conditions", None)
    return {**made, "conditions": conditions} if conditions else made


class LoadBalancerController(QueueController[str]):
    """Addresses for Services; without a pool it leaves them pending, as a cluster without a cloud does.

    One worker, so that no address is given twice.
    """

    name = "service_lb"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._pool = Pool(context.options.load_balancer_pool)
        self._given: dict[str, str] = {}  # Service → the address written last: the cache may not show it yet
        self._services = context.informers.informer(kinds.SERVICE)
        self._nodes = context.informers.informer(kinds.NODE)
        self._slices = context.informers.informer(kinds.ENDPOINT_SLICE)
        self._slices.add_index("announced", _service_of)
        if not self._pool:
            return
        enqueue_all(self._services, self._queue)
        self._nodes.add_handler(on_add=self._every, on_update=self._node_updated, on_delete=self._every)
        on_change(self._slices, self._slice)

    def _every(self, _: JSON) -> None:
        for service in self._services.list():
            if is_ours(service):
                self._queue.add(meta.key(service))

    def _node_updated(self, old: JSON, new: JSON) -> None:
        if nodehealth.ready(old) != nodehealth.ready(new) or meta.labels(old) != meta.labels(new):
            self._every(new)

    def _slice(self, obj: JSON) -> None:
        for key in _service_of(obj):
            service = self._services.get(key)
            if service and is_ours(service) and service["spec"].get("externalTrafficPolicy") == "Local":
                self._queue.add(key)

    async def _reconcile(self, key: str) -> float | None:
        service = self._services.get(key)
        if service is None or not is_ours(service):
            self._given.pop(key, None)
            # `loadBalancerClass` means another implementation, whose status is not ours to clear
            if service and service["spec"].get("type") != "LoadBalancer" and meta.condition(service, ANNOUNCED):
                await self._write(service, status(service, None, None, now=self._now()))
            return None
        try:
            address = address_for(service, self._pool, self._taken(key))
        except ValueError as problem:
            self._event(service, "Warning", "SyncLoadBalancerFailed", f"Error syncing load balancer: {problem}")
            return RETRY_SECONDS
        node = announcer(service, self._nodes.list(), self._slices.by_index("announced", key))
        self._given[key] = address
        await self._write(service, status(service, address, node, now=self._now()))
        if address not in addresses(service):
            self._event(service, "Normal", "EnsuredLoadBalancer", f"Ensured load balancer: address {address}")
        before = meta.condition(service, ANNOUNCED) or {}
        if node and node != before.get("message"):
            self._event(service, "Normal", "nodeAssigned", f'announcing {address} from node "{node}"')
        return None

    def _taken(self, key: str) -> set[str]:
        """The addresses of the other Services; of two with the same, the older keeps it."""
        mine = self._services.get(key)
        taken = {address for other, address in self._given.items() if other != key}
        for other in self._services.list():
            if mine is None or meta.key(other) == key or meta.key(other) in self._given or not is_ours(other):
                continue
            shared = set(addresses(other)) & set(addresses(mine))
            if not shared or objects.creation_order(other) < objects.creation_order(mine):
                taken.update(addresses(other))
        return taken

    async def _write(self, service: JSON, made: JSON) -> None:
        if made != service.get("status"):
            await self._context.client.update(kinds.SERVICE, {**service, "status": made}, subresource="status")

    def _event(self, service: JSON, type_: str, reason: str, message: str) -> None:
        self._context.events.named(COMPONENT).event(service, type_, reason, message)

    def _now(self) -> str:
        return meta.format_time(self._context.clock())


def _service_of(endpoint_slice: JSON) -> list[str]:
    name = meta.labels(endpoint_slice).get(SERVICE_NAME)
    return [f"{meta.namespace(endpoint_slice)}/{name}"] if name else []
