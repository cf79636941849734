"""The official client: a Deployment's pods are made by real controllers."""

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config, watch
from pytest_mini_kubernetes import KubernetesAPI


@pytest.fixture
def api_client(kubernetes_api: KubernetesAPI) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(str(kubernetes_api.kubeconfig)) as made:
        yield made


def test_a_deployment_makes_its_pods(api_client: client.ApiClient, kubernetes_namespace: str) -> None:
    container = {"name": "web", "image": "nginx"}
    labels = {"app": "web"}
    deployment: dict[str, Any] = {
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    client.AppsV1Api(api_client).create_namespaced_deployment(kubernetes_namespace, deployment)

    pods = client.CoreV1Api(api_client).list_namespaced_pod
    seen = set()
    for event in watch.Watch().stream(pods, kubernetes_namespace, label_selector="app=web", timeout_seconds=60):
        seen.add(event["object"].metadata.name)
        if len(seen) == 3:
            break
    assert len(seen) == 3


def test_what_the_schema_refuses_is_refused(api_client: client.ApiClient, kubernetes_namespace: str) -> None:
    pod = {"metadata": {"name": "no-containers"}, "spec": {"containers": []}}
    with pytest.raises(client.ApiException) as caught:
        client.CoreV1Api(api_client).create_namespaced_pod(kubernetes_namespace, pod)
    assert caught.value.status == 422
