"""An API server over an etcd that was restored from a snapshot: revisions went back, versions did not."""

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from minikubeadm.etcdsnapshot import shift_after
from tests.fixtures.apiserver import APIServerProcess, start_server, stop
from tests.fixtures.etcd import running_etcd

pytestmark = pytest.mark.integration
PATH = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"


def etcdctl(*arguments: str) -> None:
    environment = {**os.environ, "ETCDCTL_API": "3"}
    done = subprocess.run(["etcdctl", *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def create(server: APIServerProcess, name: str) -> str:
    """Create a ConfigMap; its version."""
    made = server.request("POST", PATH, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
    assert made.code == 201, made.body
    return str(made.json()["metadata"]["resourceVersion"])


@pytest.fixture(scope="module")
def versions() -> dict[str, str]:
    """Versions that were given out before the restore."""
    return {}


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory, versions: dict[str, str]) -> Iterator[APIServerProcess]:
    """`kept` was written before the snapshot, `lost-N` after it; then etcd is that of the snapshot, with the shift."""
    folder = tmp_path_factory.mktemp("restore")
    snapshot = folder / "snapshot.db"
    with running_etcd(folder / "before", options=["--unsafe-no-fsync"]) as before:
        server = start_server(folder / "one", before.endpoints[0], [])
        versions["kept"] = create(server, "kept")
        etcdctl(f"--endpoints={before.endpoints[0]}", "snapshot", "save", str(snapshot))
        for number in range(20):
            versions["lost"] = create(server, f"lost-{number}")
        versions["list"] = server.request("GET", PATH).json()["metadata"]["resourceVersion"]
        stop([server.child])
    after = folder / "after"
    after.mkdir()
    etcdctl("snapshot", "restore", str(snapshot), "--name=m0", f"--data-dir={after / 'm0'}", *_membership())
    with running_etcd(after, options=["--unsafe-no-fsync"]) as cluster:
        etcdctl(f"--endpoints={cluster.endpoints[0]}", "put", "/revision-shift", str(shift_after(0, time.time())))
        server = start_server(folder / "two", cluster.endpoints[0], [])
        yield server
        stop([server.child])


def _membership() -> list[str]:
    peer = "http://127.0.0.1:1"  # never used: it is alone
    return [f"--initial-cluster=m0={peer}", f"--initial-advertise-peer-urls={peer}"]


def test_the_objects_are_those_of_the_snapshot(restored: APIServerProcess) -> None:
    names = [item["metadata"]["name"] for item in restored.request("GET", PATH).json()["items"]]
    assert "kept" in names
    assert not [name for name in names if name.startswith("lost")]


def test_every_version_is_beyond_all_that_were_given_out(restored: APIServerProcess, versions: dict[str, str]) -> None:
    listed = restored.request("GET", PATH).json()
    now = [listed["metadata"], *(item["metadata"] for item in listed["items"])]
    assert min(int(one["resourceVersion"]) for one in now) > max(map(int, versions.values()))
    assert int(create(restored, "new")) > int(listed["metadata"]["resourceVersion"])


@pytest.mark.parametrize("which", ["kept", "lost", "list"])
def test_a_watch_from_before_is_told_to_list_anew(
    restored: APIServerProcess, versions: dict[str, str], which: str
) -> None:
    path = f"{PATH}?watch=1&timeoutSeconds=5&resourceVersion={versions[which]}"
    answer = restored.request("GET", path)
    assert b'"code":410' in answer.body.replace(b" ", b"")
    assert b"lost" not in answer.body


def test_a_list_at_a_version_from_before_is_expired(restored: APIServerProcess, versions: dict[str, str]) -> None:
    path = f"{PATH}?resourceVersionMatch=Exact&resourceVersion={versions['list']}"
    assert restored.request("GET", path).code == 410


def test_an_update_from_a_version_from_before_conflicts(restored: APIServerProcess, versions: dict[str, str]) -> None:
    metadata = {"name": "kept", "resourceVersion": versions["kept"]}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}
    assert restored.request("PUT", f"{PATH}/kept", body).code == 409


def test_objects_are_changed_watched_and_deleted_as_ever(restored: APIServerProcess) -> None:
    begin = restored.request("GET", PATH).json()["metadata"]["resourceVersion"]
    create(restored, "ordinary")
    patched = restored.request("PATCH", f"{PATH}/ordinary", {"data": {"a": "1"}}, content_type=MERGE)
    assert patched.code == 200
    assert restored.request("DELETE", f"{PATH}/ordinary").code == 200
    seen = restored.request("GET", f"{PATH}?watch=1&timeoutSeconds=1&resourceVersion={begin}").body
    kinds = [kind for kind in (b"ADDED", b"MODIFIED", b"DELETED") if kind in seen]
    assert kinds == [b"ADDED", b"MODIFIED", b"DELETED"]
    assert b'"code":410' not in seen
