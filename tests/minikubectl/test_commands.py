"""minikubectl against a real API server: output, messages and exit codes as kubectl's."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.apiserver import ROOT, APIServerProcess

pytestmark = pytest.mark.integration

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "web:1", env: [{name: A, value: "1"}, {name: B, value: "2"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Mini = Callable[..., Ran]


@pytest.fixture
def mini(api_server: APIServerProcess, tmp_path: Path) -> Mini:
    """Run minikubectl in a namespace of the test's own."""
    space = f"test-{os.urandom(4).hex()}"
    api_server.request("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
    kubeconfig = str(api_server.kubeconfig())

    def run(*args: str, stdin: str = "", namespace: str = space) -> Ran:
        command = [sys.executable, "-m", "minikubectl", "--kubeconfig", kubeconfig, "-n", namespace, *args]
        ended = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=ROOT, timeout=60)
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return run


def test_apply_says_what_it_did_and_changes_only_what_changed(mini: Mini) -> None:
    assert mini("apply", "-f", "-", stdin=WEB).out == "deployment.apps/web created\nservice/web created\n"
    assert mini("apply", "-f", "-", stdin=WEB).out == "deployment.apps/web unchanged\nservice/web unchanged\n"
    mini("scale", "deploy/web", "--replicas=5")
    changed = WEB.replace("web:1", "web:2").replace('{name: A, value: "1"}, ', "").replace("  replicas: 2\n", "")
    assert mini("apply", "-f", "-", stdin=changed).out == "deployment.apps/web configured\nservice/web unchanged\n"
    path = "{.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].env[*].name}"
    assert mini("get", "deploy", "web", "-o", f"jsonpath={path}").out == "web:2 B"


def test_apply_sends_nothing_when_anything_is_wrong(mini: Mini, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WEB.replace("replicas: 2", "replicas: two").replace("port: 80", "prot: 80"))
    (tmp_path / "b.yaml").write_text("apiVersion: v9\nkind: Thing\nmetadata: {name: x}")
    ran = mini("apply", "-f", str(tmp_path))
    assert ran.code == 1
    assert ran.err.splitlines() == [
        f"error: {tmp_path}/a.yaml, document 1: spec.replicas: a whole number expected, got text ('two')",
        f'error: {tmp_path}/a.yaml, document 2: spec.ports[0].prot: unknown field (did you mean "port"?)',
        f"error: {tmp_path}/a.yaml, document 2: spec.ports[0].port: Required value",
        f'error: {tmp_path}/b.yaml, document 1: kind: no matches for kind "Thing" in version "v9"',
        "error: 4 problems found, nothing was applied",
    ]
    assert mini("get", "all").err.startswith("No resources found in test-")


def test_what_the_server_refuses_is_said_and_the_rest_applied(mini: Mini) -> None:
    ran = mini("apply", "-f", "-", stdin=WEB.replace("{app: web}}\n  template", "{app: other}}\n  template"))
    assert ran.code == 1
    assert ran.out == "service/web created\n"
    assert 'The Deployment "web" is invalid: spec.template.metadata.labels: Invalid value' in ran.err
    assert "error: 1 of 2 objects not applied" in ran.err


def test_a_missing_namespace_is_said(mini: Mini) -> None:
    ran = mini("apply", "-f", "-", stdin=WEB, namespace="nowhere")
    assert ran.code == 1
    assert 'Error from server (NotFound): namespaces "nowhere" not found' in ran.err


def test_server_side_apply_and_its_conflicts(mini: Mini) -> None:
    assert mini("apply", "--server-side", "-f", "-", stdin=WEB).out.startswith("deployment.apps/web serverside-applied")
    args = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    other = WEB.replace("web:1", "web:9")
    ran = mini(*args, stdin=other)
    assert ran.code == 1
    assert 'conflict with "kubectl": .spec.template.spec.containers[name="web"].image' in ran.err
    assert mini(*args, "--force-conflicts", stdin=other).code == 0


def test_dry_runs_change_nothing(mini: Mini) -> None:
    assert mini("apply", "--dry-run=client", "-f", "-", stdin=WEB).out.startswith(
        "deployment.apps/web created (dry run)"
    )
    assert mini("apply", "--dry-run=server", "-f", "-", stdin=WEB).out.endswith(
        "service/web created (server dry run)\n"
    )
    assert mini("get", "deploy", "-o", "name").out == ""


CONFIGS = "".join(
    f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{part: '{part}'}}}}\n"
    for name, part in (("a", "x"), ("b", "x"), ("c", "y"))
)


def test_apply_prunes_what_it_applied_before_and_nothing_else(mini: Mini) -> None:
    mini("apply", "-f", "-", stdin=CONFIGS)
    mini("create", "configmap", "handmade", "--from-literal=a=b")
    mini("label", "configmap", "handmade", "part=x")
    only_a = CONFIGS.split("---\n")[1]
    dry = mini("apply", "-f", "-", "--prune", "-l", "part=x", "--dry-run=server", stdin=only_a)
    assert dry.out.endswith("configmap/b pruned (server dry run)\n")
    ran = mini("apply", "-f", "-", "--prune", "-l", "part=x", stdin=only_a)
    assert ran.err == "pruning 1 no longer in the manifests: configmap/b\n"
    assert ran.out == "configmap/a unchanged\nconfigmap/b pruned\n"
    assert mini("get", "configmaps", "-o", "name").out.split() == ["configmap/a", "configmap/c", "configmap/handmade"]


def test_nothing_is_pruned_when_anything_was_refused(mini: Mini) -> None:
    mini("apply", "-f", "-", stdin=CONFIGS)
    refused = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_B, labels: {part: x}}\n"
    assert mini("apply", "-f", "-", "--prune", "-l", "part=x", stdin=refused).code == 1
    assert mini("get", "configmaps", "-o", "name").out.split() == ["configmap/a", "configmap/b", "configmap/c"]


def test_diff_hides_the_values_of_secrets(mini: Mini) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: %s, b: same}\n"
    mini("apply", "-f", "-", stdin=secret % "swordfish")
    ran = mini("diff", "-f", "-", stdin=secret % "trombone")
    assert ran.code == 1
    assert "-  a: '*** (before)'\n+  a: '*** (after)'\n" in ran.out
    assert "swordfish" not in ran.out and "c3dvcmRmaXNo" not in ran.out


def test_edit_sends_changes_and_says_what_was_refused(mini: Mini, monkeypatch: pytest.MonkeyPatch) -> None:
    mini("apply", "-f", "-", stdin=WEB)
    monkeypatch.setenv("KUBE_EDITOR", "sed -i s/web:1/web:2/")
    assert mini("edit", "deploy/web").out == "deployment.apps/web edited\n"
    assert mini("edit", "deploy/web").err == "Edit cancelled, no changes made.\n"
    monkeypatch.setenv("KUBE_EDITOR", "sed -i 's/replicas: 2/replicas: -2/'")
    refused = mini("edit", "deploy/web")
    assert refused.code == 1
    assert "Edit cancelled, no valid changes were saved." in refused.err and "spec.replicas" in refused.err


def test_apply_waits_and_says_what_is_missing(mini: Mini) -> None:
    ran = mini("apply", "--wait", "--timeout=1s", "-f", "-", stdin=WEB)
    assert ran.code == 1
    assert "service/web: present" in ran.err
    assert "error: deployment.apps/web: timed out waiting: Waiting for deployment spec update" in ran.err


def test_get_in_every_form(mini: Mini) -> None:
    mini("apply", "-f", "-", stdin=WEB)
    lines = mini("get", "deploy").out.splitlines()
    assert lines[0] == "NAME   READY   UP-TO-DATE   AVAILABLE   AGE"
    assert lines[1].startswith("web    0/2     0            0           ")
    assert mini("get", "deploy", "-o", "wide", "--no-headers").out.split()[-3:] == ["web", "web:1", "app=web"]
    assert mini("get", "deploy,svc", "-o", "name").out == "deployment.apps/web\nservice/web\n"
    assert mini("get", "svc/web", "-o=jsonpath={.spec.ports[0].port}").out == "80"
    assert mini("get", "deploy", "-l", "app=web", "-o", "custom-columns=N:.metadata.name,X:.spec.nope").out == (
        "N     X\nweb   <none>\n"
    )
    assert "managedFields" not in mini("get", "deploy", "web", "-o", "yaml").out
    assert "deployment.apps/web" in mini("get", "all").out
    assert mini("get", "deploy", "-A").out.startswith("NAMESPACE")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("get", "pods", "nope"), 'Error from server (NotFound): pods "nope" not found'),
        (("get", "foos"), 'error: the server doesn\'t have a resource type "foos"'),
        (("get",), "error: You must specify the type of resource to get."),
        (("delete", "pods"), "error: resource(s) were provided, but no name was specified"),
        (("get", "pods", "--nope"), "error: unknown flag: --nope"),
        (("get", "svc", "-A", "-o", "huh"), 'error: unable to match a printer suitable for the output format "huh"'),
        (("apply", "-f", "/nowhere.yaml"), "error: /nowhere.yaml: this path does not exist"),
        (("wait", "pods", "--all", "--for=condition=Ready"), "error: no matching resources found"),
        (("wait", "pod/x", "--for=sunshine"), 'error: unrecognized condition: "sunshine"'),
        (("logs", "nope"), 'Error from server (NotFound): pods "nope" not found'),
        (("exec", "nope", "--", "ls"), 'Error from server (NotFound): pods "nope" not found'),
        (("scale", "deploy/nope", "--replicas=1"), 'Error from server (NotFound): deployments.apps "nope" not found'),
    ],
)
def test_mistakes_are_answered_with_exit_code_1(mini: Mini, args: tuple[str, ...], said: str) -> None:
    ran = mini(*args)
    assert ran.code == 1
    assert ran.err.startswith(said)


def test_delete_scale_wait_and_rollout(mini: Mini) -> None:
    mini("apply", "-f", "-", stdin=WEB)
    assert mini("scale", "deploy", "web", "--replicas=4").out == "deployment.apps/web scaled\n"
    assert mini("scale", "deploy/web", "--replicas=1", "--current-replicas=9").err == (
        "error: Expected replicas to be 9, was 4\n"
    )
    assert mini("wait", "deploy/web", "--for=jsonpath={.spec.replicas}=4").out == "deployment.apps/web condition met\n"
    waited = mini("wait", "deploy/web", "--for=condition=Available", "--timeout=300ms")
    assert (waited.code, waited.err) == (1, "error: timed out waiting for the condition on deployments.apps/web\n")
    assert mini("rollout", "restart", "deploy/web").out == "deployment.apps/web restarted\n"
    stuck = mini("rollout", "status", "deploy/web", "--timeout=300ms")
    assert (stuck.code, stuck.err) == (1, "error: timed out waiting for the condition\n")
    assert mini("delete", "deploy/web").out == 'deployment.apps "web" deleted\n'
    assert mini("delete", "svc", "-l", "no=such").err == "No resources found\n"
    assert mini("wait", "deploy/web", "--for=delete").code == 0
    assert mini("delete", "deploy/web", "--ignore-not-found=true", "--wait=false").code == 0
    assert mini("delete", "deploy/web", "--ignore-not-found=false").code == 1
    assert mini("delete", "-f", "-", stdin=WEB).code == 1


def test_output_is_plain_in_a_pipe_and_coloured_on_demand(mini: Mini, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in mini("get", "pods", "nope").err
    assert mini("get", "pods", "nope", "--color=always").err.startswith("\x1b[31mError from server (NotFound)")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" in mini("--color=always", "get", "pods", "nope").err
    assert "\x1b" not in mini("get", "pods", "nope", "--color=auto").err


def test_why_a_pod_has_no_node_is_said_node_by_node(mini: Mini, api_server: APIServerProcess) -> None:
    resources = {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "10"}}
    for name, spec in (("n1", {"unschedulable": True}), ("n2", {})):
        api_server.request("POST", "/api/v1/nodes", {"metadata": {"name": name}, "spec": spec})
        body = {"status": resources}
        path = f"/api/v1/nodes/{name}/status"
        api_server.request("PATCH", path, body, content_type="application/merge-patch+json")
        mini("taint", "nodes", name, "node.kubernetes.io/not-ready-")
    mini("run", "small", "--image=x")
    waiting = mini("why", "small")
    assert (waiting.code, waiting.out.splitlines()[0]) == (1, "pod/small has no node yet, though n2 would do")
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": "3"}}}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "huge"}, "spec": {"containers": [container]}}
    mini("create", "-f", "-", stdin=json.dumps(body))
    ran = mini("why", "pod/huge")
    assert ran.code == 1
    assert ran.out == (
        "pod/huge has no node: none of 2 will do\n"
        "  node/n1\n"
        "    NodeUnschedulable: the node is cordoned\n"
        "      → `minikubectl uncordon n1` once it is to take pods again\n"
        "    NodeResourcesFit: cpu: the pod requests 3, 2 of 2 are free\n"
        "      → more than the whole node has: request less, or add a larger node\n"
        "  node/n2\n"
        "    NodeResourcesFit: cpu: the pod requests 3, 2 of 2 are free\n"
        "      → more than the whole node has: request less, or add a larger node\n"
    )


def test_why_of_a_service_and_a_node_says_what_they_lack(mini: Mini) -> None:
    mini("create", "service", "clusterip", "lost", "--tcp=80")
    ran = mini("why", "svc/lost")
    assert (ran.code, ran.out.splitlines()[1]) == (1, "  no pod has the labels app=lost")
    mini("create", "-f", "-", stdin='{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n3"}}')
    assert mini("why", "node/n3").out.splitlines()[1] == "  it is not ready: its kubelet has never reported"


def test_describe_has_fields_and_events(mini: Mini) -> None:
    mini("apply", "-f", "-", stdin=WEB)
    text = mini("describe", "deploy", "we").out
    assert text.startswith("Name:         web\n")
    assert "    Spec:\n" in text
    assert text.endswith("Events:  <none>\n")


def test_an_unreachable_server_is_said(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        '{"current-context": "c", "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],'
        '"contexts": [{"name": "c", "context": {"cluster": "c"}}]}'
    )
    command = [sys.executable, "-m", "minikubectl", "--kubeconfig", str(config), "delete", "pod", "x"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert ran.returncode == 1
    assert ran.stderr.startswith("The connection to the server 127.0.0.1:1 failed")
