"""API servers to measure: ours and, where it was built, the real kube-apiserver, each over an etcd of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "admintoken"
START_SECONDS = 60.0
NODES_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True, slots=True)
class Running:
    """A server under measurement."""

    url: str
    pid: int

    def memory_mb(self) -> float:
        """Its resident memory now, in MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@cache
def python() -> str:
    """The Python that our services run on: that of a node, Debian's, if this one's packages are for it too.

    One that is built without profiles, as pyenv's are, takes a fifth more CPU for the same requests.
    """
    ask = [NODES_PYTHON, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        version = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return sys.executable
    return NODES_PYTHON if version == [str(part) for part in sys.version_info[:2]] else sys.executable


def ours(etcd: str, port: int, directory: Path) -> list[str]:
    """The command of our server: RBAC, default admission and managed fields on."""
    return [
        python(), "-P", "-m", "apiserver", f"--etcd-servers={etcd}", f"--secure-port={port}",
        "--bind-address=127.0.0.1", f"--cert-dir={directory / 'certs'}", f"--token-auth-file={directory / 'tokens'}",
        "--authorization-mode=Node,RBAC", "--disable-admission-plugins=ServiceAccount",
    ]  # fmt: skip


def peer(binary: Path, etcd: str, port: int, directory: Path) -> list[str]:
    """The command of the real server, with the flags of the peer in docs/performance.md."""
    key = directory / "sa.key"
    if not key.exists():
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    return [
        str(binary), f"--etcd-servers={etcd}", f"--secure-port={port}", "--bind-address=127.0.0.1",
        "--insecure-port=0", f"--cert-dir={directory / 'certs'}", f"--token-auth-file={directory / 'tokens'}",
        "--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}", "--disable-admission-plugins=ServiceAccount",
        "--enable-priority-and-fairness=false", "--max-requests-inflight=3000",
        "--max-mutating-requests-inflight=1000",
    ]  # fmt: skip


@contextlib.contextmanager
def process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to `log`, ended with the block."""
    with log.open("wb") as output:
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}"}
        started = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=log.parent)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(15)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextlib.contextmanager
def running(name: str, binary: Path | None = None) -> Iterator[Running]:
    """A fresh etcd with a server: ours, or the real one in `binary`."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as temporary:
        directory = Path(temporary)
        (directory / "tokens").write_text(f'{TOKEN},admin,admin-uid,"system:masters"\n')
        client, other, port = free_port(), free_port(), free_port()
        etcd = f"http://127.0.0.1:{client}"
        store = [
            "etcd", f"--data-dir={directory / 'etcd'}", f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}", f"--listen-peer-urls=http://127.0.0.1:{other}",
            "--max-request-bytes=4194304", "--quota-backend-bytes=8589934592",
        ]  # fmt: skip
        command = ours(etcd, port, directory) if binary is None else peer(binary, etcd, port, directory)
        with process(store, directory / "etcd.log"), process(command, directory / "server.log") as server:
            url = f"https://127.0.0.1:{port}"
            _wait_ready(url, server, directory / "server.log")
            yield Running(url, server.pid)


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    context = ssl._create_unverified_context()
    request = urllib.request.Request(f"{url}/api/v1/namespaces/default", headers={"Authorization": f"Bearer {TOKEN}"})
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(request, context=context, timeout=2) as answer:
            if answer.status == 200:
                time.sleep(1)
                return
        time.sleep(0.1)
    raise SystemExit(f"the server did not start:\n{log.read_text()[-2000:]}")
