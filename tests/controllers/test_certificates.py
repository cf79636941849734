"""Certificate requests: what each signer refuses, who is approved by itself, what is cleaned up."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from componentbase import pki
from controllers import certificates, requests

NODE = "system:node:n1"
CLIENT_USAGES = ("digital signature", "client auth")
SERVER_USAGES = ("digital signature", "server auth")


def request(signer, *, name=NODE, groups=("system:nodes",), dns=(), ips=(), usages=CLIENT_USAGES, user="boot", of=()):
    pem = pki.request(pki.new_key(), pki.Subject(name, tuple(groups), tuple(dns), tuple(ips)))
    spec = {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": list(usages)}
    return {
        "metadata": {"name": "csr", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {**spec, "username": user, "groups": list(of)},
    }


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (request(requests.KUBELET_CLIENT), False),
        (request(requests.KUBELET_CLIENT, usages=(*CLIENT_USAGES, "key encipherment")), False),
        (request(requests.KUBELET_CLIENT, dns=["n1"]), True),
        (request(requests.KUBELET_CLIENT, name="jane"), True),
        (request(requests.KUBELET_CLIENT, groups=["system:masters"]), True),
        (request(requests.KUBELET_CLIENT, usages=SERVER_USAGES), True),
        (request(requests.KUBELET_SERVING, dns=["n1"], usages=SERVER_USAGES), False),
        (request(requests.KUBELET_SERVING, usages=SERVER_USAGES), True),
        (request(requests.CLIENT, name="jane", groups=["dev"]), False),
        (request(requests.CLIENT, name="jane", usages=SERVER_USAGES), True),
        (request(requests.LEGACY, name="x", usages=["any"]), False),
    ],
)
def test_signers_refuse(given, refused):
    spec = given["spec"]
    assert bool(requests.refusal(requests.parse(given), spec["signerName"], spec["usages"])) == refused


def test_what_is_no_request_is_said():
    with pytest.raises(ValueError, match="unable to parse"):
        requests.parse({"spec": {"request": base64.b64encode(b"junk").decode()}})


def test_who_may_have_a_client_certificate():
    assert requests.client_permissions(*_with_parsed(request(requests.KUBELET_CLIENT))) == ("nodeclient",)
    assert "selfnodeclient" in requests.client_permissions(*_with_parsed(request(requests.KUBELET_CLIENT, user=NODE)))
    assert requests.client_permissions(*_with_parsed(request(requests.CLIENT))) == ()


@pytest.mark.parametrize(
    ("dns", "ips", "user", "approved"),
    [
        (["n1"], ["172.30.0.2"], NODE, True),
        (["n1"], ["10.0.0.1"], NODE, False),
        (["kubernetes"], [], NODE, False),
        (["n1"], [], "system:node:n2", False),
    ],
)
def test_serving_certificates_for_a_nodes_own_addresses(dns, ips, user, approved):
    node = {"metadata": {"name": "n1"}, "status": {"addresses": [{"address": "172.30.0.2"}]}}
    obj = request(requests.KUBELET_SERVING, dns=dns, ips=ips, usages=SERVER_USAGES, user=user, of=["system:nodes"])
    assert requests.is_own_serving(obj, requests.parse(obj), node) == approved
    assert not requests.is_own_serving(obj, requests.parse(obj), None)


NOW = datetime(2026, 1, 2, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("conditions", "age", "stale"),
    [
        ([], timedelta(hours=23), False),
        ([], timedelta(hours=25), True),
        ([("Approved", timedelta(minutes=50))], timedelta(hours=30), False),
        ([("Approved", timedelta(minutes=70))], timedelta(hours=2), True),
        ([("Denied", timedelta(minutes=70))], timedelta(hours=2), True),
    ],
)
def test_cleaning(conditions, age, stale):
    obj = request(requests.CLIENT)
    obj["metadata"]["creationTimestamp"] = (NOW - age).isoformat()
    obj["status"] = {
        "conditions": [
            {"type": type_, "status": "True", "lastUpdateTime": (NOW - ago).isoformat()} for type_, ago in conditions
        ]
    }
    assert certificates.is_stale(obj, now=NOW) == stale


def _with_parsed(obj):
    return obj, requests.parse(obj)
