"""Service discovery for a Prometheus that was built without it, as Debian's is: targets as files, kept current.

It watches nodes and the endpoints of two namespaces with the pod's service account, and writes `node.json` and
`endpoints.json` for `file_sd_configs`, with the labels that `kubernetes_sd_configs` gives to the roles of these names:
so all that comes after is what an upstream Prometheus would be told. It runs in the image of the cluster's DNS, which
has the packages that it imports.

    python3 -P discovery.py DIRECTORY
"""

import asyncio
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from apimachinery import kinds, meta
from componentbase import run
from componentbase.files import write_file
from kubeclient.config import load_kubeconfig
from kubeclient.informer import InformerFactory
from kubeclient.rest import Client

JSON = dict[str, Any]
NAMESPACES = ("default", "kube-system")
_PREFIX = "__meta_kubernetes_"


def node_targets(nodes: Iterable[JSON]) -> list[JSON]:
    """The target groups of the role `node`: each node's kubelet."""
    groups = []
    for node in nodes:
        addresses = {one["type"]: one["address"] for one in node.get("status", {}).get("addresses") or ()}
        if "InternalIP" not in addresses:
            continue
        port = node["status"].get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port") or 10250
        labels = {f"{_PREFIX}node_name": meta.name(node), "instance": meta.name(node)}
        for kind, address in addresses.items():
            labels[f"{_PREFIX}node_address_{kind}"] = address
        for key, value in meta.labels(node).items():
            labels[f"{_PREFIX}node_label_{_safe(key)}"] = value
            labels[f"{_PREFIX}node_labelpresent_{_safe(key)}"] = "true"
        groups.append({"targets": [f"{addresses['InternalIP']}:{port}"], "labels": labels})
    return sorted(groups, key=lambda group: group["targets"])


def endpoint_targets(endpoints: Iterable[JSON]) -> list[JSON]:
    """The target groups of the role `endpoints`: each address and port of a Service."""
    groups = []
    for each in endpoints:
        metadata = each["metadata"]
        for subset in each.get("subsets") or ():
            for address in subset.get("addresses") or ():
                for port in subset.get("ports") or ():
                    labels = {
                        f"{_PREFIX}namespace": metadata["namespace"],
                        f"{_PREFIX}service_name": metadata["name"],
                        f"{_PREFIX}endpoint_port_name": port.get("name", ""),
                        f"{_PREFIX}endpoint_node_name": address.get("nodeName", ""),
                    }
                    target = address.get("targetRef") or {}
                    if target.get("kind") == "Pod":
                        labels[f"{_PREFIX}pod_name"] = target["name"]
                    groups.append({"targets": [f"{address['ip']}:{port['port']}"], "labels": labels})
    return sorted(groups, key=lambda group: group["targets"])


def _safe(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


async def keep(directory: Path, stop: asyncio.Event) -> None:
    """Write the files whenever their content changes, until `stop`."""
    async with Client(load_kubeconfig(), user_agent="prometheus-discovery") as client:
        informers, changed = InformerFactory(client), asyncio.Event()
        nodes = informers.informer(kinds.NODE)
        endpoints = [informers.informer(kinds.ENDPOINTS, namespace=each) for each in NAMESPACES]
        for informer in (nodes, *endpoints):
            informer.add_handler(
                on_add=lambda _: changed.set(), on_update=lambda *_: changed.set(), on_delete=lambda _: changed.set()
            )

        async def write() -> None:
            await informers.wait_synced()
            while True:
                changed.clear()
                _write(directory / "node.json", node_targets(nodes.list()))
                _write(directory / "endpoints.json", endpoint_targets(one for each in endpoints for one in each.list()))
                await changed.wait()

        tasks = [asyncio.ensure_future(informers.run()), asyncio.ensure_future(write())]
        stopping = asyncio.ensure_future(stop.wait())
        done, _ = await asyncio.wait((*tasks, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopping):
            task.cancel()
        for task in done:
            task.result()


def _write(file: Path, groups: list[JSON]) -> None:
    content = json.dumps(groups, indent=1).encode()
    if not file.exists() or file.read_bytes() != content:
        write_file(file, content)


if __name__ == "__main__":
    sys.exit(run.run(lambda stop: keep(Path(sys.argv[1]), stop)))
