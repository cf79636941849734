"""Volumes of files: what is in them, and how they are swapped; paths that must not be followed."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from kubelet.environment import Sources
from kubelet.volumes import payloads, writer
from kubelet.volumes.manager import host_path
from kubelet.volumes.payloads import TokenRequest, VolumeError
from kubelet.volumes.writer import File
from tests.kubelet.objects import pod

SOURCES = Sources(
    config_map={"cm": {"data": {"a": "1"}, "binaryData": {"b": base64.b64encode(b"\xff").decode()}}}.get,
    secret={"s": {"data": {"pw": base64.b64encode(b"geheim").decode()}}}.get,
    services=(),
    pod_ips=(),
    host_ips=(),
    node_allocatable={},
)


def build(volume: dict[str, Any], **tokens: str) -> dict[str, File]:
    subject = pod()
    subject["metadata"]["labels"] = {"b": "2", "a": 'x"y'}
    return payloads.build(
        subject, {"name": "v", **volume}, SOURCES, {TokenRequest(*_split(k)): v for k, v in tokens.items()}
    )


def _split(name: str) -> tuple[str, int]:
    audience, _, seconds = name.partition("_")
    return audience, int(seconds)


def test_a_config_map_shows_all_keys_or_chosen_items() -> None:
    assert build({"configMap": {"name": "cm"}}) == {"a": File(b"1"), "b": File(b"\xff")}
    items = [{"key": "a", "path": "dir/x", "mode": 0o600}]
    assert build({"configMap": {"name": "cm", "items": items}}) == {"dir/x": File(b"1", 0o600)}


def test_a_secret_with_its_mode() -> None:
    assert build({"secret": {"secretName": "s", "defaultMode": 0o400}}) == {"pw": File(b"geheim", 0o400)}


def test_projected_sources_come_together() -> None:
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607, "audience": "api"}},
        {"configMap": {"name": "cm", "items": [{"key": "a", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    payload = build({"projected": {"sources": sources}}, api_3607="jwt")
    assert {path: file.content for path, file in payload.items()} == {
        "token": b"jwt", "ca.crt": b"1", "labels": b'a="x\\"y"\nb="2"',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "no"}}, 'configmap "no" not found'),
        ({"secret": {"secretName": "no"}}, 'secret "no" not found'),
        ({"configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}}, "references non-existent config key: z"),
    ],
)
def test_what_is_missing_is_said(volume: dict[str, Any], message: str) -> None:
    with pytest.raises(VolumeError, match=message):
        build(volume)
    ((field, source),) = volume.items()
    assert build({field: {**source, "optional": True}}) == {}


def test_references_of_volumes_and_environment() -> None:
    subject = pod(
        {"name": "c", "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "e", "key": "k"}}}]},
        volumes=[{"name": "a", "configMap": {"name": "cm"}}, {"name": "b", "secret": {"secretName": "s"}}],
    )
    assert payloads.references(subject) == {("ConfigMap", "cm"), ("Secret", "s"), ("Secret", "e")}


def test_an_update_swaps_everything_at_once(tmp_path: Path) -> None:
    assert writer.write(tmp_path, {"a": File(b"1"), "dir/b": File(b"2", 0o600)})
    first = os.readlink(tmp_path / "..data")
    assert (tmp_path / "a").read_bytes() == b"1" and (tmp_path / "dir/b").read_bytes() == b"2"
    assert (tmp_path / "dir/b").stat().st_mode & 0o777 == 0o600
    assert not writer.write(tmp_path, {"a": File(b"1"), "dir/b": File(b"2", 0o600)}), "nothing changed"
    assert writer.write(tmp_path, {"a": File(b"3")})
    assert os.readlink(tmp_path / "..data") != first
    assert (tmp_path / "a").read_bytes() == b"3"
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("..")) == ["a"]
    assert not (tmp_path / first).exists()


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "..data", ""])
def test_paths_that_lead_elsewhere_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="invalid path"):
        writer.write(tmp_path, {path: File(b"")})


def test_host_path_types(tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert host_path({"path": str(made), "type": "DirectoryOrCreate"}) == str(made)
    assert made.is_dir()
    assert Path(host_path({"path": str(tmp_path / "f"), "type": "FileOrCreate"})).is_file()
    with pytest.raises(VolumeError, match="is not a directory"):
        host_path({"path": str(tmp_path / "f"), "type": "Directory"})
    with pytest.raises(VolumeError, match="is not a file"):
        host_path({"path": str(tmp_path / "none"), "type": "File"})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, (0o644, None)),
        ({"securityContext": {"fsGroup": 9}}, (0o600, None)),
        ({"securityContext": {"runAsUser": 7}}, (0o600, 7)),
        (
            {"securityContext": {"runAsUser": 7}, "initContainers": [{"securityContext": {"runAsUser": 8}}]},
            (0o644, None),
        ),
    ],
)
def test_a_token_is_for_its_pods_user_or_group(spec: dict[str, Any], expected: tuple[int, int | None]) -> None:
    volume = {"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    made = payloads.build(pod(**spec), volume, SOURCES, {TokenRequest("", 3600): "t"})
    assert (made["token"].mode, made["token"].user) == expected
