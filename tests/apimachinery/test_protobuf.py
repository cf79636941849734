"""Protobuf bodies: messages as their JSON objects, and what is no message."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from apimachinery import errors, protobuf
from apimachinery.definitions import definitions

Field = tuple[int, "int | bytes | str | Sequence[Field]"]


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def message(*fields: Field) -> bytes:
    """The encoding that is being read: numbers as varints, the rest with its length before it."""
    encoded = b""
    for number, value in fields:
        if isinstance(value, int):
            encoded += varint(number << 3) + varint(value)
            continue
        if isinstance(value, str):
            value = value.encode()
        elif not isinstance(value, bytes):
            value = message(*value)
        encoded += varint(number << 3 | 2) + varint(len(value)) + value
    return encoded


def body(version: str, kind: str, *fields: Field) -> bytes:
    return protobuf.MAGIC + message((1, [(1, version), (2, kind)]), (2, message(*fields)), (3, ""), (4, ""))


def test_a_pod_with_inline_sources_times_and_quantities() -> None:
    metadata: list[Field] = [(1, "web"), (2, ""), (3, "team"), (8, []), (11, [(1, "app"), (2, "web")])]
    memory: list[Field] = [(1, "memory"), (2, [(1, "64Mi")])]
    probe: list[Field] = [(1, [(2, [(1, "/"), (2, [(1, 0), (2, 8080), (3, "")])])]), (2, 0), (3, 5)]
    environment: list[Field] = [(1, "K"), (2, ""), (3, [(4, [(1, [(1, "creds")]), (2, "key"), (3, 0)])])]
    container: list[Field] = [
        (1, "c"),
        (2, "image"),
        (3, "sh"),
        (3, "-c"),
        (7, environment),
        (8, [(1, memory)]),
        (10, probe),
        (18, 0),
    ]
    volume: list[Field] = [(1, "scratch"), (2, [(2, [(1, "")])])]
    spec: list[Field] = [(1, volume), (2, container), (4, 0), (11, 0)]
    made = protobuf.decode(body("v1", "Pod", (1, metadata), (2, spec), (3, [])))
    assert made == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "team", "labels": {"app": "web"}},
        "spec": {
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "containers": [
                {
                    "name": "c",
                    "image": "image",
                    "command": ["sh", "-c"],
                    "env": [
                        {"name": "K", "valueFrom": {"secretKeyRef": {"name": "creds", "key": "key", "optional": False}}}
                    ],
                    "resources": {"limits": {"memory": "64Mi"}},
                    "livenessProbe": {"httpGet": {"path": "/", "port": 8080}, "timeoutSeconds": 5},
                }
            ],
            "terminationGracePeriodSeconds": 0,  # set, to zero
        },
        "status": {},
    }


def test_bytes_become_base64_and_maps_keep_their_keys() -> None:
    made = protobuf.decode(body("v1", "Secret", (2, [(1, "a"), (2, b"\x00\xff")]), (2, [(1, "b"), (2, b"")])))
    assert made["data"] == {"a": "AP8=", "b": ""}


@pytest.mark.parametrize(("wire", "value"), [([(1, 0), (2, 1), (3, "")], 1), ([(1, 1), (2, 0), (3, "25%")], "25%")])
def test_a_number_or_a_text(wire: list[Field], value: object) -> None:
    made = protobuf.decode(body("policy/v1", "PodDisruptionBudget", (2, [(1, wire)])))
    assert made["spec"] == {"minAvailable": value}


def test_times_have_seconds_or_microseconds() -> None:
    moment: list[Field] = [(1, 1_800_000_000), (2, 250_000_000)]
    made = protobuf.decode(body("coordination.k8s.io/v1", "Lease", (1, [(8, moment)]), (2, [(4, moment)])))
    assert made["metadata"]["creationTimestamp"] == "2027-01-15T08:00:00Z"
    assert made["spec"]["renewTime"] == "2027-01-15T08:00:00.250000Z"


def test_groups_are_found_by_their_first_word() -> None:
    extra: list[Field] = [(1, "scopes"), (2, [(1, "a"), (1, "b")])]
    made = protobuf.decode(
        body("authorization.k8s.io/v1", "SubjectAccessReview", (2, [(3, "jane"), (4, "devs"), (5, extra)]))
    )
    assert made["spec"] == {"user": "jane", "groups": ["devs"], "extra": {"scopes": ["a", "b"]}}
    made = protobuf.decode(body("rbac.authorization.k8s.io/v1", "Role", (2, [(1, "get"), (2, "")])))
    assert made["rules"] == [{"verbs": ["get"], "apiGroups": [""]}]


def test_negative_numbers_and_required_zeros() -> None:
    made = protobuf.decode(body("scheduling.k8s.io/v1", "PriorityClass", (2, -5)))
    assert made["value"] == -5
    made = protobuf.decode(body("scheduling.k8s.io/v1", "PriorityClass", (2, 0), (3, 0)))
    assert made == {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 0}


def test_options_belong_to_no_group() -> None:
    made = protobuf.decode(body("apps/v1", "DeleteOptions", (1, 0), (4, "Foreground")))
    assert made == {
        "apiVersion": "apps/v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Foreground",
    }


def test_what_is_newer_than_the_table_passes_only_if_it_is_empty() -> None:
    assert protobuf.decode(body("v1", "ConfigMap", (999, 0), (998, "")))["kind"] == "ConfigMap"
    with pytest.raises(errors.BadRequest, match="field 999"):
        protobuf.decode(body("v1", "ConfigMap", (999, 1)))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"k8s\x00",
        b"k8s\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        body("v1", "Pod", (1, 7)),
        body("v1", "Pod")[:-9] + b"\x12\x7f",
        body("v1", "Pod", (1, [(1, b"\xff\xfe")])),
        body("v9", "Nothing"),
        protobuf.MAGIC + message((1, [(1, "v1"), (2, "Pod")]), (2, struct.pack("<BI", 0x0B, 1))),
    ],
)
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(errors.BadRequest):
        protobuf.decode(raw)


def test_every_field_of_the_table_is_a_published_one() -> None:
    for name, fields in protobuf._table().items():
        published = (definitions().get("io.k8s." + name) or {}).get("properties")
        if published is None or name.endswith((".Time", ".MicroTime")):
            continue
        for field, kind in fields.values():
            assert kind.startswith("<") or field in published, f"{name}.{field}"
