"""`minikubeadm dev` as a user runs it: a command of its own, over a real etcd."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apimachinery import errors, kinds
from kubeclient.config import load_kubeconfig
from kubeclient.rest import Client

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
DEV = (sys.executable, "-P", "-m", "minikubeadm.dev")
SECONDS = 60
JSON = dict[str, Any]


@contextmanager
def running(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], JSON]]:
    """The command, ready, and what it says; interrupted in the end, if it still runs."""
    command = (*DEV, "--output=json", f"--data-dir={directory}", *options)
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(SECONDS)


def wait_until(look: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not look():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.02)


def children(directory: Path) -> dict[str, int]:
    """Processes that were told of this directory, bar the command itself: their log's name, and their pid."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            log = os.readlink(entry / "fd/2") if entry.name.isdigit() else ""
        except OSError:
            continue
        if log.startswith(f"{directory}/"):
            found[Path(log).stem] = int(entry.name)
    return found


def listening(processes: dict[str, int]) -> list[str]:
    """The addresses on which these processes listen."""
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split()[3] for line in lines if any(f"pid={pid}," in line for pid in processes.values())]


def client(access: JSON) -> Client:
    return Client(load_kubeconfig(access["kubeconfig"]), user_agent="test")


async def test_a_deployment_gets_its_pods_and_hears_that_there_are_no_nodes(tmp_path: Path) -> None:
    pod = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": pod},
    }
    with running(tmp_path) as (_, access):
        async with client(access) as api:
            await api.create(kinds.DEPLOYMENT, deployment, namespace="default")
            seen: list[str] = []

            async def told() -> bool:
                pods = (await api.list(kinds.POD, namespace="default"))["items"]
                conditions = [one for pod in pods for one in pod["status"].get("conditions", ())]
                seen[:] = [one["message"] for one in conditions if one["type"] == "PodScheduled"]
                return len(seen) == 2

            deadline = time.monotonic() + SECONDS
            while not await told():
                assert time.monotonic() < deadline
            assert all("no nodes available" in message for message in seen), seen


async def test_it_listens_on_loopback_with_tls_and_rbac_and_keeps_its_directory_private(tmp_path: Path) -> None:
    with running(tmp_path / "dev", "--with=") as (_, access):
        addresses = listening(children(tmp_path / "dev"))
        assert len(addresses) == 3 and all(each.startswith("127.0.0.1:") for each in addresses), addresses
        assert (tmp_path / "dev").stat().st_mode & 0o077 == 0
        config = load_kubeconfig(access["kubeconfig"])
        anonymous = type(config)(server=config.server, ca_data=config.ca_data)
        async with Client(anonymous, user_agent="test") as api:
            with pytest.raises(errors.Forbidden):
                await api.list(kinds.SECRET)
        by_token = type(config)(server=access["server"], ca_file=access["ca_file"], token=access["token"])
        async with Client(by_token, user_agent="test") as api:
            await api.list(kinds.SECRET)


def test_ctrl_c_ends_everything_and_a_temporary_directory_goes(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(DEV, text=True, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        assert "Kubernetes API at https://127.0.0.1:" in said[0] and "export KUBECONFIG=" in said[2]
        (directory,) = tmp_path.iterdir()
        assert set(children(directory)) == {"etcd", "apiserver", "controllers", "scheduler"}
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    assert not children(directory) and not directory.exists()


def test_nothing_outlives_a_killed_command(tmp_path: Path) -> None:
    with running(tmp_path) as (process, _):
        process.kill()
        process.wait()
        wait_until(lambda: not children(tmp_path), "etcd, API server, scheduler and controllers end")


async def test_the_next_start_finds_what_the_last_one_kept(tmp_path: Path) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}}
    with running(tmp_path, "--with=") as (_, first):
        async with client(first) as api:
            await api.create(kinds.CONFIG_MAP, body, namespace="default")
    with running(tmp_path, "--with=") as (_, second):
        assert second["token"] == first["token"]
        async with client(second) as api:
            await api.get(kinds.CONFIG_MAP, "kept", namespace="default")


def test_it_ends_with_the_standard_input_of_a_program_that_started_it(tmp_path: Path) -> None:
    with running(tmp_path, "--with=", "--until-eof") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(SECONDS) == 0
    assert not children(tmp_path)


def test_the_end_of_a_process_ends_all_and_is_told(tmp_path: Path) -> None:
    command = (*DEV, "--output=json", f"--data-dir={tmp_path}", "--with=")
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        os.kill(children(tmp_path)["etcd"], signal.SIGKILL)
        said = process.stderr.read()
        assert process.wait(SECONDS) == 1
    assert "keeping etcd running: it ended with exit code -9" in said
    assert not children(tmp_path)


def test_without_etcd_it_says_what_to_install(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(DEV, text=True, capture_output=True, cwd=ROOT, env=environment, timeout=SECONDS)
    assert done.returncode == 1
    assert "there is no etcd on the PATH" in done.stderr and "apt-get install etcd-server" in done.stderr
