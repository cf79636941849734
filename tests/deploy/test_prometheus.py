"""The configuration of Prometheus, its rules and the dashboards, as promtool and Prometheus read them."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARDS = sorted((ROOT / "deploy/grafana").glob("*.json"))
JSON = dict[str, Any]


@pytest.fixture(scope="module")
def promtool() -> str:
    done = subprocess.run([ROOT / "deploy/promtool.sh"], text=True, capture_output=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def discovery() -> Any:
    spec = importlib.util.spec_from_file_location("discovery", PROMETHEUS / "discovery.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(*argv: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(argv, text=True, capture_output=True, timeout=60, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.integration
def test_the_configuration_is_valid(promtool: str) -> None:
    check(promtool, "check", "config", "--syntax-only", "--lint-fatal", PROMETHEUS / "prometheus.yml")


@pytest.mark.integration
def test_alerts_fire_when_they_should_and_only_then(promtool: str, tmp_path: Path) -> None:
    for file in (PROMETHEUS / "rules.yml", ROOT / "tests/deploy/rules_test.yml"):
        shutil.copy(file, tmp_path)
    check(promtool, "check", "rules", "--lint=all", "--lint-fatal", "rules.yml", cwd=tmp_path)
    check(promtool, "test", "rules", "rules_test.yml", cwd=tmp_path)


def test_every_alert_has_a_severity_and_says_what_is_wrong() -> None:
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) > 20
    for rule in alerts:
        assert rule["labels"]["severity"] in ("critical", "warning", "none")
        assert rule["annotations"]["summary"].endswith(".") or rule["annotations"]["summary"].endswith("POD).")


def test_nodes_become_targets_with_the_labels_of_kubernetes_own_discovery(discovery: Any) -> None:
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "one"}]
    node = {
        "metadata": {"name": "one", "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "status": {"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}},
    }
    silent = {"metadata": {"name": "new"}, "status": {}}
    (group,) = discovery.node_targets([node, silent])
    assert group["targets"] == ["10.0.0.1:10250"]
    assert group["labels"] == {
        "instance": "one",
        "__meta_kubernetes_node_name": "one",
        "__meta_kubernetes_node_address_InternalIP": "10.0.0.1",
        "__meta_kubernetes_node_address_Hostname": "one",
        "__meta_kubernetes_node_label_node_role_kubernetes_io_control_plane": "",
        "__meta_kubernetes_node_labelpresent_node_role_kubernetes_io_control_plane": "true",
    }


def test_each_address_and_port_of_a_service_becomes_a_target(discovery: Any) -> None:
    pod = {"kind": "Pod", "name": "dns-1", "namespace": "kube-system"}
    endpoints = {
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "subsets": [
            {
                "addresses": [{"ip": "10.244.0.2", "nodeName": "one", "targetRef": pod}],
                "notReadyAddresses": [{"ip": "10.244.0.3"}],
                "ports": [{"name": "dns", "port": 53}, {"name": "metrics", "port": 9153}],
            }
        ],
    }
    dns, metrics = discovery.endpoint_targets([endpoints, {"metadata": {"name": "empty", "namespace": "default"}}])
    assert (dns["targets"], metrics["targets"]) == (["10.244.0.2:53"], ["10.244.0.2:9153"])
    assert metrics["labels"] == {
        "__meta_kubernetes_namespace": "kube-system",
        "__meta_kubernetes_service_name": "kube-dns",
        "__meta_kubernetes_endpoint_port_name": "metrics",
        "__meta_kubernetes_endpoint_node_name": "one",
        "__meta_kubernetes_pod_name": "dns-1",
    }


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_dashboards_have_panels_with_ids_and_queries_of_their_own(file: Path) -> None:
    dashboard: JSON = json.loads(file.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert re.fullmatch(r"mini-[a-z-]+", dashboard["uid"])
    for panel in panels:
        if panel["type"] != "row":
            assert panel["targets"] and all(target["expr"] and target["legendFormat"] for target in panel["targets"])
