"""What a pod's fields do, on a real Docker: many fields in few pods, looked at from inside."""

import base64
import json
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Cluster, run, wait_until

pytestmark = pytest.mark.e2e

JSON = dict[str, Any]
DEMO = "mini-kubernetes/demo"
USER, PASSWORD = "ann", "s3cret"
HTPASSWD = f"{USER}:$2y$05$axGXBHBXDDutxk3xt9CBO.zDd7esuJcbpALpW4Yk9Sq0yTimeZWnm\n"
SERVERS = """
docker-registry serve /etc/docker/registry/config.yml &
export REGISTRY_AUTH=htpasswd REGISTRY_AUTH_HTPASSWD_REALM=ours REGISTRY_AUTH_HTPASSWD_PATH=/tmp/htpasswd
REGISTRY_HTTP_ADDR=:5001 exec docker-registry serve /etc/docker/registry/config.yml
"""


def pod(
    name: str, namespace: str, script: str = "exec sleep 600", *, container: JSON | None = None, **spec: Any
) -> JSON:
    """A pod of the demo image that runs a script; `containers` in `spec` replace the one it has."""
    first = {"name": "c", "image": DEMO, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{**first, **(container or {})}], **spec},
    }


def waiting(cluster: Cluster, namespace: str, name: str) -> str:
    """Why the first container waits, "" if it does not."""
    statuses = cluster.get("pod", name, "-n", namespace)["status"].get("containerStatuses") or [{}]
    return str(statuses[0].get("state", {}).get("waiting", {}).get("reason", ""))


def ready(cluster: Cluster, namespace: str, *names: str) -> None:
    """Wait for pods as users do."""
    pods = [f"pod/{name}" for name in names]
    cluster.kubectl("wait", "-n", namespace, *pods, "--for=condition=Ready", "--timeout=90s", timeout=100)


def events(cluster: Cluster, namespace: str, name: str) -> list[str]:
    """ "Reason: message" of a pod's events."""
    found = cluster.get("events", "-n", namespace, "--field-selector", f"involvedObject.name={name}")["items"]
    return [f"{event['reason']}: {event['message']}" for event in found]


@dataclass(frozen=True)
class Registry:
    """Two servers with the same images, by the names that nodes know: one for everybody, one that wants a password."""

    open: str
    closed: str


@pytest.fixture(scope="module")
def registry(cluster: Cluster) -> Iterator[Registry]:
    """A registry in a container beside the nodes, with shop/app:1 in it."""
    images = json.loads((ROOT / ".build" / "images.json").read_text())
    name = f"{cluster.name}-registry"
    network = f"mini-{cluster.name}"
    subnet = run("docker", "network", "inspect", network, "-f", "{{(index .IPAM.Config 0).Subnet}}")
    address = f"{subnet.rpartition('.')[0]}.250"
    run("docker", "run", "-d", "--name", name, "--network", network, "--ip", address, "-p", "127.0.0.1::5000",
        "--entrypoint", "sh", images["registry"], "-c", f"echo '{HTPASSWD}' >/tmp/htpasswd\n{SERVERS}")  # fmt: skip
    try:
        port = run("docker", "port", name, "5000").split()[0].rpartition(":")[2]
        local = f"localhost:{port}/shop/app:1"
        run("docker", "tag", images["demo"], local)
        answers = f"curl -fsS -o /dev/null http://127.0.0.1:{port}/v2/"
        wait_until(lambda: subprocess.run(answers.split(), capture_output=True).returncode == 0, "the registry answers")
        run("docker", "push", "-q", local)
        run("docker", "rmi", local)
        yield Registry(f"{name}:5000", f"{name}:5001")
    finally:
        run("docker", "rm", "-f", "-v", name)


def test_images_come_from_a_registry_with_and_without_a_password(
    cluster: Cluster, namespace: str, registry: Registry
) -> None:
    cluster.kubectl("create", "secret", "docker-registry", "pull", "-n", namespace,
                    f"--docker-server={registry.closed}", f"--docker-username={USER}",
                    f"--docker-password={PASSWORD}")  # fmt: skip
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    legacy = {
        "type": "kubernetes.io/dockercfg",
        "stringData": {".dockercfg": json.dumps({registry.closed: {"auth": auth}})},
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "legacy", "namespace": namespace}, **legacy},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "puller", "namespace": namespace},
            "imagePullSecrets": [{"name": "legacy"}],
        },
    )

    def pulls(name: str, image: str, policy: str = "Always", **spec: Any) -> JSON:
        return pod(name, namespace, container={"image": image, "imagePullPolicy": policy}, **spec)

    closed = f"{registry.closed}/shop/app:1"
    cluster.apply(
        pulls("free", f"{registry.open}/shop/app:1"),
        pulls("secret", closed, imagePullSecrets=[{"name": "pull"}, {"name": "absent"}]),
        pulls("account", closed, serviceAccountName="puller"),
        pulls("refused", closed),
        pulls("missing", f"{registry.open}/shop/none:1"),
        pulls("never", "shop/none:1", policy="Never"),
        pulls("invalid", "Shop:::1"),
    )
    ready(cluster, namespace, "free", "secret", "account")
    for name, reason in {
        "refused": "ImagePullBackOff",
        "missing": "ImagePullBackOff",
        "never": "ErrImageNeverPull",
        "invalid": "InvalidImageName",
    }.items():
        wait_until(lambda name=name, reason=reason: waiting(cluster, namespace, name) == reason, f"{name}: {reason}")

    def told(name: str, *wanted: str) -> None:
        def all_told() -> bool:
            found = events(cluster, namespace, name)
            return all(any(event.startswith(words) for event in found) for words in wanted)

        wait_until(all_told, f"events of {name}: {wanted}")

    told("free", "Pulling: Pulling image", "Pulled: Successfully pulled image", "Started: Started container")
    told("secret", "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (absent);")
    told("refused", f'Failed: Failed to pull image "{closed}"', "Failed: Error: ErrImagePull")
    told("refused", f'BackOff: Back-off pulling image "{closed}"', "Failed: Error: ImagePullBackOff")
    status = cluster.get("pod", "refused", "-n", namespace)["status"]["containerStatuses"][0]["state"]["waiting"]
    assert "no basic auth credentials" in status["message"]
    told("never", "ErrImageNeverPull: Container image", "Failed: Error: ErrImageNeverPull")
    told("invalid", "InspectFailed: Failed to apply default image tag", "Failed: Error: InvalidImageName")
    for node in cluster.ready_nodes():
        logged = run("docker", "exec", node, "journalctl", "-u", "mini-kubelet", "--no-pager")
        assert PASSWORD not in logged and auth not in logged


ETCD = "exec /usr/bin/etcd --data-dir /tmp/etcd --listen-client-urls http://0.0.0.0:2379 "
ETCD += "--advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2390"


def inside(namespace: str) -> JSON:
    """A pod that uses most of what a pod's spec can say about one process and its files."""
    mounts = {"/e": "e", "/c": "c", "/s": "s", "/p": "p", "/memory": "memory"}
    container = {
        "env": [
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "MIB", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        ],
        "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "32Mi"}},
        "securityContext": {
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
        },
        "volumeMounts": [
            *({"name": name, "mountPath": path} for path, name in mounts.items()),
            {"name": "e", "mountPath": "/sub", "subPathExpr": "of-$(POD)"},
            {"name": "c", "mountPath": "/one", "subPath": "a"},
        ],
    }
    downward = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "requests.cpu", "divisor": "1m"}},
    ]
    projected = [
        {"configMap": {"name": "cm", "items": [{"key": "a", "path": "deep/a"}]}},
        {"downwardAPI": {"items": downward}},
    ]
    return pod(
        "inside", namespace, container=container,
        hostname="h", subdomain="sub", setHostnameAsFQDN=True, shareProcessNamespace=True,
        hostAliases=[{"ip": "192.0.2.1", "hostnames": ["one", "two"]}],
        dnsConfig={"searches": ["more.test"], "options": [{"name": "ndots", "value": "3"}]},
        securityContext={
            "runAsUser": 1000, "runAsGroup": 2000, "supplementalGroups": [3000], "fsGroup": 4000,
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}],
        },
        volumes=[
            {"name": "e", "emptyDir": {}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "c", "configMap": {"name": "cm"}},
            {"name": "s", "secret": {"secretName": "sec", "defaultMode": 0o400}},
            {"name": "p", "projected": {"sources": projected}},
        ],
    )  # fmt: skip


def host(namespace: str) -> JSON:
    """A pod in the node's own namespaces."""
    security = {"privileged": True}
    own = {"hostNetwork": True, "hostPID": True, "hostIPC": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    container = {"securityContext": security, "volumeMounts": [{"name": "root", "mountPath": "/host"}]}
    return pod("host", namespace, container=container, volumes=[{"name": "root", "hostPath": {"path": "/"}}], **own)


def probed(namespace: str) -> JSON:
    """A pod with a real gRPC health service: the node's etcd, brought in by its path."""
    paths = ("/usr/bin/etcd", "/lib/x86_64-linux-gnu")
    container = {
        "readinessProbe": {"grpc": {"port": 2379}, "periodSeconds": 1},
        "livenessProbe": {"grpc": {"port": 2379, "service": ""}, "periodSeconds": 1, "failureThreshold": 2},
        "volumeMounts": [{"name": f"v{i}", "mountPath": path, "readOnly": True} for i, path in enumerate(paths)],
    }
    volumes = [{"name": f"v{i}", "hostPath": {"path": path}} for i, path in enumerate(paths)]
    return pod("probed", namespace, ETCD, container=container, volumes=volumes, shareProcessNamespace=True)


def ended(namespace: str) -> JSON:
    """Three containers that end and leave a message, each in its way."""
    scripts = {
        "file": ("echo -n done >/tmp/message", {"terminationMessagePath": "/tmp/message"}),
        "log": ("echo broken; exit 3", {"terminationMessagePolicy": "FallbackToLogsOnError"}),
        "quiet": ("echo fine", {"terminationMessagePolicy": "FallbackToLogsOnError"}),
    }
    containers = [
        {"name": name, "image": DEMO, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script], **more}
        for name, (script, more) in scripts.items()
    ]
    return pod("ended", namespace, containers=containers, restartPolicy="Never")


def hooked(namespace: str) -> JSON:
    """One whose postStart fails, and one whose hooks leave traces in a volume of the node."""
    lifecycle = {"postStart": {"exec": {"command": ["sh", "-c", "echo no luck; exit 4"]}}}
    return pod("hooked", namespace, container={"lifecycle": lifecycle})


def escaping(namespace: str) -> JSON:
    """One that puts a symlink to the node's root where another container's subPath is to be."""
    mount = {"name": "v", "mountPath": "/v"}
    init = {
        "name": "i",
        "image": DEMO,
        "imagePullPolicy": "IfNotPresent",
        "command": ["ln", "-s", "/", "/v/out"],
        "volumeMounts": [mount],
    }
    container = {"volumeMounts": [{**mount, "subPath": "out"}]}
    return pod(
        "escaping", namespace, container=container, initContainers=[init], volumes=[{"name": "v", "emptyDir": {}}]
    )


def full(namespace: str) -> JSON:
    """One that writes more into its volume than it said."""
    script = "dd if=/dev/zero of=/v/file bs=1M count=3; exec sleep 600"
    volume = {"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}
    return pod(
        "full", namespace, script, container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, volumes=[volume]
    )


@pytest.fixture(scope="module")
def pods(cluster: Cluster) -> Iterator[str]:
    """The namespace with all these pods, made at once."""
    name = f"pods-{secrets.token_hex(3)}"
    sysctl = {"sysctls": [{"name": "kernel.msgmax", "value": "9000"}]}
    where = {"namespace": name}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm", **where}, "data": {"a": "1", "b": "2"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sec", **where}, "stringData": {"pw": "hush"}},
        *(make(name) for make in (inside, host, probed, ended, hooked, escaping, full)),
        pod("root", name, securityContext={"runAsNonRoot": True}),
        pod("unsafe", name, securityContext=sysctl),
        pod("mapped", name, hostUsers=False),
    )
    yield name
    cluster.tried("delete", "namespace", name, "--wait=false")


def test_a_process_has_the_users_rights_and_confinement_it_was_given(cluster: Cluster, pods: str) -> None:
    ready(cluster, pods, "inside")
    assert cluster.exec(pods, "inside", "id") == "uid=1000 gid=2000 groups=2000,3000,4000\n"
    status = dict(
        line.split(":\t", 1) for line in cluster.exec(pods, "inside", "cat", "/proc/self/status").splitlines()
    )
    assert (int(status["CapBnd"], 16), status["NoNewPrivs"], status["Seccomp"]) == (1 << 12, "1", "2")
    assert cluster.exec(pods, "inside", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start") == "80\n"
    refused = cluster.tried("exec", "-n", pods, "inside", "--", "touch", "/file")
    assert "Read-only file system" in refused.stderr


def test_a_pod_sits_in_the_cgroup_of_its_class(cluster: Cluster, pods: str) -> None:
    ready(cluster, pods, "inside", "host")
    found = {name: cluster.get("pod", name, "-n", pods) for name in ("inside", "host")}
    assert [found[name]["status"]["qosClass"] for name in ("inside", "host")] == ["Burstable", "BestEffort"]
    uid, node = found["inside"]["metadata"]["uid"], found["inside"]["spec"]["nodeName"]
    assert f"burstable/pod{uid}/" in cluster.exec(pods, "inside", "cat", "/proc/self/cgroup")
    base = f"/sys/fs/cgroup/cpu/kubepods/burstable/pod{uid}"
    limit = f"/sys/fs/cgroup/memory/kubepods/burstable/pod{uid}/memory.limit_in_bytes"
    numbers = run("docker", "exec", node, "cat", f"{base}/cpu.shares", limit)
    assert numbers.split() == ["51", str(32 << 20)]


def test_names_and_resolver_are_the_pods_own(cluster: Cluster, pods: str) -> None:
    ready(cluster, pods, "inside")
    full = f"h.sub.{pods}.svc.cluster.local"
    assert cluster.exec(pods, "inside", "hostname") == f"{full}\n"
    hosts = cluster.exec(pods, "inside", "cat", "/etc/hosts")
    assert f"\t{full}\th\n" in hosts and "192.0.2.1\tone\ttwo\n" in hosts
    resolver = cluster.exec(pods, "inside", "cat", "/etc/resolv.conf")
    assert "more.test" in resolver and "options ndots:3" in resolver


def test_volumes_belong_to_the_group_and_show_what_they_should(cluster: Cluster, pods: str) -> None:
    ready(cluster, pods, "inside")
    script = "cat /p/deep/a /p/cpu /p/labels /one /s/pw; echo; echo $MIB; touch /e/f /sub/g"
    script += "; stat -c %u:%g /e/f /e/of-inside/g"
    told = cluster.exec(pods, "inside", "sh", "-c", script).split()
    assert told == ['150app="inside"1hush', "32", "1000:4000", "1000:4000"]
    for path in ("/c/x", "/s/x", "/p/x"):
        refused = cluster.tried("exec", "-n", pods, "inside", "--", "touch", path)
        assert "Read-only file system" in refused.stderr, path
    assert cluster.exec(pods, "inside", "stat", "-L", "-c", "%a %g", "/s/pw") == "440 4000\n"
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    assert cluster.exec(pods, "inside", "stat", "-L", "-c", "%a %u:%g", token) == "640 1000:4000\n"


def test_shared_processes_are_seen(cluster: Cluster, pods: str) -> None:
    ready(cluster, pods, "inside")
    assert "sleep 2147483647" in cluster.exec(pods, "inside", "ps")  # of the sandbox


def test_a_downward_volume_follows_its_pod(cluster: Cluster, pods: str) -> None:
    ready(cluster, pods, "inside")
    cluster.kubectl("label", "pod", "inside", "-n", pods, "tier=new")
    wait_until(lambda: 'tier="new"' in cluster.exec(pods, "inside", "cat", "/p/labels"), "the file shows the new label")


def test_a_pod_in_the_nodes_namespaces_sees_the_node(cluster: Cluster, pods: str) -> None:
    ready(cluster, pods, "host")
    found = cluster.get("pod", "host", "-n", pods)
    assert found["status"]["podIP"] == found["status"]["hostIP"]
    assert cluster.exec(pods, "host", "hostname") == f"{found['spec']['nodeName']}\n"
    assert "dockerd" in cluster.exec(pods, "host", "ps")
    node_ipc = run("docker", "exec", found["spec"]["nodeName"], "readlink", "/proc/1/ns/ipc")
    assert cluster.exec(pods, "host", "readlink", "/proc/self/ns/ipc") == node_ipc
    assert "nameserver 10.96.0.10" in cluster.exec(pods, "host", "cat", "/etc/resolv.conf")
    assert "dockerd" in cluster.exec(pods, "host", "ls", "/host/usr/sbin")
    bounding = cluster.exec(pods, "host", "grep", "CapBnd", "/proc/self/status")
    assert bounding == run("docker", "exec", found["spec"]["nodeName"], "grep", "CapBnd", "/proc/self/status")


def test_grpc_probes_ask_a_real_health_service(cluster: Cluster, pods: str) -> None:
    ready(cluster, pods, "probed")
    cluster.exec(pods, "probed", "sh", "-c", "kill -STOP $(pidof etcd)")  # it answers no probe any more

    def restarted() -> bool:
        return bool(cluster.get("pod", "probed", "-n", pods)["status"]["containerStatuses"][0]["restartCount"])

    wait_until(restarted, "the liveness probe had it restarted")
    told = events(cluster, pods, "probed")
    words = "Unhealthy: Liveness probe failed: timeout: health rpc did not complete within 1s"
    assert words in told, told


def test_containers_leave_their_last_words(cluster: Cluster, pods: str) -> None:
    wait_until(lambda: cluster.get("pod", "ended", "-n", pods)["status"]["phase"] == "Failed", "it has ended")
    statuses = cluster.get("pod", "ended", "-n", pods)["status"]["containerStatuses"]
    left = {status["name"]: status["state"]["terminated"] for status in statuses}
    assert {name: state.get("message") for name, state in left.items()} == {
        "file": "done",
        "log": "broken\n",
        "quiet": None,
    }
    assert (left["log"]["exitCode"], left["log"]["reason"], left["quiet"]["reason"]) == (3, "Error", "Completed")


def test_a_failing_poststart_hook_kills_its_container(cluster: Cluster, pods: str) -> None:
    def told() -> bool:
        return "FailedPostStartHook: PostStartHook failed" in events(cluster, pods, "hooked")

    wait_until(told, "an event tells of the hook")
    wait_until(lambda: waiting(cluster, pods, "hooked") == "CrashLoopBackOff", "it is started again, and held back")


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("root", "CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
        ("escaping", "CreateContainerConfigError", 'failed to prepare subPath for volumeMount "v" of container "c"'),
    ],
)
def test_a_container_that_must_not_run_says_why(
    cluster: Cluster, pods: str, name: str, reason: str, words: str
) -> None:
    wait_until(lambda: waiting(cluster, pods, name) == reason, f"{name}: {reason}")
    state = cluster.get("pod", name, "-n", pods)["status"]["containerStatuses"][0]["state"]
    assert state["waiting"]["message"].startswith(words)


def test_a_pod_that_the_node_cannot_confine_does_not_run(cluster: Cluster, pods: str) -> None:
    wait_until(lambda: cluster.get("pod", "unsafe", "-n", pods)["status"]["phase"] == "Failed", "it is refused")
    status = cluster.get("pod", "unsafe", "-n", pods)["status"]
    assert (status["reason"], status["message"]) == (
        "SysctlForbidden", 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted',
    )  # fmt: skip
    words = "FailedCreatePodSandBox: Failed to create pod sandbox: can't set `spec.hostUsers: false`"
    wait_until(lambda: any(event.startswith(words) for event in events(cluster, pods, "mapped")), words)


def test_debug_adds_a_container_that_sees_the_other_ones_processes(cluster: Cluster, pods: str) -> None:
    ready(cluster, pods, "host")
    cluster.apply(pod("target", pods, "exec sleep 765"))
    ready(cluster, pods, "target")
    printed = cluster.kubectl("debug", "-i", "-n", pods, "target", "--image", DEMO, "--image-pull-policy=IfNotPresent",
                              "--target=c", "--container=look", "--", "sh", "-c", "read go; ps; hostname",
                              stdin="go\n")  # fmt: skip
    assert "sleep 765" in printed and printed.endswith("target\n")

    def over() -> bool:
        statuses = cluster.get("pod", "target", "-n", pods)["status"].get("ephemeralContainerStatuses") or [{}]
        return bool(statuses[0].get("state", {}).get("terminated", {}).get("reason") == "Completed")

    wait_until(over, "the ephemeral container has ended, and is not started again")
    ready(cluster, pods, "target")


def test_hooks_and_signals_at_a_pods_end(cluster: Cluster, pods: str) -> None:
    ready(cluster, pods, "host")
    node = cluster.get("pod", "host", "-n", pods)["spec"]["nodeName"]
    hooks = {
        "a": {"exec": {"command": ["sh", "-c", "echo stopping >/node/a"]}},
        "b": {"sleep": {"seconds": 1}},
        "c": {"httpGet": {"path": "/", "port": 8080}},
        "d": {"exec": {"command": ["sleep", "600"]}},
        "e": None,
    }
    trap = "trap 'touch /node/$NAME.term; exit 0' TERM; trap 'touch /node/$NAME.usr; exit 0' USR1"
    trap += "; while :; do sleep 0.1; done"
    containers = [
        {
            "name": name,
            "image": DEMO,
            "imagePullPolicy": "IfNotPresent",
            "lifecycle": {"preStop": hook} if hook else {"stopSignal": "SIGUSR1"},
            "command": ["sh", "-c", trap if name != "c" else "exec httpd -f -p 8080 -h /www"],
            "env": [{"name": "NAME", "value": name}],
            "volumeMounts": [{"name": "n", "mountPath": "/node"}],
        }
        for name, hook in hooks.items()
    ]
    folder = f"/tmp/{pods}"
    volume = {"name": "n", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}
    cluster.apply(
        pod(
            "hooks",
            pods,
            containers=containers,
            volumes=[volume],
            nodeName=node,
            terminationGracePeriodSeconds=4,
            os={"name": "linux"},
        )
    )
    ready(cluster, pods, "hooks")
    uid = cluster.get("pod", "hooks", "-n", pods)["metadata"]["uid"]
    cluster.kubectl("delete", "pod", "hooks", "-n", pods, "--timeout=60s")
    written = run("docker", "exec", node, "sh", "-c", f"cd {folder} && ls").split()
    assert written == ["a", "a.term", "b.term", "d.term", "e.usr"]
    assert run("docker", "exec", node, "find", "/sys/fs/cgroup", "-name", f"pod{uid}") == ""


def test_a_volume_that_outgrows_its_limit_costs_its_pod(cluster: Cluster, pods: str) -> None:
    wait_until(lambda: cluster.get("pod", "full", "-n", pods)["status"]["phase"] == "Failed", "it is evicted")
    status = cluster.get("pod", "full", "-n", pods)["status"]
    assert (status["reason"], status["message"]) == (
        "Evicted", 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ',
    )  # fmt: skip
