"""The controllers against a real API server, as their own user: whole flows, and what they survive.

Pods have no kubelet here; the tests play it by writing their status.
"""

import asyncio
import base64
from dataclasses import replace

import aiohttp
import pytest
from cryptography import x509

from apimachinery import errors, kinds, meta
from componentbase import pki
from componentbase.health import Checks
from componentbase.serving import serve_ops
from controllers import requests, slices
from kubeclient.delegation import DelegatedAuthorizer
from kubeclient.rest import Client
from tests.integration.conftest import eventually, make_ready, pods, running

pytestmark = pytest.mark.integration
CSR_ROLE = "system:certificates.k8s.io:certificatesigningrequests"


def deployment(namespace, *, replicas=3, image="one", strategy=None):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
            **({"strategy": strategy} if strategy else {}),
        },
    }


async def rolled_out(admin, namespace, image):
    """Play kubelet until the Deployment is complete with that image; the most pods and fewest ready seen on the way."""
    most, fewest = 0, 10**6

    async def look():
        nonlocal most, fewest
        present = await pods(admin, namespace)
        ready = sum(meta.is_condition_true(pod, "Ready") for pod in present)
        most, fewest = max(most, len(present)), min(fewest, ready)
        await make_ready(admin, namespace)
        found = await admin.get(kinds.DEPLOYMENT, "web", namespace=namespace)
        images = {pod["spec"]["containers"][0]["image"] for pod in present}
        complete = (meta.condition(found, "Progressing") or {}).get("reason") == "NewReplicaSetAvailable"
        seen = (found.get("status") or {}).get("observedGeneration") == found["metadata"]["generation"]
        return complete and seen and images == {image}

    await eventually(look)
    return most, fewest


async def test_every_namespace_has_its_account_and_ca(admin, controllers, namespace):
    async def look():
        account = await admin.list(kinds.SERVICE_ACCOUNT, namespace=namespace)
        config_map = await admin.list(kinds.CONFIG_MAP, namespace=namespace)
        return account["items"] and config_map["items"] and config_map["items"][0]["data"]["ca.crt"]

    assert (await eventually(look)).startswith("-----BEGIN CERTIFICATE-----")
    await admin.delete(kinds.SERVICE_ACCOUNT, "default", namespace=namespace)
    await eventually(look)


async def test_a_deployment_rolls_scales_and_rolls_back(admin, controllers, namespace):
    await admin.create(kinds.DEPLOYMENT, deployment(namespace))
    await rolled_out(admin, namespace, "one")
    body = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}
    await admin.patch(kinds.DEPLOYMENT, "web", body, namespace=namespace)
    most, fewest = await rolled_out(admin, namespace, "two")
    assert most <= 4
    assert fewest >= 3
    await admin.patch(kinds.DEPLOYMENT, "web", {"spec": {"replicas": 5}}, namespace=namespace)

    async def five():
        return len(await pods(admin, namespace)) == 5

    await eventually(five)
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "one"
    await admin.patch(kinds.DEPLOYMENT, "web", body, namespace=namespace)
    await rolled_out(admin, namespace, "one")
    sets = (await admin.list(kinds.REPLICA_SET, namespace=namespace))["items"]
    assert len(sets) == 2, "rolling back takes the ReplicaSet that is there"
    found = await admin.get(kinds.DEPLOYMENT, "web", namespace=namespace)
    assert meta.annotations(found)["deployment.kubernetes.io/revision"] == "3"


async def test_recreate_waits_for_the_old_pods(admin, controllers, namespace):
    await admin.create(kinds.DEPLOYMENT, deployment(namespace, replicas=2, strategy={"type": "Recreate"}))
    await rolled_out(admin, namespace, "one")
    body = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}
    await admin.patch(kinds.DEPLOYMENT, "web", body, namespace=namespace)
    most, _ = await rolled_out(admin, namespace, "two")
    assert most <= 2


async def test_a_deleted_pod_is_replaced_and_an_orphan_adopted(admin, controllers, namespace):
    orphan = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "orphan", "namespace": namespace, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "one"}]},
    }
    await admin.create(kinds.POD, orphan)
    made = deployment(namespace)
    replica_set = {**made, "kind": "ReplicaSet", "spec": {key: made["spec"][key] for key in ("selector", "template")}}
    replica_set["spec"]["replicas"] = 3
    await admin.create(kinds.REPLICA_SET, replica_set)

    async def three():
        present = await pods(admin, namespace)
        return len(present) == 3 and all(meta.controller_of(pod) for pod in present) and present

    names = {meta.name(pod) for pod in await eventually(three)}
    assert "orphan" in names
    await admin.delete(kinds.POD, "orphan", namespace=namespace, grace_period_seconds=0)
    assert "orphan" not in {meta.name(pod) for pod in await eventually(three)}


async def test_a_refused_template_is_said_in_the_status(admin, controllers, namespace):
    body = deployment(namespace)
    body["spec"]["template"]["spec"]["priorityClassName"] = "no-such-class"
    await admin.create(kinds.DEPLOYMENT, body)

    async def look():
        found = await admin.get(kinds.DEPLOYMENT, "web", namespace=namespace)
        return (meta.condition(found, "ReplicaFailure") or {}).get("reason") == "FailedCreate"

    await eventually(look)


async def test_a_service_lists_its_ready_pods(admin, controllers, namespace):
    spec = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace}, "spec": spec}
    await admin.create(kinds.SERVICE, service)
    await admin.create(kinds.DEPLOYMENT, deployment(namespace))
    await rolled_out(admin, namespace, "one")
    expected = {pod["status"]["podIP"] for pod in await pods(admin, namespace)}

    async def look():
        found = (await admin.list(kinds.ENDPOINT_SLICE, namespace=namespace))["items"]
        ready = {
            each["addresses"][0] for one in found for each in one.get("endpoints") or () if each["conditions"]["ready"]
        }
        old = await admin.get(kinds.ENDPOINTS, "web", namespace=namespace)
        listed = {each["ip"] for subset in old.get("subsets") or () for each in subset.get("addresses") or ()}
        return ready == expected == listed and found

    found = await eventually(look)
    assert found[0]["metadata"]["labels"][slices.SERVICE_NAME] == "web"
    await admin.delete(kinds.SERVICE, "web", namespace=namespace)

    async def gone():
        slices_left = (await admin.list(kinds.ENDPOINT_SLICE, namespace=namespace))["items"]
        return not slices_left and not (await admin.list(kinds.ENDPOINTS, namespace=namespace))["items"]

    await eventually(gone)


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
async def test_deletion_takes_dependents_along_as_asked(admin, controllers, policy):
    namespace = f"deletion-{policy.lower()}"
    await admin.create(kinds.NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    await admin.create(kinds.DEPLOYMENT, deployment(namespace))

    async def three():
        return len(await pods(admin, namespace)) == 3

    await eventually(three)
    await admin.delete(kinds.DEPLOYMENT, "web", namespace=namespace, propagation_policy=policy)

    async def settled():
        deployments = (await admin.list(kinds.DEPLOYMENT, namespace=namespace))["items"]
        sets = (await admin.list(kinds.REPLICA_SET, namespace=namespace))["items"]
        if policy == "Orphan":
            return not deployments and len(sets) == 1 and not meta.controller_of(sets[0])
        return not deployments and not sets and not await pods(admin, namespace)

    await eventually(settled)
    if policy == "Orphan":
        assert len(await pods(admin, namespace)) == 3


async def test_a_namespace_goes_with_all_that_is_in_it(admin, controllers, namespace):
    await admin.create(kinds.DEPLOYMENT, deployment(namespace))
    held = {"metadata": {"name": "held", "namespace": namespace, "finalizers": ["example.com/hold"]}}
    await admin.create(kinds.CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", **held})
    await admin.delete(kinds.NAMESPACE, namespace)

    async def blocked():
        found = await admin.get(kinds.NAMESPACE, namespace)
        return "example.com/hold" in (meta.condition(found, "NamespaceFinalizersRemaining") or {}).get("message", "")

    await eventually(blocked)
    await admin.patch(kinds.CONFIG_MAP, "held", {"metadata": {"finalizers": None}}, namespace=namespace)

    async def gone():
        try:
            await admin.get(kinds.NAMESPACE, namespace)
        except errors.NotFound:
            return True
        return False

    await eventually(gone)


async def test_nodes_get_ranges_and_taints_and_lose_their_pods_when_silent(admin, config, options):
    quick = replace(options, node_monitor_period=0.1, node_monitor_grace_period=2.0)
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": meta.now()}
    async with running(config, quick):
        for name in ("n1", "n2"):
            body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}}
            await admin.create(kinds.NODE, body)
            await admin.patch(kinds.NODE, name, {"status": {"conditions": [ready]}}, subresource="status")

        async def ready_nodes():
            nodes = (await admin.list(kinds.NODE))["items"]
            ranges = {node["spec"].get("podCIDR") for node in nodes}
            return len(ranges - {None}) == 2 and not any(node["spec"].get("taints") for node in nodes)

        await eventually(ready_nodes)
        toleration = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
        pod = {
            "containers": [{"name": "c", "image": "i"}],
            "nodeName": "n1",
            "tolerations": [{**toleration, "tolerationSeconds": 0}],
        }
        await admin.create(
            kinds.POD,
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": pod},
        )
        beating = asyncio.create_task(_heartbeats(admin, "n2"))

        async def evicted():
            node = await admin.get(kinds.NODE, "n1")
            keys = {(taint["key"], taint["effect"]) for taint in node["spec"].get("taints") or ()}
            found = await pods(admin, "default")
            return ("node.kubernetes.io/unreachable", "NoExecute") in keys and not found

        await eventually(evicted)
        other = await admin.get(kinds.NODE, "n2")
        assert meta.is_condition_true(other, "Ready")
        beating.cancel()
        for name in ("n1", "n2"):
            await admin.delete(kinds.NODE, name)


async def _heartbeats(admin, name):
    body = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": meta.now_micro()},
    }
    await admin.create(kinds.LEASE, body)
    while True:
        await asyncio.sleep(0.2)
        beat = {"spec": {"renewTime": meta.now_micro()}}
        await admin.patch(kinds.LEASE, name, beat, namespace="kube-node-lease")


async def test_a_kubelets_certificate_is_approved_and_signed(admin, config, controllers, options):
    key = pki.new_key()
    pem = pki.request(key, pki.Subject("system:node:n9", ("system:nodes",)))
    body = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "n9"},
        "spec": {
            "request": base64.b64encode(pem).decode(),
            "signerName": requests.KUBELET_CLIENT,
            "usages": ["digital signature", "client auth"],
        },
    }
    async with Client(replace(config, impersonate="system:node:n9")) as node:
        for role in ("system:node-bootstrapper", f"{CSR_ROLE}:selfnodeclient"):
            await admin.create(kinds.CLUSTER_ROLE_BINDING, _binding(f"test-{role}", role, "system:node:n9"))
        await node.create(kinds.CERTIFICATE_SIGNING_REQUEST, body)

    async def signed():
        found = await admin.get(kinds.CERTIFICATE_SIGNING_REQUEST, "n9")
        return (found.get("status") or {}).get("certificate")

    certificate = x509.load_pem_x509_certificate(base64.b64decode(await eventually(signed)))
    ca = pki.load_pair(options.cluster_signing_cert_file, options.cluster_signing_key_file)
    certificate.verify_directly_issued_by(ca.certificate)
    assert certificate.subject == x509.load_pem_x509_csr(pem).subject


def _binding(name, role, user):
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {
            "apiGroup": group,
            "kind": "ClusterRole",
            "name": role,
        },
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }


async def test_work_goes_on_after_a_restart_in_the_middle(admin, config, options, namespace):
    async with running(config, options):
        await admin.create(kinds.DEPLOYMENT, deployment(namespace, replicas=20))

        async def some():
            return len(await pods(admin, namespace)) >= 1

        await eventually(some)
    async with running(config, options):

        async def twenty():
            return len(await pods(admin, namespace)) == 20

        await eventually(twenty)
        await asyncio.sleep(0.2)
        assert await twenty(), "and no more"


async def test_metrics_are_for_those_who_may_get_them(config, admin):
    authorizer = DelegatedAuthorizer(admin, always_allow=["/version"])
    server = await serve_ops("127.0.0.1", 0, checks=Checks(), authorize=authorizer)
    cases = (
        ("/metrics", "", 403),
        ("/metrics", "jane-token", 403),
        ("/metrics", "nobody", 403),
        ("/metrics", config.token, 200),
        ("/metrics", config.token, 200),
        ("/version", "", 200),
        ("/healthz", "", 200),
    )
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        for path, token, code in cases:
            async with session.get(path, headers={"Authorization": f"Bearer {token}"} if token else {}) as response:
                assert response.status == code, (path, token)
    await server.stop()
