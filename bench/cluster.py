"""A cluster of node containers: how long it takes to make, what it weighs, how fast pods and Services are.

    python -m bench.cluster [--workers 2] [--serial 15] [--batch 30] [--services 10 1000] [--keep]

Makes a cluster named `bench`, prints its figures, and removes it. Images must have been built (`make images`), so the
time is that of a warm start. The loaders are bench/loaders/podstart.py and services.py.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from apimachinery import kinds
from bench.servers import ROOT
from kubeclient.config import load_kubeconfig
from kubeclient.rest import Client

NAME, ACCOUNT, SYSTEM = "bench", "bench", "kube-system"
DEMO_IMAGE = "mini-kubernetes/demo"
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


def memory(node: str) -> None:
    """Prints the resident memory of each service on a node."""
    listed = run(["docker", "exec", node, "ps", "-eo", "rss,args", "--sort=-rss"])
    for line in listed.splitlines()[1:]:
        rss, _, command = line.strip().partition(" ")
        name = command.partition("-m ")[2].split(" ")[0] if " -m " in command else Path(command.split(" ")[0]).name
        if name in ("apiserver", "scheduler", "controllers", "kubelet", "proxy", "clusterdns", "etcd", "dockerd"):
            print(f"{node}: {name} {int(rss) / 1024:.0f} MB", flush=True)


def measure(options: argparse.Namespace, directory: Path) -> None:
    kubeconfig, node = directory / "kubeconfig", f"{NAME}-worker"
    kubeconfig.write_text(run([*_ADMIN, "kubeconfig", "--name", NAME]))
    server, token, backend = asyncio.run(prepare(kubeconfig, node))
    time.sleep(5)
    for one in (f"{NAME}-control-plane", node):
        memory(one)
    loaders = ROOT / "bench" / "loaders"
    pods = [sys.executable, str(loaders / "podstart.py"), server, node, str(options.serial), str(options.batch)]
    print(run(pods, TOKEN=token, IMAGE=DEMO_IMAGE), end="", flush=True)
    for count in options.services:
        services = [sys.executable, str(loaders / "services.py"), server, node, str(count)]
        print(run(services, TOKEN=token, BACKEND=backend), end="", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--serial", type=int, default=15, help="pods started one after another")
    parser.add_argument("--batch", type=int, default=30, help="pods started at once")
    parser.add_argument("--services", type=int, nargs="*", default=[10, 1000], help="Services present, each a run")
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
