"""kopf: an operator runs against the API server, in the test's own process."""

from pathlib import Path

import pytest
from kopf.testing import KopfRunner
from kubernetes import client, config, watch
from pytest_mini_kubernetes import KubernetesAPI

OPERATOR = Path(__file__).with_name("operator_greeting.py")


def test_the_operator_greets_who_asks(
    kubernetes_api: KubernetesAPI, kubernetes_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_api.kubeconfig))
    body = {"metadata": {"name": "world", "labels": {"greet": "please"}}}
    with (
        config.new_client_from_config(str(kubernetes_api.kubeconfig)) as api_client,
        KopfRunner(["run", "--standalone", f"--namespace={kubernetes_namespace}", str(OPERATOR)], timeout=60) as runner,
    ):
        core = client.CoreV1Api(api_client)
        core.create_namespaced_config_map(kubernetes_namespace, body)
        events = watch.Watch().stream(
            core.list_namespaced_config_map, kubernetes_namespace, label_selector="greet", timeout_seconds=60
        )
        greeted = next(event["object"].data for event in events if event["object"].data)
    assert greeted == {"greeting": "Hello, world!"}
    assert runner.exit_code == 0, runner.output
