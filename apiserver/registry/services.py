"""Services: defaults, rules, and the addresses and node ports that are allocated with them.

Each allocation is a key of its own that must be absent, written in the Service's transaction (STORAGE rule 10): no
bitmap that all creators fight for, and no repair of leaks. A free value is guessed at random; a lost race is told by
the transaction and guessed again.
"""

from __future__ import annotations

import ipaddress
import random
import uuid
from collections.abc import Iterator, Sequence

from apimachinery import errors, field, names
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.options import Options
from apiserver.registry import servicerules
from apiserver.registry.servicerules import WITH_NODE_PORTS
from apiserver.registry.strategy import Context, Strategy
from apiserver.storage import ExtraOp
from componentbase import defaults

ADDRESSES = "/registry/networking.k8s.io/ipaddresses/"
NODE_PORTS = "/allocations/nodeports/"
_LOWER_BAND = 256  # the first addresses are left to those that ask for one by number (KEP-3070)


class ServiceStrategy(Strategy):
    """v1 Service."""

    allocates = True

    def configure(self, options: Options) -> None:
        """Takes the ranges from the server's flags."""
        self.network = ipaddress.ip_network(options.service_cluster_ip_range.split(",")[0])
        self.ports = options.node_ports

    network: ipaddress.IPv4Network | ipaddress.IPv6Network = ipaddress.ip_network(defaults.SERVICE_CIDR)
    ports = defaults.NODE_PORT_RANGE
    rng = random.SystemRandom()

    def default(self, obj: JSON) -> None:
        spec = obj.setdefault("spec", {})
        if not spec.get("sessionAffinity"):
            spec["sessionAffinity"] = "None"
        if spec["sessionAffinity"] == "None":
            spec.pop("sessionAffinityConfig", None)
        else:
            config = spec.setdefault("sessionAffinityConfig", {})
            config.setdefault("clientIP", {}).setdefault("timeoutSeconds", 10800)
        if not spec.get("type"):
            spec["type"] = "ClusterIP"
        if not spec.get("ports"):
            spec.pop("ports", None)
        for port in spec.get("ports") or ():
            if not port.get("protocol"):
                port["protocol"] = "TCP"
            if port.get("targetPort") in (None, "", 0) and "port" in port:
                port["targetPort"] = port["port"]
        external = spec["type"] in WITH_NODE_PORTS or (spec["type"] == "ClusterIP" and spec.get("externalIPs"))
        if external and not spec.get("externalTrafficPolicy"):
            spec["externalTrafficPolicy"] = "Cluster"
        if spec["type"] != "ExternalName" and not spec.get("internalTrafficPolicy"):
            spec["internalTrafficPolicy"] = "Cluster"
        if spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is None:
            spec["allocateLoadBalancerNodePorts"] = True

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        obj["status"] = {"loadBalancer": {}}
        self._settle_families(obj["spec"])

    def prepare_update(self, obj: JSON, old: JSON, ctx: Context) -> None:
        super().prepare_update(obj, old, ctx)
        spec, before = dict(obj["spec"]), old["spec"]
        if spec.get("clusterIP") != before.get("clusterIP") and spec.get("clusterIPs") == before.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]] if spec.get("clusterIP") else []
        if spec["type"] != "ExternalName" and before.get("type") != "ExternalName":
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if not spec.get(name) and before.get(name):
                    spec[name] = before[name]
        elif spec["type"] == "ExternalName":
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
                spec.pop(name, None)
        spec["ports"] = _with_node_ports_of(spec, before)
        if not spec["ports"]:
            del spec["ports"]
        if spec["type"] not in WITH_NODE_PORTS:
            if not spec.get("externalIPs"):
                spec.pop("externalTrafficPolicy", None)
            for name in ("healthCheckNodePort", "allocateLoadBalancerNodePorts"):
                spec.pop(name, None)
        obj["spec"] = spec
        self._settle_families(spec)

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        return servicerules.faults(obj["spec"])

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        yield from self.validate(obj)
        now, before = obj["spec"].get("clusterIP"), old["spec"].get("clusterIP")
        if before and now != before and "ExternalName" not in (obj["spec"]["type"], old["spec"].get("type")):
            yield field.invalid("spec.clusterIPs[0]", [now], "may not change once set")

    def check_name(self, name: str) -> list[str]:
        return names.dns1035_label(name)

    async def allocate(self, obj: JSON, old: JSON | None, ctx: Context) -> Sequence[ExtraOp]:
        before = allocations(old["spec"]) if old else set()
        spec = obj["spec"]
        if spec["type"] != "ExternalName" and not spec.get("clusterIP"):
            spec["clusterIP"] = self._free_address()
        if spec.get("clusterIP"):
            self._check_address(obj, before)
            spec["clusterIPs"] = [spec["clusterIP"]]
        if spec["type"] == "NodePort" or (spec["type"] == "LoadBalancer" and spec["allocateLoadBalancerNodePorts"]):
            taken: dict[str, int] = {}
            for port in spec.get("ports") or ():
                if not port.get("nodePort"):
                    port["nodePort"] = taken.get(f"{port['port']}") or self.rng.randint(*self.ports)
                taken[f"{port['port']}"] = port["nodePort"]
        self._check_node_ports(obj, before)
        wanted = allocations(spec)
        made = [self._claim(key, obj, ctx) for key in sorted(wanted - before)]
        return made + [ExtraOp(key) for key in sorted(before - wanted)]

    def release(self, obj: JSON) -> Sequence[ExtraOp]:
        return [ExtraOp(key) for key in sorted(allocations(obj["spec"]))]

    def clash(self, asked: JSON, key: str) -> FieldError | None:
        """What the client asked for that another Service has; None for what the server only guessed."""
        if key.startswith(ADDRESSES):
            address = key.removeprefix(ADDRESSES)
            if asked["spec"].get("clusterIP") == address:
                text = f"failed to allocate IP {address}: provided IP is already allocated"
                return field.invalid("spec.clusterIPs", [address], text)
            return None
        number = int(key.rpartition("/")[2])
        for i, port in enumerate(asked["spec"].get("ports") or ()):
            if port.get("nodePort") == number:
                return field.invalid(f"spec.ports[{i}].nodePort", number, "provided port is already allocated")
        return None

    def _check_node_ports(self, obj: JSON, before: set[str]) -> None:
        low, high = self.ports
        for i, port in enumerate(obj["spec"].get("ports") or ()):
            number = port.get("nodePort")
            if number and not low <= number <= high and f"{NODE_PORTS}{number}" not in before:
                text = f"provided port is not in the valid range. The range of valid ports is {low}-{high}"
                fault = field.invalid(f"spec.ports[{i}].nodePort", number, text)
                raise errors.invalid("", "Service", obj["metadata"]["name"], [fault])

    def _check_address(self, obj: JSON, before: set[str]) -> None:
        address = obj["spec"]["clusterIP"]
        if address == "None" or ADDRESSES + address in before or ipaddress.ip_address(address) in self.network:
            return
        text = (
            f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. "
            f"The range of valid IPs is {self.network}"
        )
        fault = field.invalid("spec.clusterIPs", [address], text)
        raise errors.invalid("", "Service", obj["metadata"]["name"], [fault])

    def _free_address(self) -> str:
        low = min(_LOWER_BAND, self.network.num_addresses // 4)
        return str(self.network[self.rng.randint(max(low, 2), self.network.num_addresses - 2)])

    @staticmethod
    def _claim(key: str, obj: JSON, ctx: Context) -> ExtraOp:
        if not key.startswith(ADDRESSES):
            owner = f"{obj['metadata'].get('namespace')}/{obj['metadata']['name']}"
            return ExtraOp(key, owner.encode(), must_be_absent=True)
        metadata = obj["metadata"]
        claimed = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": {
                "name": key.removeprefix(ADDRESSES),
                "uid": str(uuid.uuid4()),
                "creationTimestamp": ctx.now,
                "labels": {
                    "ipaddress.kubernetes.io/ip-family": "IPv4",
                    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
                },
            },
            "spec": {
                "parentRef": {
                    "group": "", "resource": "services", "namespace": metadata.get("namespace"),
                    "name": metadata["name"],
                }
            },
        }  # fmt: skip
        return ExtraOp.of(key, claimed, must_be_absent=True)

    @staticmethod
    def _settle_families(spec: JSON) -> None:
        if spec["type"] != "ExternalName":
            if not spec.get("ipFamilies"):
                spec["ipFamilies"] = ["IPv4"]
            if not spec.get("ipFamilyPolicy"):
                spec["ipFamilyPolicy"] = "SingleStack"


def allocations(spec: JSON) -> set[str]:
    """The keys that belong to a Service with this spec."""
    keys = {f"{NODE_PORTS}{port['nodePort']}" for port in spec.get("ports") or () if port.get("nodePort")}
    if spec.get("clusterIP") and spec["clusterIP"] != "None":
        keys.add(ADDRESSES + spec["clusterIP"])
    return keys


def _with_node_ports_of(spec: JSON, before: JSON) -> list[JSON]:
    """The ports of an update: one that leaves the node port out keeps the one it had; without the type they go."""
    known = {(port.get("name"), port["port"], port.get("protocol")): port.get("nodePort")
             for port in before.get("ports") or ()}  # fmt: skip
    ports = []
    for port in spec.get("ports") or ():
        port = dict(port)
        kept = known.get((port.get("name"), port.get("port"), port.get("protocol")))
        if spec["type"] in WITH_NODE_PORTS:
            if kept and not port.get("nodePort"):
                port["nodePort"] = kept
        elif port.get("nodePort") == kept:
            port.pop("nodePort", None)
        ports.append(port)
    return ports
