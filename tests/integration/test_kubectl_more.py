"""kubectl where more than one command's output counts: proxies, completion, ApplySets, tokens, budgets, pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.apiserver import APIServerProcess

pytestmark = pytest.mark.integration
KUBECTL = str(os.environ.get("KUBECTL") or shutil.which("kubectl"))
Kubectl = Callable[..., str]
TIMEOUT_SECONDS = 60


@pytest.fixture(scope="module")
def environment(server: APIServerProcess) -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": str(server.kubeconfig()), "HOME": str(server.directory)}


@pytest.fixture(scope="module")
def kubectl(environment: dict[str, str]) -> Kubectl:
    """Run kubectl; what it prints, failed or not."""

    def run(*arguments: str, stdin: Any = None, **more: str) -> str:
        text = stdin if stdin is None or isinstance(stdin, str) else json.dumps(stdin)
        done = subprocess.run(
            [KUBECTL, *arguments], input=text, text=True, capture_output=True, timeout=TIMEOUT_SECONDS,
            env=environment | more,
        )  # fmt: skip
        return done.stdout + done.stderr

    return run


def config(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


def listed(*items: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def test_completion_names_kinds_objects_and_containers(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "completed")
    assert "deployments.apps" in kubectl("__complete", "get", "depl")
    assert "completed" in kubectl("__complete", "get", "configmap", "comp").splitlines()
    assert "default" in kubectl("__complete", "get", "pods", "-n", "def").splitlines()


def test_an_apply_set_prunes_what_left_it(kubectl: Kubectl) -> None:
    both, one = listed(config("kept"), config("gone")), listed(config("kept"))
    flags = ("apply", "-n", "default", "--prune", "--applyset=sets", "-f", "-")
    first = kubectl(*flags, stdin=both, KUBECTL_APPLYSET="true")
    assert "configmap/kept created\nconfigmap/gone created" in first, first
    second = kubectl(*flags, stdin=one, KUBECTL_APPLYSET="true")
    assert "configmap/gone pruned" in second, second
    parent = json.loads(kubectl("get", "secret", "sets", "-o", "json"))
    assert parent["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"] == "ConfigMap"
    assert kubectl("get", "configmap", "gone").startswith("Error from server (NotFound)")


def test_prune_with_a_selector_keeps_the_rest(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=listed(config("mine", set="p"), config("old", set="p"), config("other", set="q")))
    flags = ("--prune", "-l", "set=p", "--prune-allowlist=core/v1/ConfigMap")
    assert "configmap/old pruned" in kubectl("apply", "-f", "-", *flags, stdin=config("mine", set="p"))
    assert kubectl("get", "configmaps", "-l", "set in (p,q)", "-o", "name") == "configmap/mine\nconfigmap/other\n"


def test_the_proxy_serves_the_api_without_credentials(environment: dict[str, str]) -> None:
    with subprocess.Popen([KUBECTL, "proxy", "--port=0"], stdout=subprocess.PIPE, text=True, env=environment) as proxy:
        assert proxy.stdout is not None
        try:
            address = re.search(r"127\.0\.0\.1:\d+", proxy.stdout.readline())
            assert address
            with urllib.request.urlopen(f"http://{address[0]}/api/v1/namespaces/default", timeout=30) as answer:
                assert json.loads(answer.read())["metadata"]["name"] == "default"
        finally:
            proxy.terminate()


def test_a_token_is_who_it_was_made_for(kubectl: Kubectl) -> None:
    kubectl("create", "serviceaccount", "robot")
    token = kubectl("create", "token", "robot", "--duration=10m").strip()
    assert token.count(".") == 2
    said = kubectl("auth", "whoami", "--token", token, "-o", "json")
    assert json.loads(said)["status"]["userInfo"]["username"] == "system:serviceaccount:default:robot"


def test_pages_add_up_to_the_whole(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "pages")
    kubectl("apply", "-n", "pages", "-f", "-", stdin=listed(*(config(f"c{index:02}") for index in range(23))))
    names = kubectl("get", "configmaps", "-n", "pages", "-o", "name", "--chunk-size=5").split()
    assert names == [f"configmap/c{index:02}" for index in range(23)]
    told = kubectl("get", "--raw", "/api/v1/namespaces/pages/configmaps?limit=5")
    assert json.loads(told)["metadata"]["remainingItemCount"] == 18


def test_a_budget_that_is_used_up_stops_a_drain(kubectl: Kubectl, server: APIServerProcess) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "guarded", "labels": {"app": "g"}}}
    pod["spec"] = {"nodeName": "n", "containers": [{"name": "c", "image": "a"}], "terminationGracePeriodSeconds": 0}
    selector = {"matchLabels": {"app": "g"}}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}}
    budget["spec"] = {"minAvailable": 1, "selector": selector}
    kubectl(
        "create", "-f", "-", stdin=listed({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}, pod, budget)
    )
    running = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    kubectl("patch", "pod", "guarded", "--subresource=status", "--type=merge", "-p", json.dumps(running))
    seen = {"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    patch = ("patch", "pdb", "b", "--subresource=status", "--type=merge", "-p")
    kubectl(*patch, json.dumps({"status": {**seen, "disruptionsAllowed": 0}}))
    refused = kubectl("drain", "n", "--force", "--timeout=1s")
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused
    assert "will retry after 5s" in refused
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "guarded", "namespace": "default"}}
    answer = server.request("POST", "/api/v1/namespaces/default/pods/guarded/eviction", body)
    assert (answer.code, answer.json()["reason"]) == (429, "TooManyRequests")
    assert "Retry-After" not in answer.headers  # or client libraries would wait where drain wants to say why
    kubectl(*patch, json.dumps({"status": {**seen, "disruptionsAllowed": 1}}))
    for _ in range(2):  # a try spends nothing of the budget
        assert "evicting pod default/guarded (server dry run)" in kubectl("drain", "n", "--force", "--dry-run=server")
    assert kubectl("get", "pdb", "b", "-o", "jsonpath={.status.disruptionsAllowed}{.status.disruptedPods}") == "1"
    assert "node/n drained" in kubectl("drain", "n", "--force", "--timeout=30s")


def test_the_whole_cluster_is_dumped(kubectl: Kubectl, tmp_path: Path) -> None:
    assert "Cluster info dumped to" in kubectl("cluster-info", "dump", f"--output-directory={tmp_path}")
    assert json.loads((tmp_path / "nodes.json").read_text())["kind"] == "NodeList"
    assert (tmp_path / "kube-system" / "events.json").exists()


def test_kustomize_is_applied_and_removed(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("namePrefix: k-\nconfigMapGenerator: [{name: m, literals: [a=b]}]\n")
    assert re.fullmatch(r"configmap/k-m-\w+ created\n", kubectl("apply", "-k", str(tmp_path)))
    assert kubectl("diff", "-k", str(tmp_path)) == ""
    assert re.fullmatch(r'configmap "k-m-\w+" deleted.*\n', kubectl("delete", "-k", str(tmp_path)))


def test_no_usage_without_nodes_that_answer(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin={"apiVersion": "v1", "kind": "Node", "metadata": {"name": "silent"}})
    assert "metrics not available yet" in kubectl("top", "node")
    assert '"kind":"NodeMetricsList"' in kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes")
    assert kubectl("auth", "can-i", "list", "pods.metrics.k8s.io", "--as=jane") == "no\n"
    kubectl("create", "rolebinding", "jane-views", "--clusterrole=view", "--user=jane")
    assert kubectl("auth", "can-i", "list", "pods.metrics.k8s.io", "--as=jane") == "yes\n"
