"""minikubectl beside the real kubectl: the same command, the same server, the same words and exit code.

A script of commands is run twice, by each program in a namespace of its own that was set up alike; what is compared is
each command's exit code and all it printed, with what differs by nature masked. A case that begins with `!` only sets
the scene. One that differs on purpose is not here but in tests/minikubectl, with its reason.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from minikubectl.__main__ import cli
from tests.fixtures.apiserver import APIServerProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
KUBECTL = shutil.which("kubectl")
_NUMBERS = count(1)
Run = Callable[[list[str]], tuple[int, str, str]]
Script = Callable[[str], None]

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
      - {name: web, image: "web:1", env: [{name: A, value: "1"}], ports: [{containerPort: 80}]}
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {p: x}}\ndata: {a: '%s'}\n"
CRON = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "nightly"},
    "spec": {
        "schedule": "0 3 * * *",
        "jobTemplate": {
            "spec": {
                "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1"}]}}
            }
        },
    },
}


def masked(text: str, space: str) -> list[str]:
    """The lines of an output without what differs by nature: namespaces, times, versions, UIDs, ages, klog lines."""
    text = text.replace(space, "SPACE").replace("minikubectl", "kubectl").replace("stdin", "STDIN")
    for pattern, instead in (
        (r'"creationTimestamp":null,', ""),
        (r"(LIVE|MERGED)-\w+", r"\1"),
        (r"\t\d{4}-\d\d-\d\d \d\d:\d\d:.*", ""),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
        (r"resourceVersion: .*", "resourceVersion"),
        (r"uid: .*", "uid"),
        (r"\b\d+(m?s|m|m\d+s)\b(?= |$)", "AGE"),
        (r"'kubectl [\w -]*(-h|--help)'", "HELP"),
        (r"^--profile=legacy is deprecated .*\n?", ""),
        (r"(node-debugger-node-SPACE)-\w{5}\b", r"\1"),
    ):
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    lines = [line.rstrip() for line in text.splitlines()]
    return [re.sub(r" {2,}", "  ", line) for line in lines if not re.match(r"[IWE]\d{4} |See HELP|See 'HELP", line)]


def told(answer: tuple[str, int, list[str]]) -> str:
    line, code, lines = answer
    return "\n".join([f"$ {line}", *lines, f"exit code {code}"])


def kubectl(words: list[str]) -> tuple[int, str, str]:
    ran = subprocess.run([str(KUBECTL), *words], capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout, ran.stderr


def minikubectl(words: list[str]) -> tuple[int, str, str]:
    """In this process: an interpreter for each command would take longer than all the rest."""
    ran = CliRunner().invoke(cli, words, prog_name="minikubectl")
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exc_info
    return ran.exit_code, ran.stdout, ran.stderr


@pytest.fixture
def same(server: APIServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Run a script of commands with both programs and compare each command's answer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("HOME", str(server.directory))
    (tmp_path / "web.yaml").write_text(WEB)
    (tmp_path / "a.yaml").write_text(CONFIG % ("a", 1))
    (tmp_path / "b.yaml").write_text(CONFIG % ("b", 1))
    (tmp_path / "a2.yaml").write_text(CONFIG % ("a", 2))
    (tmp_path / "cron.json").write_text(json.dumps(CRON))
    (tmp_path / "settings.env").write_text("# comment\nX=1\nY=two words\n")

    def answers(run_one: Run, commands: list[str]) -> list[tuple[str, int, list[str]]]:
        space = f"both-{next(_NUMBERS)}"
        config: dict[str, Any] = json.loads(server.kubeconfig().read_text())
        config["contexts"][0]["context"]["namespace"] = space
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        assert server.request("POST", "/api/v1/namespaces", {"metadata": {"name": space}}).code == 201
        assert server.request("POST", "/api/v1/nodes", {"metadata": {"name": f"node-{space}"}}).code == 201
        found = []
        for line in commands:
            words = shlex.split(line.removeprefix("!").replace("$NODE", f"node-{space}"))
            code, out, err = (kubectl if line.startswith("!") else run_one)(words)
            assert code == 0 or not line.startswith("!"), err
            found.append((line, code, masked(err, space) + masked(out, space)))
        return found

    def run(script: str) -> None:
        commands = [line.strip() for line in script.strip().splitlines()]
        theirs = answers(kubectl, commands)
        ours = answers(minikubectl, commands)
        assert "\n".join(map(told, ours)) == "\n".join(map(told, theirs))

    return run


def test_what_one_may_see_is_shown_beside_what_one_may_not(same: Script) -> None:
    same("""
        !apply -f a.yaml -f b.yaml
        !create role b --verb=get,delete --resource=configmaps --resource-name=b
        !create rolebinding b --role=b --user=jane
        get configmaps a b -o name --as=jane
        get configmaps a b -o jsonpath={.items[*].data} --as=jane
        get configmaps a b --no-headers --as=jane
        get configmaps a nope b -o name --as=jane --ignore-not-found
        get configmaps nope b -o name --ignore-not-found
        delete configmap a b --as=jane
    """)


def test_labels_annotations_and_taints(same: Script) -> None:
    same("""
        !apply -f web.yaml
        label deploy web tier=front
        label deploy web tier=front
        label deploy/web tier=back
        label deploy/web tier=back --overwrite
        label deploy/web tier-
        label deploy/web nope-
        label deploy/web --list
        label deploy --all a=b --dry-run=server
        label deploy web a=b --dry-run=client -o name
        label -f web.yaml c=d
        label deploy -l app=web e=f
        label deploy web
        label deploy web a=b x
        label deploy a=b
        label deploy nope a=b
        annotate deploy web a=b
        annotate deploy web a=c
        annotate deploy web a-
        taint nodes $NODE k=v:NoSchedule
        taint nodes $NODE k=w:NoSchedule
        taint nodes $NODE k=w:NoSchedule --overwrite
        taint nodes $NODE k:NoSchedule-
        taint nodes $NODE k-
    """)


def test_patches_and_set(same: Script) -> None:
    same("""
        !apply -f web.yaml
        patch deploy web -p '{"spec":{"replicas":3}}'
        patch deploy web -p '{"spec":{"replicas":3}}'
        patch deploy web --type=json -p '[{"op":"remove","path":"/spec/nope"}]'
        patch deploy web --type=merge -p '{"spec":{"replicas":-1}}'
        patch deploy web --subresource=scale --type=merge -p '{"spec":{"replicas":4}}' -o jsonpath={.spec.replicas}
        patch deploy web
        set image deploy/web web=web:2
        set image deploy/web '*=web:3'
        set image deploy/web nope=web:2
        set image deploy/web
        set env deploy/web B=2 A-
        !get deploy web -o jsonpath={.spec.template.spec.containers[0].env}
        set env deploy/web --list
        !create configmap settings --from-literal=log-level=debug
        set env deploy/web --from=configmap/settings
        !get deploy web -o jsonpath={.spec.template.spec.containers[0].env}
        set resources deploy/web --limits=cpu=1,memory=1Gi --requests=cpu=100m
        set resources deploy/web
        set serviceaccount deploy/web robot
        get deploy web -o jsonpath={.spec.template.spec}
        scale deploy web --replicas=5
        scale deploy/web --replicas=1 --current-replicas=9
        scale deploy --all --replicas=2 --dry-run=server
    """)


def test_create_makes_what_kubectl_makes(same: Script) -> None:
    same("""
        create configmap c --from-literal=a=b --from-file=web.yaml
        create configmap f --from-env-file=settings.env -o jsonpath={.data}
        create configmap g --from-env-file=settings.env --from-literal=a=b
        get cm c -o jsonpath={.data}
        create configmap c --from-literal=a=b
        create cm d --from-literal=a
        create secret generic s --from-literal=a=b --type=x/y -o jsonpath='{.data}{.type}'
        create secret docker-registry r --docker-server=x --docker-username=u --docker-password=p -o jsonpath={.data}
        create secret docker-registry q
        create secret generic s
        create ns default
        create sa default
        create deployment d --image=nginx:1 --replicas=2 --port=80
        get deploy d -o jsonpath={.spec}
        create deploy e --image=a/nginx:1 --image=foo --dry-run=server -o jsonpath={.spec.template}
        create service clusterip s --tcp=80:8080 -o jsonpath='{.spec.ports}{.spec.selector}{.metadata.labels}'
        create service nodeport n --tcp=80
        create service externalname e --external-name=a.b
        create sa robot
        create ns y --dry-run=client
        create job j --image=busybox -o jsonpath='{.spec.template.spec}' -- echo hi
        !apply -f cron.json
        create job now --from=cronjob/nightly -o jsonpath='{.metadata.annotations}{.spec.template.spec}'
        create job k --from=cronjob/nope
        create cronjob cj --image=busybox --schedule='*/5 * * * *' -- date
        create role r --verb=get,list --resource=pods,deploy -o jsonpath={.rules}
        create rolebinding rb --role=r --user=jane --serviceaccount=x:sa -o jsonpath='{.subjects}{.roleRef}'
        create rolebinding rc --role=r --clusterrole=q
        create clusterrole z --verb=get --non-resource-url=/healthz --dry-run=server
        create clusterrolebinding z --clusterrole=view --group=devs --dry-run=server -o jsonpath={.subjects}
        create pdb b --selector=a=b --min-available=50% -o jsonpath={.spec}
        create priorityclass pc --value=3 --dry-run=server
        create ingress i --rule=a.b/c*=svc:80 -o jsonpath={.spec}
        create token nope
        create -f a.yaml
        create -f a.yaml
        replace -f a2.yaml
        get cm a -o jsonpath={.data}
        replace -f b.yaml
        replace -f a.yaml --force
        get cm a -o jsonpath={.data}
        replace -f a2.yaml --dry-run=server
        replace
        create
        run p --image=nginx --port=80 --env=A=1 --labels=x=y -o jsonpath='{.spec.containers}{.metadata.labels}'
        run q --image=nginx --expose --port=80
        run r --image=nginx --dry-run=client
        !apply -f web.yaml
        expose deploy web
        expose deploy web --name=other --port=8080 --target-port=http --type=NodePort -o jsonpath={.spec.selector}
        expose svc web --name=third --port=1
        autoscale deploy web --min=1 --max=3 --cpu-percent=50
        autoscale deploy web --name=w --max=0
        create quota q --hard=pods=3
    """)


def test_apply_prunes_and_diff_shows(same: Script) -> None:
    same("""
        diff -f a.yaml
        apply -f a.yaml -f b.yaml
        diff -f a.yaml
        diff -f a2.yaml
        diff -f a2.yaml --server-side
        diff
        apply -f a2.yaml --dry-run=server
        apply -f a2.yaml --prune
        apply -f a2.yaml -l nothing=here
        apply -f a2.yaml --server-side --force-conflicts
        delete cm -l p=x
    """)


def test_rollout_history_undo_pause_resume(same: Script) -> None:
    same("""
        !apply -f web.yaml
        rollout history deploy/web
        rollout undo deploy/web
        rollout pause deploy/web
        rollout pause deploy/web
        rollout restart deploy/web
        rollout resume deploy/web
        rollout resume deploy/web
        rollout restart deploy/web
        rollout history deploy/nope
        rollout pause sts/nope
    """)


def test_nodes_are_cordoned_and_drained(same: Script) -> None:
    pod = (
        'run p%d --image=x --overrides=\'{"spec":{"nodeName":"$NODE","terminationGracePeriodSeconds":0,'
        '"volumes":[{"name":"v","%s":{}}]}}\''
    )
    same(f"""
        cordon $NODE
        cordon $NODE
        uncordon $NODE
        uncordon $NODE
        cordon nope
        drain nope
        !{pod % (1, "emptyDir")}
        drain $NODE --force
        drain $NODE --force --delete-emptydir-data --dry-run=client
        drain $NODE --force --delete-emptydir-data --grace-period=0
        get pods
        !{pod % (2, "downwardAPI")}
        !create poddisruptionbudget all --selector=run=p2 --min-available=1
        drain $NODE --force --timeout=1s
    """)


def test_what_the_server_is_and_means(same: Script) -> None:
    same("""
        api-resources
        api-resources -o wide
        api-resources --namespaced=false -o name
        api-resources --api-group=apps --no-headers
        api-versions
        cluster-info
        auth whoami
        auth can-i create pods
        auth can-i get nopes
        auth can-i get nodes
        auth can-i get /healthz
        auth can-i get pods/x -q
        auth can-i get pods --as=jane
        auth can-i
        auth can-i --list
        auth can-i --list --as=jane
        explain pod
        explain deploy.spec.strategy
        explain pod.spec.containers
        explain pod --recursive
        explain svc.spec.ports.targetPort
        events
        events --types=Foo
        top node
        top pod
    """)


def test_the_kubeconfig(same: Script) -> None:
    same("""
        config view
        config view --minify --raw
        config view -o jsonpath={.clusters[0].name}
        config current-context
        config get-contexts
        config get-contexts -o name
        config get-clusters
        config get-users
        config use-context nope
        config use-context test
        config set-context --current --namespace=elsewhere
        config set-context more --cluster=test --user=admin
        config get-contexts
        config current-context
    """)


def test_edit_sends_what_the_editor_changed(same: Script) -> None:
    same("""
        !apply -f a.yaml
        edit cm nope
    """)


@pytest.mark.parametrize(
    "line",
    [
        "node/$NODE --image=busybox -- ls /host",
        "node/$NODE --image=busybox -c tools --image-pull-policy=Never --env=A=b -q",
        "web --image=busybox --copy-to=web-debug -c tools",
        "web --copy-to=web-debug -c main --share-processes=false -- sleep 1",
        "web --image=busybox --copy-to=web-debug -c main --same-node",
    ],
)
def test_debug_makes_the_pods_that_kubectl_makes(
    server: APIServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    probe = {"tcpSocket": {"port": 80}}
    pod: dict[str, Any] = {"metadata": {"name": "web", "labels": {"app": "web"}, "annotations": {"note": "x"}}}
    pod["spec"] = {"containers": [{"name": "main", "image": "web:1", "readinessProbe": probe, "livenessProbe": probe}]}

    def made(run_one: Run) -> dict[str, Any]:
        space = f"debug-{next(_NUMBERS)}"
        config: dict[str, Any] = json.loads(server.kubeconfig().read_text())
        config["contexts"][0]["context"]["namespace"] = space
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        node = f"node-{space}"
        pod["spec"]["nodeName"] = node
        for path, body in (
            ("namespaces", {"metadata": {"name": space}}),
            ("nodes", {"metadata": {"name": node}}),
            (f"namespaces/{space}/pods", pod),
        ):
            assert server.request("POST", f"/api/v1/{path}", body).code == 201
        code, out, err = run_one(["debug", *shlex.split(line.replace("$NODE", node))])
        assert code == 0, out + err
        listed = server.request("GET", f"/api/v1/namespaces/{space}/pods").json()["items"]
        (found,) = [each for each in listed if each["metadata"]["name"] != "web"]
        kept = {key: found["metadata"].get(key) for key in ("name", "labels", "annotations")}
        text = json.dumps({"metadata": kept, "spec": found["spec"], "said": masked(out + err, space)})
        answer: dict[str, Any] = json.loads(
            re.sub(rf"({node}|api-access)-\w{{5}}\b", r"\1-X", text).replace(node, "NODE")
        )
        return answer

    assert made(minikubectl) == made(kubectl)
