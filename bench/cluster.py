"""A cluster of node containers: how long it takes to make, what it weighs, how fast pods and Services are.

    python -m bench.cluster [--workers 2] [--serial 15] [--batch 30] [--services 10 1000] [--pods 100] [--keep]

Makes a cluster named `bench`, prints its figures, and removes it. Images must have been built (`make images`), so the
time is that of a warm start. The loaders are bench/loaders/podstart.py and services.py.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from apimachinery import kinds, meta
from bench.servers import ROOT
from kubeclient.config import load_kubeconfig
from kubeclient.rest import Client

NAME, ACCOUNT, SYSTEM = "bench", "bench", "kube-system"
DEMO_IMAGE = "mini-kubernetes/demo"
SERVICES = ("apiserver", "scheduler", "controllers", "kubelet", "proxy", "clusterdns", "etcd", "dockerd")
_ADMIN = [sys.executable, "-m", "minikubeadm", "cluster"]


def run(command: list[str], **environment: str) -> str:
    """The output of a command, which must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


async def prepare(kubeconfig: Path, node: str) -> tuple[str, str, str]:
    """(server, a cluster-admin's token, address of something on `node` that accepts connections)."""
    config = load_kubeconfig(str(kubeconfig))
    async with Client(config, user_agent="bench") as client:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": SYSTEM}}
        await client.create(kinds.SERVICE_ACCOUNT, account)
        group = "rbac.authorization.k8s.io"
        binding = {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": SYSTEM}],
        }
        await client.create(kinds.CLUSTER_ROLE_BINDING, binding)
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = await client.create(kinds.SERVICE_ACCOUNT, request, namespace=SYSTEM, name=ACCOUNT, subresource="token")
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "backend", "namespace": "default"},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": DEMO_IMAGE, "imagePullPolicy": "Never"}]},
        }
        await client.create(kinds.POD, pod)
        async with asyncio.timeout(60):
            while True:
                found = await client.get(kinds.POD, "backend", namespace="default")
                if found["status"].get("phase") == "Running" and found["status"].get("podIP"):
                    return config.server, token["status"]["token"], f"{found['status']['podIP']}:8080"
                await asyncio.sleep(0.1)


def usage(node: str) -> dict[str, tuple[float, float]]:
    """MB resident and seconds of CPU so far of each service on a node; replicas are added up."""
    script = r'for d in /proc/[0-9]*; do printf "%s\t%s\t%s\n" "$(sed "s/.*) //" $d/stat)" '
    script += r'"$(awk "/VmRSS/{print \$2}" $d/status)" "$(tr "\0" " " <$d/cmdline)"; done 2>/dev/null'
    found: dict[str, tuple[float, float]] = {}
    for line in run(["docker", "exec", node, "sh", "-c", script]).splitlines():
        stat, _, rest = line.partition("\t")
        resident, _, command = rest.partition("\t")
        name = command.partition("-m ")[2].split(" ")[0] if " -m " in command else Path(command.split(" ")[0]).name
        if name in SERVICES and resident:
            megabytes, seconds = found.get(name, (0.0, 0.0))
            ticks = sum(int(one) for one in stat.split()[11:13])  # utime and stime, proc(5)
            found[name] = megabytes + int(resident) / 1024, seconds + ticks / os.sysconf("SC_CLK_TCK")
    return found


def resources(nodes: Sequence[str], seconds: float, what: str) -> None:
    """Prints the memory of each service, and the share of a core it takes over some seconds."""
    before = {node: usage(node) for node in nodes}
    time.sleep(seconds)
    for node in nodes:
        for name, (megabytes, used) in sorted(usage(node).items()):
            share = 100 * (used - before[node].get(name, (0.0, used))[1]) / seconds
            print(f"{what}: {node}: {name} {megabytes:.0f} MB, {share:.1f} % of a core", flush=True)


def filled(kubectl: Sequence[str], pods: int) -> None:
    """Makes a Deployment of so many pods, and prints how long it takes until all are ready.

    They have a namespace of their own: in that of the 1,000 Services each container would get 7,000 variables.
    """
    run([*kubectl, "create", "namespace", "fill"])
    begun = time.monotonic()
    container = {"name": "c", "image": DEMO_IMAGE, "imagePullPolicy": "Never"}
    template = {"metadata": {"labels": {"app": "fill"}}, "spec": {"containers": [container]}}
    spec = {"replicas": pods, "selector": {"matchLabels": {"app": "fill"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "fill"}, "spec": spec}
    there = [*kubectl, "--namespace=fill"]
    subprocess.run([*there, "apply", "-f", "-"], input=json.dumps(body), text=True, check=True, capture_output=True)
    run([*there, "rollout", "status", "deployment/fill", "--timeout=300s"])
    print(f"{pods} pods by a Deployment: all ready after {time.monotonic() - begun:.1f} s", flush=True)


def restarted(kubectl: Sequence[str], nodes: Sequence[str]) -> None:
    """Stops all nodes and starts them, and prints how long it takes until every pod is ready again."""
    run(["docker", "stop", *nodes])
    begun = time.monotonic()
    run([*_ADMIN, "start", "--name", NAME])
    while subprocess.run([*kubectl, "get", "--raw", "/readyz"], capture_output=True).returncode:
        time.sleep(0.2)
    print(f"all nodes stopped and started: API server ready after {time.monotonic() - begun:.1f} s", flush=True)
    # What the kubelets find is that no container runs: only then do pods become ready anew.
    while not _all_ready(kubectl, since=begun - time.monotonic() + time.time()):
        time.sleep(0.5)
    print(f"all nodes stopped and started: every pod ready after {time.monotonic() - begun:.1f} s", flush=True)


def _all_ready(kubectl: Sequence[str], *, since: float) -> bool:
    listed = subprocess.run([*kubectl, "get", "pods", "-A", "-o", "json"], capture_output=True, text=True)
    pods = json.loads(listed.stdout)["items"] if listed.returncode == 0 else [{}]
    ready = [meta.condition(pod, "Ready") or {} for pod in pods]
    return all(
        one.get("status") == "True" and meta.parse_time(one["lastTransitionTime"]).timestamp() >= int(since)
        for one in ready
    )


def measure(options: argparse.Namespace, directory: Path) -> None:
    kubeconfig, node = directory / "kubeconfig", f"{NAME}-worker"
    kubeconfig.write_text(run([*_ADMIN, "kubeconfig", "--name", NAME]))
    server, token, backend = asyncio.run(prepare(kubeconfig, node))
    nodes = [f"{NAME}-control-plane", node]
    resources(nodes, options.idle_seconds, "idle")
    loaders = ROOT / "bench" / "loaders"
    pods = [sys.executable, str(loaders / "podstart.py"), server, node, str(options.serial), str(options.batch)]
    print(run(pods, TOKEN=token, IMAGE=DEMO_IMAGE), end="", flush=True)
    for count in options.services:
        services = [sys.executable, str(loaders / "services.py"), server, node, str(count)]
        print(run(services, TOKEN=token, BACKEND=backend), end="", flush=True)
    kubectl = [run([str(ROOT / "deploy/kubectl.sh")]).strip(), "--kubeconfig", str(kubeconfig)]
    if options.pods:
        filled(kubectl, options.pods)
        resources(nodes, options.idle_seconds, f"{options.pods} pods")
    workers = [f"{NAME}-worker{number if number > 1 else ''}" for number in range(1, options.workers + 1)]
    restarted(kubectl, [nodes[0], *workers])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--serial", type=int, default=15, help="pods started one after another")
    parser.add_argument("--batch", type=int, default=30, help="pods started at once")
    parser.add_argument("--services", type=int, nargs="*", default=[10, 1000], help="Services present, each a run")
    parser.add_argument("--pods", type=int, default=100, help="pods for the second look at memory and CPU")
    parser.add_argument("--idle-seconds", type=float, default=30, help="how long CPU is counted for it")
    parser.add_argument("--keep", action="store_true", help="leave the cluster for a look")
    options = parser.parse_args()
    begun = time.monotonic()
    run([*_ADMIN, "create", "--name", NAME, "--workers", str(options.workers)])
    print(f"cluster create: {options.workers + 1} nodes Ready after {time.monotonic() - begun:.1f} s", flush=True)
    try:
        with tempfile.TemporaryDirectory() as directory:
            measure(options, Path(directory))
    finally:
        if not options.keep:
            run([*_ADMIN, "delete", "--name", NAME])


if __name__ == "__main__":
    main()
