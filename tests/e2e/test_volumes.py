"""Claims on a real cluster: data outlives pods, pods come back to their data, directories go with their claims."""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Cluster, deployment, run, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
JSON = dict[str, Any]
FOLDER = "/var/lib/kubelet/node-local"


def claim(namespace: str, name: str = "data", **spec: Any) -> JSON:
    """A claim on the default class unless `spec` says otherwise."""
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}, **spec}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wanted}


def with_claim(namespace: str, **pod: Any) -> JSON:
    """A Deployment of one pod that has the claim `data` at /data."""
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    made = deployment("web", namespace, replicas=1, spread=False, volumes=volumes, **pod)
    made["spec"]["strategy"] = {"type": "Recreate"}
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return made


def running(cluster: Cluster, namespace: str) -> JSON:
    """The pod of the Deployment, once it is rolled out."""
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=90s", timeout=100)
    [pod] = cluster.pods(namespace, "app=web")
    return pod


def volume_of(cluster: Cluster, namespace: str) -> JSON:
    """The volume that the claim `data` is bound to."""
    bound = cluster.get("pvc", "data", "-n", namespace)
    return cluster.get("pv", bound["spec"]["volumeName"])


def is_gone(cluster: Cluster, volume: str) -> bool:
    return cluster.tried("get", "pv", volume).returncode == 1


def directories(node: str) -> list[str]:
    return run("docker", "exec", node, "sh", "-c", f"ls -A {FOLDER} 2>/dev/null || true").split()


def test_data_outlives_its_pod_which_comes_back_to_the_same_node(cluster: Cluster, namespace: str) -> None:
    cluster.apply(claim(namespace), with_claim(namespace, securityContext={"fsGroup": 4711, "runAsUser": 1000}))
    pod = running(cluster, namespace)
    node, name = pod["spec"]["nodeName"], pod["metadata"]["name"]
    cluster.exec(namespace, name, "sh", "-c", "echo kept > /data/row")
    assert cluster.exec(namespace, name, "stat", "-c", "%u %g", "/data/row").split() == ["1000", "4711"]
    cluster.kubectl("delete", "pod", "-n", namespace, name)
    cluster.kubectl(
        "patch",
        "-n",
        namespace,
        "deployment/web",
        "--type=json",
        "-p",
        json.dumps(
            [{"op": "add", "path": "/spec/template/spec/volumes/0/persistentVolumeClaim/readOnly", "value": True}]
        ),
    )
    again = running(cluster, namespace)
    assert again["metadata"]["name"] != name
    assert cluster.tried("exec", "-n", namespace, again["metadata"]["name"], "--", "touch", "/data/x").returncode
    assert again["spec"]["nodeName"] == node
    assert cluster.exec(namespace, again["metadata"]["name"], "cat", "/data/row") == "kept\n"
    volume = volume_of(cluster, namespace)["metadata"]["name"]
    assert volume in directories(node)
    assert volume not in directories(cluster.control_plane)
    cluster.kubectl("delete", "-n", namespace, "deployment/web", "pvc/data", "--timeout=60s", timeout=70)
    wait_until(lambda: is_gone(cluster, volume), "the volume goes with its claim")
    assert volume not in directories(node)


def test_a_directory_goes_when_its_node_is_back(cluster: Cluster, namespace: str) -> None:
    cluster.apply(claim(namespace), with_claim(namespace))
    pod = running(cluster, namespace)
    node, volume = pod["spec"]["nodeName"], volume_of(cluster, namespace)["metadata"]["name"]
    run("docker", "exec", node, "systemctl", "stop", "mini-kubelet")
    try:
        cluster.kubectl("delete", "-n", namespace, "deployment/web", "--cascade=foreground", "--wait=false")
        wait_until(lambda: not cluster.pods(namespace, "app=web"), "the pod is being deleted")
        cluster.kubectl("delete", "pod", "-n", namespace, pod["metadata"]["name"], "--force", "--grace-period=0")
        cluster.kubectl("delete", "pvc", "-n", namespace, "data", "--timeout=60s", timeout=70)
        wait_until(
            lambda: cluster.get("pv", volume)["metadata"].get("deletionTimestamp"), "the volume is being deleted"
        )
        assert volume in directories(node)
    finally:
        run("docker", "exec", node, "systemctl", "start", "mini-kubelet")
    wait_until(lambda: is_gone(cluster, volume), "the volume is gone", seconds=90)
    assert volume not in directories(node)


def test_a_retained_volume_and_a_users_own_directory_stay(cluster: Cluster, namespace: str) -> None:
    cluster.apply(claim(namespace), with_claim(namespace))
    pod = running(cluster, namespace)
    node, volume = pod["spec"]["nodeName"], volume_of(cluster, namespace)["metadata"]["name"]
    cluster.kubectl("patch", "pv", volume, "-p", '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}')
    cluster.kubectl("delete", "-n", namespace, "deployment/web", "pvc/data", "--timeout=60s", timeout=70)
    wait_until(lambda: cluster.get("pv", volume)["status"]["phase"] == "Released", "the volume is released")
    cluster.kubectl("delete", "pv", volume, "--timeout=60s", timeout=70)
    assert volume in directories(node)
    own = f"own-{secrets.token_hex(3)}"
    source = {"hostPath": {"path": f"{FOLDER}/{volume}"}, "persistentVolumeReclaimPolicy": "Delete"}
    annotations = {"pv.kubernetes.io/provisioned-by": "mini-kubernetes.io/node-local"}
    metadata = {"name": own, "annotations": annotations, "labels": {"mini-kubernetes.io/node": node},
                "finalizers": ["mini-kubernetes.io/node-local"]}  # fmt: skip
    spec = {"capacity": {"storage": "10Mi"}, "accessModes": ["ReadWriteOnce"], **source}
    cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec})
    cluster.kubectl("delete", "pv", own, "--timeout=60s", timeout=70)
    assert volume in directories(node), "a user's volume is never deleted, whatever it says it is"
    run("docker", "exec", node, "rm", "-r", str(Path(FOLDER) / volume))


def test_a_pod_says_which_claim_it_lacks(cluster: Cluster, namespace: str) -> None:
    cluster.apply(with_claim(namespace))

    def said() -> bool:
        listed = cluster.get("events", "-n", namespace, "--field-selector=reason=FailedScheduling")["items"]
        return any('persistentvolumeclaim "data" not found' in event["message"] for event in listed)

    wait_until(said, "an event says that the claim is missing", seconds=20)
    cluster.apply(claim(namespace))
    running(cluster, namespace)


def test_an_ephemeral_volume_lives_as_long_as_its_pod(cluster: Cluster, namespace: str) -> None:
    template = {"spec": claim(namespace)["spec"]}
    volumes = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    container = {"name": "c", "image": "mini-kubernetes/demo", "imagePullPolicy": "IfNotPresent",
                 "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}  # fmt: skip
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": namespace}, "spec": spec}
    )
    cluster.kubectl("wait", "-n", namespace, "pod/web", "--for=condition=Ready", "--timeout=90s", timeout=100)
    cluster.exec(namespace, "web", "touch", "/scratch/file")
    cluster.kubectl("delete", "pod", "-n", namespace, "web", "--timeout=60s", timeout=70)

    def gone() -> bool:
        return not json.loads(cluster.kubectl("get", "pvc", "-n", namespace, "-o", "json"))["items"]

    wait_until(gone, "the claim goes with its pod", seconds=30)
