"""The real kubectl against the real API server: what a user types, what is printed, which exit code comes back.

The cases of a test run in order and may build on each other; each test has a namespace of its own.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.apiserver import APIServerProcess

pytestmark = pytest.mark.integration
KUBECTL = shutil.which("kubectl")
_NUMBERS = count(1)

# arguments, exit code, expression found in what is printed
Case = tuple[str, int, str]
Kubectl = Callable[..., tuple[int, str]]

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "nginx:1", "resources": {"requests": {"cpu": "100m"}}}]},
        },
    },
}
CONFIG: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "cm"},
    "data": {"a": "1", "b": "2"},
}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "labels": {"run": "p"}},
    "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
}


@pytest.fixture
def kubectl(server: APIServerProcess, tmp_path: Path) -> Iterator[Kubectl]:
    """Run kubectl in a namespace of the test's own: (exit code, all it printed)."""
    namespace = f"test-{next(_NUMBERS)}"
    config = json.loads(server.kubeconfig().read_text())
    config["contexts"][0]["context"]["namespace"] = namespace
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig"), "HOME": str(server.directory)}
    assert server.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}}).code == 201

    def run(*arguments: str, stdin: str = "", **more: str) -> tuple[int, str]:
        done = subprocess.run(
            [str(KUBECTL), *arguments], input=stdin, capture_output=True, text=True, timeout=30, cwd=tmp_path,
            env=environment | more,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    yield run


def play(kubectl: Kubectl, cases: list[Case]) -> None:
    """Each case in turn; arguments are split at blanks, `~` stands for one inside an argument."""
    for arguments, code, pattern in cases:
        found, output = kubectl(*(part.replace("~", " ") for part in arguments.split()))
        assert (found, bool(re.search(pattern, output))) == (code, True), f"kubectl {arguments}\n{output}"


def manifest(tmp_path: Path, name: str, *objects: dict[str, Any]) -> None:
    (tmp_path / name).write_text("\n".join(json.dumps(each) for each in objects))


def test_create_makes_objects_of_every_common_kind(kubectl: Kubectl) -> None:
    play(
        kubectl,
        [
            ("create deployment d --image=nginx:1 --replicas=2", 0, "^deployment.apps/d created$"),
            ("create configmap c --from-literal=a=b", 0, "^configmap/c created$"),
            ("create configmap c --from-literal=a=b", 1, r'configmaps "c" already exists'),
            ("create secret generic s --from-literal=a=b", 0, "^secret/s created$"),
            ("create serviceaccount sa", 0, "^serviceaccount/sa created$"),
            ("create token sa", 0, r"^eyJ[\w-]+\.[\w-]+\.[\w-]+$"),
            ("run p --image=nginx:1", 0, "^pod/p created$"),
            ("expose deployment d --port=80", 0, "^service/d exposed$"),
            ("create job j --image=busybox -- true", 0, "^job.batch/j created$"),
            ("create cronjob cj --image=busybox --schedule=@hourly -- true", 0, "^cronjob.batch/cj created$"),
            ("create ingress i --rule=a.b/*=d:80", 0, "^ingress.networking.k8s.io/i created$"),
            ("create role r --verb=get --resource=pods", 0, "^role.rbac.authorization.k8s.io/r created$"),
            ("create rolebinding rb --role=r --user=jane", 0, "^rolebinding.rbac.authorization.k8s.io/rb created$"),
            ("create quota q --hard=pods=9", 0, "^resourcequota/q created$"),
            ("create pdb b --selector=app=d --min-available=1", 0, "^poddisruptionbudget.policy/b created$"),
            ("autoscale deployment d --min=1 --max=3", 0, "^horizontalpodautoscaler.autoscaling/d autoscaled$"),
            ("auth can-i get pods --as=jane", 0, "^yes$"),
            ("auth can-i delete pods --as=jane", 1, "^no$"),
            ("auth whoami", 0, r"Username +admin"),
            ("create cm e --from-literal=a=b --dry-run=server -o yaml", 0, "data:\n  a: b\n"),
            ("get cm e", 1, r'Error from server \(NotFound\): configmaps "e" not found'),
        ],
    )


def test_get_shows_what_upstreams_shows(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest(tmp_path, "all.json", DEPLOYMENT, CONFIG, POD)
    play(
        kubectl,
        [
            ("create -f all.json", 0, "pod/p created"),
            ("get pods", 0, r"^NAME   READY   STATUS    RESTARTS   AGE\np      0/1     Pending   0          \d+s$"),
            ("get pods -o wide", 0, "IP       NODE     NOMINATED NODE   READINESS GATES"),
            ("get deploy -o wide", 0, r"web +0/2 +0 +0 +\d+s +c +nginx:1 +app=web"),
            ("get deploy,cm", 0, "(?s)deployment.apps/web.*configmap/cm"),
            ("get pods -A", 0, "NAMESPACE +NAME +READY"),
            ("get pod p -o jsonpath={.status.phase},{.status.qosClass}", 0, "^Pending,BestEffort$"),
            ("get cm cm -o go-template={{.data.b}}", 0, "^2$"),
            ("get pods -l run=p -o name", 0, "^pod/p$"),
            ("get pods -l run~in~(q)", 0, "No resources found"),
            ("get pods --field-selector=status.phase=Pending -o name", 0, "^pod/p$"),
            ("get pods --field-selector=spec.foo=a", 1, "field label not supported: spec.foo"),
            ("get pods --show-labels", 0, "run=p"),
            ("get pods -o custom-columns=N:.metadata.name --no-headers", 0, "^p$"),
            ("get nothing", 1, 'the server doesn\'t have a resource type "nothing"'),
            ("get pods q", 1, r'Error from server \(NotFound\): pods "q" not found'),
            ("get ns default -o yaml", 0, "kubernetes.io/metadata.name: default"),
        ],
    )


def test_describe_knows_each_kind(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest(tmp_path, "all.json", DEPLOYMENT, CONFIG, POD)
    play(
        kubectl,
        [
            ("create -f all.json", 0, ""),
            ("create service nodeport s --tcp=80", 0, ""),
            ("describe pod p", 0, r"(?s)Status: +Pending.*QoS Class: +BestEffort.*Events: +<none>"),
            ("describe deploy web", 0, "RollingUpdateStrategy:  25% max unavailable, 25% max surge"),
            ("describe cm cm", 0, "a:\n----\n1"),
            ("describe svc s", 0, r"NodePort: +80  3\d{4}/TCP"),
            ("describe ns default", 0, "Status:       Active"),
        ],
    )


def test_client_side_apply_prunes_fields_that_are_gone(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest(tmp_path, "one.json", DEPLOYMENT, CONFIG)
    manifest(tmp_path, "two.json", {**CONFIG, "data": {"b": "3"}})
    play(
        kubectl,
        [
            ("apply -f one.json", 0, "deployment.apps/web created\nconfigmap/cm created"),
            ("apply -f one.json", 0, "deployment.apps/web unchanged\nconfigmap/cm unchanged"),
            ("diff -f two.json", 1, r"-  a: \"1\"\n-  b: \"2\"\n\+  b: \"3\""),
            ("apply -f two.json", 0, "configmap/cm configured"),
            ("get cm cm -o jsonpath={.data}", 0, '^{"b":"3"}$'),
            ("diff -f two.json", 0, "^$"),
            ("apply view-last-applied cm/cm", 0, 'b: "3"'),
            ("replace -f one.json", 0, "configmap/cm replaced"),
        ],
    )


def test_server_side_apply_settles_who_owns_what(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest(tmp_path, "one.json", CONFIG)
    manifest(tmp_path, "two.json", {**CONFIG, "data": {"a": "9"}})
    manifest(tmp_path, "three.json", {**CONFIG, "data": {"b": "2"}})
    play(
        kubectl,
        [
            ("apply --server-side -f one.json", 0, "configmap/cm serverside-applied"),
            (
                "apply --server-side -f two.json --field-manager=other",
                1,
                r'Apply failed with 1 conflict: conflict with "kubectl": \.data\.a',
            ),
            ("apply --server-side -f two.json --field-manager=other --force-conflicts", 0, "serverside-applied"),
            ("apply --server-side -f three.json", 0, "serverside-applied"),
            ("get cm cm -o jsonpath={.data}", 0, '^{"a":"9","b":"2"}$'),
        ],
    )


def test_client_side_applied_objects_move_to_server_side_apply(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest(tmp_path, "one.json", CONFIG)
    manifest(tmp_path, "two.json", {**CONFIG, "data": {"b": "2"}})
    play(kubectl, [("apply -f one.json", 0, "created")])
    code, output = kubectl("apply", "--server-side", "-f", "one.json")
    assert (code, output) == (0, "configmap/cm serverside-applied\n")
    play(
        kubectl,
        [
            ("apply --server-side -f two.json", 0, "serverside-applied"),
            ("get cm cm -o jsonpath={.data}", 0, '^{"b":"2"}$'),
        ],
    )


def test_delete_goes_as_it_is_told(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest(tmp_path, "all.json", DEPLOYMENT, CONFIG, POD)
    finalizer = '{"metadata":{"finalizers":["example.com/x"]}}'
    play(
        kubectl,
        [
            ("create -f all.json", 0, ""),
            ("delete pod p --grace-period=0 --force", 0, 'pod "p" force deleted'),
            ("delete deploy web --cascade=orphan --wait=false", 0, 'deployment.apps "web" deleted'),
            ("get deploy web -o jsonpath={.metadata.finalizers}", 0, r'^\["orphan"\]$'),
            (f"patch cm cm --type=merge -p {finalizer}", 0, "configmap/cm patched"),
            ("delete cm cm --wait=false", 0, 'configmap "cm" deleted'),
            ("get cm cm -o jsonpath={.metadata.deletionTimestamp}", 0, r"^\d{4}-\d\d-\d\dT"),
            ('patch cm cm --type=merge -p {"metadata":{"finalizers":null}}', 0, ""),
            ("wait --for=delete cm/cm --timeout=5s", 0, ""),
            ("delete cm cm", 1, 'configmaps "cm" not found'),
            ("delete cm cm --ignore-not-found", 0, ""),
            ("delete ns default --wait=false", 1, "this namespace may not be deleted"),
        ],
    )


def test_changing_objects(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest(tmp_path, "all.json", DEPLOYMENT, CONFIG)
    json_patch = '[{"op":"replace","path":"/data/a","value":"5"}]'
    strategic = '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"b"}]}]}}}}'
    play(
        kubectl,
        [
            ("create -f all.json", 0, ""),
            ("scale deploy web --replicas=3", 0, "deployment.apps/web scaled"),
            ("scale deploy web --replicas=5 --current-replicas=9", 1, "Expected replicas to be 9, was 3"),
            ("set image deploy/web c=nginx:2", 0, "deployment.apps/web image updated"),
            ("set env deploy/web B=c", 0, "env updated"),
            (f"patch deploy web -p {strategic}", 0, "patched"),
            (
                "get deploy web -o jsonpath={.spec.replicas},{..image},{..env[*].name}",
                0,
                "^3,nginx:2,A B$",
            ),
            (f"patch cm cm --type=json -p {json_patch}", 0, "patched"),
            ("label cm cm x=y", 0, "labeled"),
            ("label cm cm x=z", 1, "already has a value"),
            ("label cm cm x-", 0, "unlabeled"),
            ("annotate cm cm x=y", 0, "annotated"),
            ("rollout restart deploy/web", 0, "restarted"),
            ("rollout pause deploy/web", 0, "paused"),
        ],
    )
    assert kubectl("edit", "cm", "cm", EDITOR='sed -i \'s/a: "5"/a: "6"/\'') == (0, "configmap/cm edited\n")
    assert kubectl("get", "cm", "cm", "-o", "jsonpath={.data.a}") == (0, "6")


def test_rollouts_and_waits_see_the_status(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest(tmp_path, "all.json", DEPLOYMENT, POD)
    condition = {"type": "Available", "status": "True"}
    status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    patch = json.dumps({"status": {**status, "conditions": [condition]}}, separators=(",", ":"))
    play(
        kubectl,
        [
            ("create -f all.json", 0, ""),
            ("rollout status deploy/web --timeout=1s", 1, "Waiting for deployment spec update to be observed"),
            (f"patch deploy web --subresource=status --type=merge -p {patch}", 0, "patched"),
            ("rollout status deploy/web --timeout=5s", 0, 'deployment "web" successfully rolled out'),
            ("wait deploy/web --for=condition=Available --timeout=5s", 0, "condition met"),
            ("wait pod/p --for=jsonpath={.status.phase}=Pending --timeout=5s", 0, "condition met"),
            ("wait pod/p --for=condition=Ready --timeout=1s", 1, "timed out waiting for the condition on pods/p"),
            ("get deploy", 0, "web    2/2     2            2 "),
        ],
    )


def test_explain_and_discovery(kubectl: Kubectl) -> None:
    play(
        kubectl,
        [
            ("explain pod.spec.containers.image", 0, "FIELD: image <string>"),
            ("explain deploy --recursive", 0, "(?s)strategy\t<DeploymentStrategy>.*maxSurge\t<IntOrString>"),
            ("explain pods.nope", 1, 'field "nope" does not exist'),
            ("api-resources --api-group=apps", 0, r"deployments +deploy +apps/v1 +true +Deployment"),
            ("api-versions", 0, "rbac.authorization.k8s.io/v1"),
            ("version", 0, r"Server Version: v1\.37\."),
        ],
    )


def test_nodes_are_cordoned_tainted_and_drained(kubectl: Kubectl, tmp_path: Path) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {"podCIDR": "10.1.0.0/24"}}
    manifest(tmp_path, "all.json", node, POD)
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"name": "n1"}}
    manifest(tmp_path, "binding.json", binding)
    ended = '{"status":{"phase":"Succeeded"}}'
    play(
        kubectl,
        [
            ("create -f all.json", 0, ""),
            ("taint node n1 k=v:NoSchedule", 0, "node/n1 tainted"),
            ("taint node n1 k-", 0, "node/n1 untainted"),
            ("cordon n1", 0, "node/n1 cordoned"),
            ("get node n1", 0, "Unknown,SchedulingDisabled"),
            ("create -f binding.json", 0, ""),
            ("create -f binding.json", 1, 'pod p is already assigned to node "n1"'),
            ("get pod p -o jsonpath={.spec.nodeName}", 0, "^n1$"),
            (f"patch pod p --subresource=status --type=merge -p {ended}", 0, "patched"),
            ("drain n1 --force --ignore-daemonsets --timeout=10s", 0, "node/n1 drained"),
            ("get pods", 0, "No resources found"),
            ("uncordon n1", 0, "node/n1 uncordoned"),
        ],
    )


def test_service_addresses_and_ports(kubectl: Kubectl) -> None:
    play(
        kubectl,
        [
            ("create service nodeport a --tcp=80 --node-port=31234", 0, "service/a created"),
            (
                "create service nodeport b --tcp=80 --node-port=31234",
                1,
                r"spec.ports\[0\].nodePort: Invalid value: 31234: provided port is already allocated",
            ),
            ('patch svc a -p {"spec":{"type":"ClusterIP"}}', 0, "patched"),
            ("create service nodeport b --tcp=80 --node-port=31234", 0, "service/b created"),
            ("create service nodeport c --tcp=80 --node-port=80", 1, "The range of valid ports is 30000-32767"),
            ("create service clusterip d --tcp=80 --clusterip=1.2.3.4", 1, "is not in the valid range"),
            ("create service clusterip e --clusterip=None", 0, "created"),
            ("create service externalname f --external-name=a.b", 0, "created"),
            ("get svc f", 0, "f      ExternalName   <none>       a.b           <none> "),
            ("delete svc b", 0, ""),
            ("create service nodeport c --tcp=80 --node-port=31234", 0, "created"),
        ],
    )


def bad(**more: Any) -> str:
    return json.dumps({**POD, "metadata": {"name": "bad"}, **more})


BAD_INPUT: list[tuple[str, str, str]] = [
    ("not YAML", "a: b: c\n - d", "error converting YAML to JSON: yaml: mapping values are not allowed"),
    (
        "no such kind",
        '{"apiVersion": "v9", "kind": "Foo", "metadata": {"name": "a"}}',
        'no matches for kind "Foo" in version "v9"',
    ),
    ("no apiVersion", '{"kind": "Pod"}', "apiVersion not set"),
    (
        "unknown fields",
        bad(spec={"containers": [{"name": "c", "image": "x", "imagee": "y"}], "replica": 1}),
        r'strict decoding error: unknown field "spec.containers\[0\].imagee", unknown field "spec.replica"',
    ),
    (
        "a wrong type",
        json.dumps({**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "replicas": "three"}}),
        "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    ),
    (
        "not a quantity",
        bad(spec={"containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "abc"}}}]}),
        "quantities must match the regular expression",
    ),
    (
        "several faults",
        bad(spec={"containers": [{"name": "C", "image": ""}], "restartPolicy": "Often"}),
        r'(?s)The Pod "bad" is invalid: \n\* spec.containers\[0\].name: Invalid value: "C".*'
        r"\* spec.containers\[0\].image: Required value\n\* spec.restartPolicy: Unsupported value",
    ),
    ("a bad name", json.dumps({**CONFIG, "metadata": {"name": "A_b"}}), 'metadata.name: Invalid value: "A_b": a low'),
    ("no name", json.dumps({**CONFIG, "metadata": {}}), "name or generateName is required"),
    (
        "a missing namespace",
        json.dumps({**CONFIG, "metadata": {"name": "a", "namespace": "gone"}}),
        'namespaces "gone" not found',
    ),
    (
        "a selector that doesn't match",
        json.dumps({**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "selector": {"matchLabels": {"a": "b"}}}}),
        "`selector` does not match template `labels`",
    ),
    (
        "no base64",
        '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"a": "!!!"}}',
        "illegal base64 data at input byte 0",
    ),
    ("too much data", json.dumps({**CONFIG, "data": {"a": "x" * 1_100_000}}), "Too long: may not be more than 1048576"),
    ("10 MB", json.dumps({**CONFIG, "data": {"a": "x" * 10_000_000}}), "Request entity too large: limit is 3145728"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), [case[1:] for case in BAD_INPUT], ids=[case[0] for case in BAD_INPUT])
def test_bad_input_is_refused_with_the_reason(kubectl: Kubectl, text: str, message: str) -> None:
    code, output = kubectl("create", "-f", "-", stdin=text)
    assert code == 1
    assert re.search(message, output), output


def test_unknown_fields_warn_where_that_is_asked(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "pod.json").write_text(bad(spec={**POD["spec"], "replica": 1}))
    play(
        kubectl,
        [
            ("create -f pod.json --validate=warn --dry-run=server", 0, 'Warning: unknown field "spec.replica"'),
            ("create -f pod.json --validate=false --dry-run=server", 0, r"^pod/bad created \(server dry run\)$"),
        ],
    )


def test_a_certificate_is_approved_once(kubectl: Kubectl, tmp_path: Path) -> None:
    command = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=bob", "-keyout", "key.pem"]
    request = subprocess.run(command, check=True, capture_output=True, cwd=tmp_path).stdout
    spec = {"signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}
    spec["request"] = base64.b64encode(request).decode()
    manifest(tmp_path, "csr.json", {
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "bob"},
        "spec": spec,
    })  # fmt: skip
    play(
        kubectl,
        [
            ("create -f csr.json", 0, "created"),
            ("get csr bob", 0, r"kubernetes.io/kube-apiserver-client   admin +<none> +Pending"),
            ("certificate approve bob", 0, "certificatesigningrequest.certificates.k8s.io/bob approved"),
            ("certificate deny bob", 1, "already Approved"),
            ("delete csr bob", 0, ""),
        ],
    )


def test_a_watch_prints_each_change(server: APIServerProcess, kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl("create", "cm", "w", "--from-literal=a=b")
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig"), "HOME": str(server.directory)}
    command = [str(KUBECTL), "get", "cm", "-w", "--output-watch-events"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as watching:
        assert watching.stdout is not None
        try:
            assert "EVENT" in watching.stdout.readline()
            assert re.match(r"ADDED +w +1 ", watching.stdout.readline())
            kubectl("label", "cm", "w", "x=y")
            assert re.match(r"MODIFIED +w +1 ", watching.stdout.readline())
            kubectl("delete", "cm", "w")
            assert re.match(r"DELETED +w +1 ", watching.stdout.readline())
        finally:
            watching.terminate()
