"""Controllers in the test's process on a real API server, as their own user; tests play the kubelets."""

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import pytest

from apimachinery import errors, kinds, meta
from componentbase import pki
from controllers import manager
from controllers.context import Context, Options, utc_now
from kubeclient.config import ClientConfig
from kubeclient.events import EventRecorder
from kubeclient.informer import InformerFactory
from kubeclient.rest import Client
from tests.fixtures.apiserver import APIServerProcess

DEADLINE_SECONDS = 20.0
_NUMBERS = count(1)


@pytest.fixture
def config(api_server):
    return ClientConfig(server=api_server.url, token=api_server.token, insecure=True)


@pytest.fixture(scope="module")
def server(
    start_api_server: Callable[..., APIServerProcess], tmp_path_factory: pytest.TempPathFactory
) -> APIServerProcess:
    """A server of the module's own that also gives out tokens of service accounts."""
    key = tmp_path_factory.mktemp("keys") / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    return start_api_server(
        "--disable-admission-plugins=ServiceAccount", "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
    )  # fmt: skip


@pytest.fixture
async def admin(config) -> AsyncIterator[Client]:
    async with Client(config, user_agent="test") as client:
        yield client


@pytest.fixture
def options(tmp_path):
    pki.write_pair(pki.new_ca("kubernetes"), tmp_path / "ca.crt", tmp_path / "ca.key")
    certificate, key = str(tmp_path / "ca.crt"), str(tmp_path / "ca.key")
    return Options(root_ca_file=certificate, cluster_signing_cert_file=certificate, cluster_signing_key_file=key)


@asynccontextmanager
async def running(config, options, names=("*",), clock=utc_now):
    """The controllers, as system:kube-controller-manager."""
    async with Client(replace(config, impersonate="system:kube-controller-manager"), user_agent="kcm") as client:
        context = Context(client, InformerFactory(client), EventRecorder(client, "kcm"), options, clock)
        task = asyncio.create_task(manager.run(context, manager.chosen(list(names))))
        try:
            yield
        finally:
            assert not task.done(), task.exception()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def controllers(config, options):
    async with running(config, options):
        yield


@pytest.fixture
async def namespace(admin, request) -> AsyncIterator[str]:
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-") + f"-{next(_NUMBERS)}"
    await admin.create(kinds.NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name


async def eventually(look):
    """Wait until `look()` gives something true, and give that."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = await look()
            if found:
                return found
            await asyncio.sleep(0.02)


async def pods(admin, namespace):
    items = (await admin.list(kinds.POD, namespace=namespace))["items"]
    return [pod for pod in items if not meta.is_deleting(pod)]


async def make_ready(admin, namespace):
    """What kubelets would do: every pod runs, is ready, and has an address; deleted ones end."""
    for number, pod in enumerate((await admin.list(kinds.POD, namespace=namespace))["items"]):
        with contextlib.suppress(errors.NotFound, errors.Conflict):  # it went meanwhile
            await _make_ready(admin, pod, number)


async def _make_ready(admin, pod, number):
    namespace = meta.namespace(pod)
    if meta.is_deleting(pod):
        await admin.delete(kinds.POD, meta.name(pod), namespace=namespace, grace_period_seconds=0)
    elif not meta.is_condition_true(pod, "Ready"):
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": meta.now()}
        ip = f"10.244.0.{number + 1}"
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [ready]}
        await admin.patch(kinds.POD, meta.name(pod), {"status": status}, namespace=namespace, subresource="status")


async def play_kubelet(admin, namespace):
    """`make_ready` until cancelled."""
    while True:
        await make_ready(admin, namespace)
        await asyncio.sleep(0.05)


@pytest.fixture
def kubectl(api_server, namespace):
    """Run the real kubectl in the test's namespace; gives what it printed, and fails the test at another exit code."""
    program = os.environ.get("KUBECTL") or shutil.which("kubectl")
    assert program, "kubectl is not on PATH"

    async def run(*arguments: str, code: int = 0) -> str:
        command = [program, "--kubeconfig", str(api_server.kubeconfig()), "-n", namespace, *arguments]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
        output = (await process.communicate())[0].decode()
        assert process.returncode == code, f"kubectl {' '.join(arguments)}\n{output}"
        return output

    return run
