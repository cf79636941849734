"""Our scheduler on our API server beside the real one on the real one: pods bound a second.

    python -m bench.scheduling [--nodes 1000] [--pods 5000] [--shape basic] [--peer DIR]

DIR holds the real kube-apiserver and kube-scheduler in `bin/` (bench/loaders/peer.sh). The loader is
bench/loaders/sched.py, whose shapes are basic, antiaffinity, spread and affinity.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import servers


def kubeconfig(url: str, file: Path) -> Path:
    """A kubeconfig with the bench's token."""
    cluster = {"server": url, "insecure-skip-tls-verify": True}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": cluster}],
        "users": [{"name": "bench", "user": {"token": servers.TOKEN}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    }
    file.write_text(json.dumps(content))
    return file


def measure(name: str, peer: Path | None, options: argparse.Namespace) -> None:
    """Runs the loader against one server with its scheduler, and prints what it says."""
    with tempfile.TemporaryDirectory() as temporary, servers.running(name, peer and peer / "kube-apiserver") as server:
        config = kubeconfig(server.url, Path(temporary) / "kubeconfig")
        command = [servers.python(), "-P", "-m", "scheduler", f"--kubeconfig={config}", "--leader-elect=false",
                   "--secure-port=0"]  # fmt: skip
        if peer:
            command = [str(peer / "kube-scheduler"), f"--kubeconfig={config}", "--leader-elect=false", "--port=0",
                       "--secure-port=0", "--kube-api-qps=5000", "--kube-api-burst=5000"]  # fmt: skip
        with servers.process(command, Path(temporary) / "scheduler.log") as scheduler:
            loader = [sys.executable, str(servers.ROOT / "bench/loaders/sched.py"), server.url]
            environment = os.environ | {"TOKEN": servers.TOKEN, "SHAPE": options.shape}
            done = subprocess.run(
                [*loader, str(options.nodes), str(options.pods)], env=environment, capture_output=True, text=True
            )
            memory = servers.Running(server.url, scheduler.pid).memory_mb()
            print(f"{name}: {done.stdout.strip().splitlines()[-1]}; scheduler {memory:.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--shape", default="basic")
    parser.add_argument("--peer", type=Path, help="folder with bin/kube-apiserver and bin/kube-scheduler")
    options = parser.parse_args()
    measure("mini-scheduler", None, options)
    if options.peer:
        measure("kube-scheduler 1.20.2", options.peer / "bin", options)


if __name__ == "__main__":
    main()
