"""The official Python client against the real API server."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubernetes import client, dynamic, watch

from tests.fixtures.apiserver import APIServerProcess

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:Unverified HTTPS request")]
NAMESPACE = "default"


@pytest.fixture(scope="module")
def api(api_server: APIServerProcess) -> Iterator[client.ApiClient]:
    configuration = client.Configuration()
    configuration.host = api_server.url
    configuration.verify_ssl = False
    configuration.api_key = {"authorization": f"Bearer {api_server.token}"}
    with client.ApiClient(configuration) as connected:
        yield connected


def container() -> client.V1Container:
    return client.V1Container(name="c", image="nginx:1")


def pod(name: str) -> client.V1Pod:
    metadata = client.V1ObjectMeta(name=name, labels={"app": name})
    return client.V1Pod(metadata=metadata, spec=client.V1PodSpec(containers=[container()]))


def refused(call: Callable[[], object]) -> client.ApiException:
    with pytest.raises(client.ApiException) as caught:
        call()
    return caught.value


def test_pods_are_created_listed_patched_and_deleted(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    made = core.create_namespaced_pod(NAMESPACE, pod("one"))
    assert (made.status.phase, made.spec.restart_policy) == ("Pending", "Always")
    patched = core.patch_namespaced_pod("one", NAMESPACE, {"metadata": {"labels": {"x": "y"}}})
    assert patched.metadata.labels == {"app": "one", "x": "y"}
    found = core.list_namespaced_pod(NAMESPACE, label_selector="x=y").items
    assert [each.metadata.name for each in found] == ["one"]
    core.delete_namespaced_pod("one", NAMESPACE, grace_period_seconds=0)
    assert refused(lambda: core.read_namespaced_pod("one", NAMESPACE)).status == 404


def test_a_deployment_is_scaled_and_its_status_kept_apart(api: client.ApiClient) -> None:
    apps = client.AppsV1Api(api)
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels={"app": "d"}), spec=client.V1PodSpec(containers=[container()])
    )
    spec = client.V1DeploymentSpec(selector=client.V1LabelSelector(match_labels={"app": "d"}), template=template)
    body = client.V1Deployment(metadata=client.V1ObjectMeta(name="d"), spec=spec)
    assert apps.create_namespaced_deployment(NAMESPACE, body).spec.strategy.rolling_update.max_surge == "25%"
    apps.patch_namespaced_deployment_scale("d", NAMESPACE, {"spec": {"replicas": 3}})
    apps.patch_namespaced_deployment_status("d", NAMESPACE, {"status": {"replicas": 1}, "spec": {"replicas": 9}})
    found = apps.read_namespaced_deployment("d", NAMESPACE)
    assert (found.spec.replicas, found.status.replicas, found.metadata.generation) == (3, 1, 2)
    found.spec.replicas = 4
    assert apps.replace_namespaced_deployment("d", NAMESPACE, found).metadata.generation == 3
    assert refused(lambda: apps.replace_namespaced_deployment("d", NAMESPACE, found)).reason == "Conflict"
    apps.delete_namespaced_deployment("d", NAMESPACE)


def test_a_watch_sees_each_change_in_order(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    version = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="w"), data={"a": "1"})
    core.create_namespaced_config_map(NAMESPACE, body)
    core.patch_namespaced_config_map("w", NAMESPACE, {"data": {"a": "2"}})
    core.delete_namespaced_config_map("w", NAMESPACE)
    seen = []
    watching = watch.Watch()
    events = watching.stream(
        core.list_namespaced_config_map, NAMESPACE, resource_version=version, field_selector="metadata.name=w",
        timeout_seconds=20,
    )  # fmt: skip
    for event in events:
        seen.append((event["type"], event["object"].data["a"]))
        if event["type"] == "DELETED":
            watching.stop()
    assert seen == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]


def test_an_invalid_object_is_refused_with_every_cause(api: client.ApiClient) -> None:
    wrong = pod("Wrong")
    wrong.spec.containers[0].image = ""
    error = refused(lambda: client.CoreV1Api(api).create_namespaced_pod(NAMESPACE, wrong))
    assert error.status == 422
    assert "metadata.name" in error.body
    assert "spec.containers[0].image" in error.body


def test_a_certificate_signing_request_is_approved(api: client.ApiClient) -> None:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bob")])
    key = ec.generate_private_key(ec.SECP256R1())
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    request = base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()
    spec = client.V1CertificateSigningRequestSpec(
        request=request, signer_name="kubernetes.io/kube-apiserver-client", usages=["client auth"]
    )
    certificates = client.CertificatesV1Api(api)
    body = client.V1CertificateSigningRequest(metadata=client.V1ObjectMeta(name="bob"), spec=spec)
    made = certificates.create_certificate_signing_request(body)
    assert made.spec.username == "admin"
    approved = client.V1CertificateSigningRequestCondition(type="Approved", status="True", reason="Test", message="yes")
    made.status = client.V1CertificateSigningRequestStatus(conditions=[approved])
    answered = certificates.replace_certificate_signing_request_approval("bob", made)
    assert [each.type for each in answered.status.conditions] == ["Approved"]
    certificates.delete_certificate_signing_request("bob")


def test_server_side_apply_by_the_dynamic_client(api: client.ApiClient) -> None:
    config_maps = dynamic.DynamicClient(api).resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}, "data": {"a": "1"}}

    def apply(manager: str, value: str, *, force: bool = False) -> dynamic.ResourceInstance:
        wanted = {**body, "data": {"a": value}}
        return config_maps.server_side_apply(
            body=wanted, name="ssa", namespace=NAMESPACE, field_manager=manager, force_conflicts=force
        )

    assert apply("one", "1").metadata.managedFields[0].manager == "one"
    with pytest.raises(dynamic.exceptions.ConflictError):
        apply("two", "2")
    assert apply("two", "2", force=True).data.a == "2"


def test_an_eviction_asks_the_disruption_budget(api: client.ApiClient) -> None:
    core, policy = client.CoreV1Api(api), client.PolicyV1Api(api)
    core.create_namespaced_pod(NAMESPACE, pod("e"))
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    core.patch_namespaced_pod_status("e", NAMESPACE, ready)
    spec = client.V1PodDisruptionBudgetSpec(min_available=1, selector=client.V1LabelSelector(match_labels={"app": "e"}))
    body = client.V1PodDisruptionBudget(metadata=client.V1ObjectMeta(name="b"), spec=spec)
    policy.create_namespaced_pod_disruption_budget(NAMESPACE, body)
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name="e", namespace=NAMESPACE))

    def evict() -> object:
        return core.create_namespaced_pod_eviction("e", NAMESPACE, eviction)

    def allow(disruptions: int) -> None:
        status = {"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": disruptions,
                  "expectedPods": 1}  # fmt: skip
        policy.patch_namespaced_pod_disruption_budget_status("b", NAMESPACE, {"status": status})

    allow(0)
    error = refused(evict)
    assert error.status == 429
    assert "DisruptionBudget" in error.body
    assert "The disruption budget b needs 1 healthy pods and has 1 currently" in error.body
    allow(1)
    evict()
    assert refused(lambda: core.read_namespaced_pod("e", NAMESPACE)).status == 404
    assert policy.read_namespaced_pod_disruption_budget("b", NAMESPACE).status.disruptions_allowed == 0
