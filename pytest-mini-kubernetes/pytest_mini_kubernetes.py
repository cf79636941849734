"""Fixtures with a real Kubernetes API server over a real etcd, for a test session.

The server, and on demand the controllers and the scheduler, run as children of `minikubeadm dev`, which is a child of
the test session: nothing of it is imported into the session, and all of it ends with the session, however that ends.
"""

import json
import secrets
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_SERVICES = "mini_kubernetes_services"
_STOP_SECONDS = 30
_REQUEST_SECONDS = 30


@dataclass(frozen=True, slots=True)
class KubernetesAPI:
    """How to reach the API server as an administrator: by the kubeconfig, or by url, authority and bearer token."""

    url: str
    kubeconfig: Path
    ca_file: Path
    token: str = field(repr=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option, in pytest's configuration file or as `-o`."""
    text = "What runs besides etcd and the API server: controllers, scheduler"
    parser.addini(_SERVICES, text, type="args", default=[])


@pytest.fixture(scope="session")
def kubernetes_api(pytestconfig: pytest.Config) -> Iterator[KubernetesAPI]:
    """A real API server over a real etcd, on loopback, empty at first, for the whole session."""
    services = ",".join(pytestconfig.getini(_SERVICES))
    command = [sys.executable, "-P", "-m", "minikubeadm.dev", "--output=json", "--until-eof", f"--with={services}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
        assert process.stdin and process.stdout and process.stderr
        try:
            if not (ready := process.stdout.readline()):
                said = process.stderr.read().strip()
                pytest.fail(f"no Kubernetes API server for the tests:\n{said}", pytrace=False)
            told = json.loads(ready)
            files = Path(told["kubeconfig"]), Path(told["ca_file"])
            yield KubernetesAPI(told["server"], *files, token=told["token"])
        finally:
            process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def kubernetes_namespace(kubernetes_api: KubernetesAPI) -> Iterator[str]:
    """The name of a namespace of the test's own, deleted afterwards.

    What is in it goes if the controllers run; otherwise it stays there, Terminating, and its name is not used again.
    """
    name = f"test-{secrets.token_hex(4)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    _request(kubernetes_api, "POST", "/api/v1/namespaces", body)
    yield name
    _request(kubernetes_api, "DELETE", f"/api/v1/namespaces/{name}")


def _request(api: KubernetesAPI, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    """One request; urllib's HTTPError if it is refused."""
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(api.url + path, data=data, method=method, headers=headers)
    tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(api.ca_file)))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), tls)
    opener.open(request, timeout=_REQUEST_SECONDS).close()
