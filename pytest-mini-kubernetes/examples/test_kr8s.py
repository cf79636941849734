"""kr8s: objects of one's own, made, changed, waited for."""

import kr8s
import pytest
from kr8s.objects import ConfigMap, ServiceAccount
from pytest_mini_kubernetes import KubernetesAPI


@pytest.fixture
def api(kubernetes_api: KubernetesAPI) -> kr8s.Api:
    return kr8s.api(kubeconfig=str(kubernetes_api.kubeconfig))


def test_a_config_map_is_patched(api: kr8s.Api, kubernetes_namespace: str) -> None:
    settings = ConfigMap(
        {"metadata": {"name": "settings", "namespace": kubernetes_namespace}, "data": {"colour": "red"}}, api=api
    )
    settings.create()
    settings.patch({"data": {"size": "small"}})
    assert ConfigMap.get("settings", kubernetes_namespace, api=api).data == {"colour": "red", "size": "small"}


def test_every_namespace_gets_its_service_account(api: kr8s.Api, kubernetes_namespace: str) -> None:
    account = ServiceAccount({"metadata": {"name": "default", "namespace": kubernetes_namespace}}, api=api)
    for _ in api.watch("serviceaccounts", namespace=kubernetes_namespace):
        break
    assert account.exists()
