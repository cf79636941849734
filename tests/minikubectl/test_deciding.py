"""What verbs decide before anything is sent: pure functions from objects and flags to objects and plans."""

from typing import Any

import pytest

from minikubectl import pruning
from minikubectl.creating import pod_of, service_for
from minikubectl.explaining import type_name
from minikubectl.generating import GENERATORS, read_data, role_rules
from minikubectl.labelling import split, tainted
from minikubectl.nodes import Allowed, plan_drain
from minikubectl.session import Failed
from minikubectl.setting import with_images, with_variables
from minikubectl.tables import Printer, as_table

JSON = dict[str, Any]


def pod(name: str = "p", *, owner: str = "", **spec: Any) -> JSON:
    owners = [{"kind": owner, "name": "o", "uid": "u", "controller": True}] if owner else []
    metadata = {"name": name, "namespace": "ns", "ownerReferences": owners}
    return {"kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


EMPTY_DIR = {"volumes": [{"name": "v", "emptyDir": {}}]}


def test_a_drain_takes_what_comes_up_elsewhere_and_refuses_what_would_be_lost() -> None:
    pods = [pod("web", owner="ReplicaSet"), pod("ds", owner="DaemonSet"), pod("bare"),
            pod("cache", owner="ReplicaSet", **EMPTY_DIR)]  # fmt: skip
    plan = plan_drain(pods, Allowed())
    assert [each["metadata"]["name"] for each in plan.evict] == ["web"]
    assert plan.errors == [
        "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): ns/ds",
        "cannot delete Pods with local storage (use --delete-emptydir-data to override): ns/cache",
        "cannot delete Pods that declare no controller (use --force to override): ns/bare",
    ]


def test_a_drain_with_every_flag_leaves_only_daemons_and_mirrors() -> None:
    mirror = pod("static")
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    plan = plan_drain([pod("ds", owner="DaemonSet"), pod("bare", **EMPTY_DIR), mirror], Allowed(True, True, True))
    assert ([each["metadata"]["name"] for each in plan.evict], plan.errors) == (["bare"], [])
    assert plan.warnings == [
        "ignoring DaemonSet-managed Pods: ns/ds",
        "deleting Pods that declare no controller: ns/bare",
    ]


def test_ended_pods_keep_nobody_from_draining() -> None:
    ended = {**pod("done", **EMPTY_DIR), "status": {"phase": "Succeeded"}}
    assert plan_drain([ended], Allowed()).evict == [ended]


def test_pruning_everything_has_to_be_asked_for() -> None:
    pruning.check_flags(True, True, "")
    pruning.check_flags(True, False, "a=b")
    with pytest.raises(Failed, match="without explicitly passing --all"):
        pruning.check_flags(True, False, "")


def test_words_are_resources_then_changes() -> None:
    assert split(("deploy", "web", "a=b", "x.io/c-"), "label") == (("deploy", "web"), {"a": "b", "x.io/c": None})
    with pytest.raises(Failed, match="all resources must be specified before label changes: web"):
        split(("deploy", "a=b", "web"), "label")


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("b=2:NoExecute",), [("a", "NoSchedule"), ("a", "NoExecute"), ("b", "NoExecute")]),
        (("a:NoSchedule-",), [("a", "NoExecute")]),
        (("a-", "b:NoSchedule"), [("b", "NoSchedule")]),
    ],
)
def test_taints_are_set_and_removed_by_key_and_effect(words: tuple[str, ...], left: list[tuple[str, str]]) -> None:
    taints = [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"}]
    node = tainted({"metadata": {"name": "n"}, "spec": {"taints": taints}}, words, overwrite=False)
    assert [(each["key"], each["effect"]) for each in node["spec"]["taints"]] == left


def test_images_and_variables_of_pods_within_workloads() -> None:
    template = {"spec": pod(initContainers=[{"name": "i", "image": "x"}])["spec"]}
    cron = {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template}}}}
    with_images(cron, {"*": "new"})
    assert [each["image"] for each in (*template["spec"]["containers"], *template["spec"]["initContainers"])] == [
        "new", "new",
    ]  # fmt: skip
    with_variables(cron, {"A": "1", "B": "2"}, [], "c")
    with_variables(cron, {"A": None}, [], "*")
    assert template["spec"]["containers"][0]["env"] == [{"name": "B", "value": "2"}]


def test_rules_are_one_for_each_api_group() -> None:
    assert role_rules(["get,list"], ["pods", "deployments.apps/scale", "pods/log"], []) == [
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "list"]},
    ]


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(Failed, match='cannot add key "a", another key by that name already exists'):
        read_data(["a=1", "a=2"])


def test_an_exposed_deployment_gives_its_selector_and_ports() -> None:
    container = {"name": "c", "ports": [{"containerPort": 80}, {"containerPort": 81, "protocol": "UDP"}]}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [container]}}}
    flags = ("port", "target_port", "protocol", "selector", "labels", "type_", "cluster_ip", "external_ip")
    made = service_for(
        {"kind": "Deployment", "metadata": {"name": "d"}, "spec": spec},
        **dict.fromkeys((*flags, "session_affinity"), ""),
    )
    assert made["spec"] == {
        "selector": {"a": "b"},
        "ports": [
            {"port": 80, "protocol": "TCP", "targetPort": 80, "name": "port-1"},
            {"port": 81, "protocol": "UDP", "targetPort": 81, "name": "port-2"},
        ],
    }


def test_a_pod_that_is_removed_when_it_ends_has_its_input_once() -> None:
    made = pod_of(
        "p", line=("sh",), image="i", port=0, variables=(), labels="", annotations=(), restart="Never", policy="",
        is_command=False, stdin=True, terminal=True, once=True,
    )  # fmt: skip
    container = {"name": "p", "image": "i", "args": ["sh"], "stdin": True, "stdinOnce": True, "tty": True}
    assert made["spec"]["containers"] == [container]


def test_every_generator_has_a_sentence() -> None:
    assert all(summary.strip() for _, _, _, summary in GENERATORS.values())


def test_types_of_fields_are_named_as_kubectl_names_them() -> None:
    assert type_name({"type": ["array", "null"], "items": {"type": "string"}}) == "[]string"
    assert type_name({"additionalProperties": {"type": "integer"}, "type": "object"}) == "map[string]integer"


def test_states_have_colours_that_do_not_shift_columns() -> None:
    headers, rows = ("NAME", "STATUS", "AGE"), [["web", "Running", "1s"], ["db", "CrashLoopBackOff", "2s"]]
    lines = Printer().lines(as_table(headers, rows))
    assert lines[1:] == [
        "web    \x1b[32mRunning\x1b[0m            1s",
        "db     \x1b[31mCrashLoopBackOff\x1b[0m   2s",
    ]
