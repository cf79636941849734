"""Roles, bindings and certificate signing requests."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apimachinery import kinds
from apimachinery.kinds import Kind
from apiserver.registry.table import strategy_for
from tests.apiserver.registry.objects import NOW, changed, context, made, refused

CSR = kinds.CERTIFICATE_SIGNING_REQUEST
STRATEGY = strategy_for(CSR)
RBAC = "rbac.authorization.k8s.io"


def request() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bob")])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


REQUEST = request()


def csr(**more: Any) -> dict[str, Any]:
    spec = {"request": REQUEST, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}
    return made(CSR, {"spec": {**spec, **more}}, context("bob", "dev"))


def decided(kind: str) -> dict[str, Any]:
    return {"type": kind, "status": "True", "reason": "r", "message": "m"}


def test_the_server_says_who_asks() -> None:
    obj = csr(username="somebody", groups=["system:masters"], uid="x", extra={"a": ["b"]})
    assert {name: obj["spec"].get(name) for name in ("username", "groups", "uid", "extra")} == {
        "username": "bob", "groups": ["dev"], "uid": "uid-bob", "extra": None,
    }  # fmt: skip
    assert not obj.get("status")


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, []),
        ({"signerName": ""}, ["spec.signerName: Required value: signerName must be provided"]),
        ({"usages": []}, ["spec.usages: Required value: usages must be provided"]),
        (
            {"expirationSeconds": 60},
            [
                "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 600 seconds "
                "(10 minutes)"
            ],
        ),
    ],
)
def test_requests_that_are_refused(more: dict[str, Any], wanted: list[str]) -> None:
    assert refused(CSR, csr(**more)) == wanted


def test_what_is_no_request_is_refused() -> None:
    assert [text.partition(":")[0] for text in refused(CSR, csr(request="bm90IHBlbQ=="))] == ["spec.request"]


def test_only_approval_decides_and_only_status_certifies() -> None:
    old = csr()
    new = copy.deepcopy(old)
    new["status"] = {"conditions": [decided("Approved")], "certificate": "Yw=="}
    approved, faults = changed(STRATEGY, old, new, "approval")
    assert faults == []
    condition = {**decided("Approved"), "lastUpdateTime": NOW, "lastTransitionTime": NOW}
    assert approved["status"] == {"conditions": [condition]}
    undecided, _ = changed(STRATEGY, old, new, "status")
    assert undecided["status"] == {"certificate": "Yw=="}
    by_update, _ = changed(STRATEGY, old, new)
    assert not by_update.get("status")


def test_a_decision_stands() -> None:
    old = csr()
    old["status"] = {"conditions": [decided("Approved")]}
    new = copy.deepcopy(old)
    new["status"]["conditions"].append(decided("Denied"))
    assert changed(STRATEGY, old, new, "approval")[1] == [
        'status.conditions: Invalid value: "Approved": Approved and Denied conditions are mutually exclusive'
    ]
    new["status"]["conditions"] = []
    assert changed(STRATEGY, old, new, "approval")[1] == [
        "status.conditions: Forbidden: updates may not remove a condition of type 'Approved'"
    ]


def test_the_request_never_changes() -> None:
    old = csr()
    new = copy.deepcopy(old)
    new["spec"]["usages"] = ["server auth"]
    stored, faults = changed(STRATEGY, old, new)
    assert (stored["spec"], faults) == (old["spec"], [])


def binding(*subjects: dict[str, Any], kind: str = "Role") -> dict[str, Any]:
    return {"roleRef": {"kind": kind, "name": "r"}, "subjects": list(subjects)}


REFUSED: list[tuple[Kind, dict[str, Any], list[str]]] = [
    (kinds.ROLE, {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}, []),
    (
        kinds.ROLE,
        {"rules": [{"apiGroups": [""], "resources": ["pods"]}]},
        ["rules[0].verbs: Required value: verbs must contain at least one value"],
    ),
    (
        kinds.ROLE,
        {"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]},
        ['rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs'],
    ),
    (kinds.CLUSTER_ROLE, {"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]}, []),
    (kinds.ROLE_BINDING, binding({"kind": "User", "name": "a"}), []),
    (kinds.ROLE_BINDING, binding({"kind": "User"}), ["subjects[0].name: Required value"]),
    (
        kinds.ROLE_BINDING,
        binding({"kind": "Robot", "name": "a"}),
        ['subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"'],
    ),
    (
        kinds.CLUSTER_ROLE_BINDING,
        binding(kind="Role"),
        ['roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"'],
    ),
    (
        kinds.CLUSTER_ROLE_BINDING,
        binding({"kind": "ServiceAccount", "name": "a"}, kind="ClusterRole"),
        ["subjects[0].namespace: Required value"],
    ),
]


@pytest.mark.parametrize(("kind", "body", "wanted"), REFUSED)
def test_roles_and_bindings_that_are_refused(kind: Kind, body: dict[str, Any], wanted: list[str]) -> None:
    assert refused(kind, body) == wanted


def test_a_binding_names_its_groups_and_keeps_its_role() -> None:
    old = made(kinds.ROLE_BINDING, binding({"kind": "Group", "name": "dev"}))
    assert old["roleRef"]["apiGroup"] == RBAC
    assert old["subjects"] == [{"kind": "Group", "name": "dev", "apiGroup": RBAC}]
    new = copy.deepcopy(old)
    new["roleRef"]["name"] = "other"
    _, faults = changed(strategy_for(kinds.ROLE_BINDING), old, new)
    assert [text.rpartition(": ")[2] for text in faults] == ["cannot change roleRef"]
