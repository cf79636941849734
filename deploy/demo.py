"""`make demo`: a cluster of three node containers, a Deployment with a Service, and the proof that it is reached.

Uses only what a user has: `minikubeadm` makes the cluster, `minikubectl` applies and shows. Run again, it reuses the
cluster. Every step prints a line with its time; what is still missing is shown while it waits.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.text import Text

from apimachinery import kinds, meta
from kubeclient.config import load_kubeconfig
from kubeclient.rest import Client
from minikubeadm import api
from minikubeadm.cluster import create as clusters
from minikubeadm.cluster import nodes
from minikubeadm.cluster.commands import newest_image
from minikubeadm.process import StepFailed, run
from minikubeadm.progress import Progress

JSON = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
MANIFESTS = ROOT / "manifests" / "demo"
NAMESPACES = ("demo", "kube-system")
NODE_PORT = 30080
WAIT_SECONDS = 180.0


async def bring_up(name: str, kubeconfig: Path, progress: Progress) -> None:
    """The cluster, made or reused, and its kubeconfig in a file."""
    if await nodes.listed(name):
        await clusters.start(name, progress=progress)
    else:
        await clusters.create(clusters.Plan(name=name, workers=2, image=await newest_image()), progress=progress)
    kubeconfig.parent.mkdir(exist_ok=True)
    kubeconfig.write_text(await clusters.kubeconfig(name))
    kubeconfig.chmod(0o600)


def minikubectl(kubeconfig: Path, *arguments: str) -> list[str]:
    """The command line of a minikubectl call."""
    return [sys.executable, "-m", "minikubectl", "--kubeconfig", str(kubeconfig), *arguments]


def show(kubeconfig: Path, *arguments: str) -> None:
    """Run a minikubectl command in the open: print it, then what it says."""
    print(f"\n$ minikubectl {' '.join(arguments)}", flush=True)
    subprocess.run(minikubectl(kubeconfig, *arguments), cwd=ROOT, check=True)


def missing(node_list: list[JSON], deployments: list[JSON], pods: list[JSON]) -> Iterator[str]:
    """What keeps the cluster from being complete, a line each."""
    for node in node_list:
        ready = meta.condition(node, "Ready") or {}
        if ready.get("status") != "True":
            yield f"node {meta.name(node)}: {ready.get('message', 'has not said that it is Ready')}"
    for deployment in deployments:
        wanted = deployment["spec"].get("replicas", 1)
        status = deployment.get("status") or {}
        current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)
        available = status.get("availableReplicas", 0) if current else 0
        if available < wanted or status.get("updatedReplicas", 0) < wanted:
            yield f"deployment {meta.key(deployment)}: {available} of {wanted} replicas available"
    for pod in pods:
        reason = pod_trouble(pod)
        if reason:
            yield f"  pod {meta.name(pod)}: {reason}"


def pod_trouble(pod: JSON) -> str:
    """Why a pod is not ready, in a few words; "" if it is."""
    status = pod.get("status") or {}
    if (meta.condition(pod, "Ready") or {}).get("status") == "True" or meta.is_deleting(pod):
        return ""
    scheduled = meta.condition(pod, "PodScheduled") or {}
    if scheduled.get("status") == "False":
        return str(scheduled.get("message", "not scheduled"))
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            return f"{waiting.get('reason', 'waiting')} {waiting.get('message', '')}".strip()
    return str(status.get("phase", "Pending"))


async def wait(client: Client, progress: Progress) -> None:
    """Wait until nothing is missing; on a terminal the list of what is shrinks as one looks."""
    live = Live(refresh_per_second=8, transient=True) if sys.stdout.isatty() else None
    last = ""

    async def look() -> str:
        nonlocal last
        node_list = (await client.list(kinds.NODE))["items"]
        deployments, pods = [], []
        for namespace in NAMESPACES:
            deployments += (await client.list(kinds.DEPLOYMENT, namespace=namespace))["items"]
            pods += (await client.list(kinds.POD, namespace=namespace))["items"]
        lines = "\n".join(missing(node_list, deployments, pods))
        if live:
            live.update(Text(f"still missing:\n{lines}", style="yellow") if lines else Text(""))
        elif lines and lines != last:
            progress.line("  " + lines.splitlines()[0] + (f" (+{lines.count(chr(10))} more)" if "\n" in lines else ""))
        last = lines
        return lines

    async with progress.step("all nodes Ready, all replicas available"):
        if live:
            live.start()
        try:
            hint = "minikubectl describe pods -A; in a node: journalctl -u mini-kubelet"
            await api.until(look, what="waiting for the demo", timeout_seconds=WAIT_SECONDS, hint=hint)
        finally:
            if live:
                live.stop()


def fetch(url: str) -> str:
    """An HTTP answer's body."""
    with urllib.request.urlopen(url, timeout=10) as response:
        text: str = response.read().decode().strip()
        return text


async def ask(client: Client, kubeconfig: Path, progress: Progress) -> None:
    """HTTP by NodePort from outside on every node, by ClusterIP and by name from inside on each worker."""
    node_list = (await client.list(kinds.NODE))["items"]
    async with progress.step(f"NodePort {NODE_PORT} answers on every node"):
        for node in node_list:
            addresses = node["status"].get("addresses") or []
            ip = next(one["address"] for one in addresses if one["type"] == "InternalIP")
            answer = await asyncio.to_thread(fetch, f"http://{ip}:{NODE_PORT}/")
            progress.line(f"  {meta.name(node):<22} http://{ip}:{NODE_PORT}/  ->  {answer}")
    service = await client.get(kinds.SERVICE, "hello", namespace="demo")
    urls = (f"http://{service['spec']['clusterIP']}/", "http://hello.demo/", "http://hello.demo.svc.cluster.local/")
    async with progress.step("ClusterIP and DNS name answer from a pod on each worker"):
        for pod in (await client.list(kinds.POD, namespace="demo", label_selector="app=client"))["items"]:
            if meta.is_deleting(pod):
                continue
            script = "for url; do timeout 5 wget -q -O - $url || echo no answer; done"
            command = ("exec", "-n", "demo", meta.name(pod), "--", "sh", "-c", script, "ask", *urls)
            answers = await run(*minikubectl(kubeconfig, *command), what=f"asking from {meta.name(pod)}")
            for url, answer in zip(urls, answers.splitlines(), strict=True):
                if "pod=" not in answer:
                    raise StepFailed(f"asking {url} from {meta.name(pod)}", command=command, output=answers)
                progress.line(f"  {pod['spec']['nodeName']:<22} {url:<38}  ->  {answer}")


async def demo(name: str) -> None:
    """The whole demo."""
    progress = Progress()
    kubeconfig = ROOT / ".build" / f"{name}.conf"
    await bring_up(name, kubeconfig, progress)
    async with progress.step("minikubectl apply -f manifests/demo"):
        print(
            (await run(*minikubectl(kubeconfig, "apply", "-f", str(MANIFESTS)), what="applying the manifests")).strip()
        )
    async with Client(load_kubeconfig(kubeconfig), user_agent="demo") as client:
        await wait(client, progress)
        show(kubeconfig, "get", "nodes", "-o", "wide")
        show(kubeconfig, "get", "pods", "--all-namespaces", "-o", "wide")
        show(kubeconfig, "get", "services", "--all-namespaces")
        print()
        await ask(client, kubeconfig, progress)
    relative = os.path.relpath(kubeconfig)
    print(f"""
The demo is up, after {progress.seconds:.1f} s. What to try next:
  export KUBECONFIG=$PWD/{relative} PATH=$PWD/.venv/bin:$PATH
  minikubectl scale deployment hello -n demo --replicas 8     # kubectl does the same, on the same kubeconfig
  minikubectl get pods -n demo -o wide -w
  minikubectl logs -n demo deployment/hello
  minikubectl exec -n demo deployment/client -- nslookup hello.demo.svc.cluster.local
  docker kill {name}-worker2                                 # its pods are replaced after their toleration ends
  make demo-down                                              # removes everything again""")


def main() -> None:
    """Parse flags, run, tell a failure as `minikubeadm` does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="demo")
    name = parser.parse_args().name
    try:
        asyncio.run(demo(name))
    except StepFailed as failure:
        sys.exit(failure.report())
    except KeyboardInterrupt:
        sys.exit("interrupted; `make demo-down` removes what was made")


if __name__ == "__main__":
    main()
