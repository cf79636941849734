"""Docker's create bodies, pod files, admission on the node, image references, flags."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubelet import container_config, files, images, node_admission, options
from kubelet.container_config import Bind, NodeAbilities, container_body, sandbox_body
from kubelet.environment import ConfigError
from tests.kubelet.objects import pod

NODE = NodeAbilities(
    capabilities=("NET_ADMIN",),
    fully_privileged=False,
    oom_scores_lowerable=False,
    memory_bytes=8 << 30,
    log_max_size="10m",
    log_max_files=5,
)


def body(container: dict[str, Any], *, image: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    subject = pod(container, **spec)
    return container_body(
        subject,
        subject["spec"]["containers"][0],
        sandbox="sb",
        attempt=2,
        environment={"A": "1"},
        binds=[Bind(source="/s", target="/t", read_only=True)],
        image=image or {},
        message_file="/m",
        node=NODE,
        devices=["/dev/null"],
    )


def test_names_and_labels_by_which_it_is_found_again() -> None:
    assert container_config.docker_name(pod(), "c", 2).startswith("k8s_c_web_shop_")
    labels = body({"name": "c"})["Labels"]
    assert labels["io.kubernetes.pod.name"] == "web"
    assert labels["io.kubernetes.sandbox.id"] == "sb"
    assert labels["annotation.io.kubernetes.container.restartCount"] == "2"


def test_command_and_args_are_expanded() -> None:
    made = body({"name": "c", "command": ["run", "$(A)"], "args": ["$$(A)", "$(B)"], "workingDir": "/w"})
    assert (made["Entrypoint"], made["Cmd"], made["WorkingDir"]) == (["run", "1"], ["$(A)", "$(B)"], "/w")


def test_namespaces_are_the_sandboxs() -> None:
    host = body({"name": "c"}, shareProcessNamespace=True)["HostConfig"]
    assert (host["NetworkMode"], host["IpcMode"], host["PidMode"]) == ("container:sb",) * 3
    made = sandbox_body(pod(), image="pause", attempt=0, node=NODE, cluster_domain="x.y")
    assert (made["HostConfig"]["NetworkMode"], made["Hostname"]) == ("none", "web")
    on_host = sandbox_body(pod(hostNetwork=True), image="pause", attempt=0, node=NODE, cluster_domain="x.y")
    assert on_host["HostConfig"]["NetworkMode"] == "host" and "Hostname" not in on_host


def test_a_score_below_zero_is_left_out_where_the_node_cannot() -> None:
    limits = {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
    assert "OomScoreAdj" not in body({"name": "c", **limits})["HostConfig"]
    assert body({"name": "c"})["HostConfig"]["OomScoreAdj"] == 1000


def test_privileged_gets_what_the_node_has() -> None:
    host = body({"name": "c", "securityContext": {"privileged": True}})["HostConfig"]
    assert "Privileged" not in host
    assert host["CapAdd"] == ["NET_ADMIN"] and host["Devices"][0]["PathOnHost"] == "/dev/null"
    full = replace(NODE, fully_privileged=True)
    assert container_config._privileged(full, []) == {"Privileged": True, "CapAdd": [], "CapDrop": []}


def test_security_context_of_the_container_wins() -> None:
    security = {"runAsUser": 7, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}
    made = body(
        {"name": "c", "securityContext": security}, securityContext={"runAsUser": 5, "runAsGroup": 6, "fsGroup": 9}
    )
    assert made["User"] == "7:6"
    assert made["HostConfig"]["GroupAdd"] == ["9"] and made["HostConfig"]["ReadonlyRootfs"]
    assert "no-new-privileges" in made["HostConfig"]["SecurityOpt"]


@pytest.mark.parametrize(
    ("security", "options"),
    [
        ({}, ["seccomp=unconfined"]),
        ({"seccompProfile": {"type": "RuntimeDefault"}}, []),
        ({"seccompProfile": {"type": "Localhost", "localhostProfile": "p.json"}}, ["seccomp={}"]),
        (
            {"seccompProfile": {"type": "RuntimeDefault"}, "appArmorProfile": {"type": "Unconfined"}},
            ["apparmor=unconfined"],
        ),
        (
            {
                "seccompProfile": {"type": "RuntimeDefault"},
                "appArmorProfile": {"type": "Localhost", "localhostProfile": "p"},
            },
            ["apparmor=p"],
        ),
        ({"seccompProfile": {"type": "RuntimeDefault"}, "seLinuxOptions": {"level": "s0"}}, ["label=level:s0"]),
    ],
)
def test_confinement_as_dockers_options(security: dict[str, Any], options: list[str]) -> None:
    assert container_config.security_options(security, seccomp="{}") == options


def test_a_full_name_as_host_name_must_fit_the_kernel() -> None:
    subject = pod(hostname="h", subdomain="sub", setHostnameAsFQDN=True)
    assert container_config.sandbox_hostname(subject, "cluster.local") == "h.sub.shop.svc.cluster.local"
    assert container_config.sandbox_hostname(pod(setHostnameAsFQDN=True), "cluster.local") == "web"
    with pytest.raises(ConfigError, match=r"is too long \(64 characters is the max, 79 characters requested\)"):
        container_config.sandbox_hostname(subject, "x" * 64)


def test_a_user_namespace_is_refused_rather_than_left_out() -> None:
    with pytest.raises(ConfigError, match="does not support user namespaces"):
        sandbox_body(pod(hostUsers=False), image="pause", attempt=0, node=NODE, cluster_domain="x.y")


@pytest.mark.parametrize("user", ["", "root", "0", "0:0"])
def test_root_is_refused_where_forbidden(user: str) -> None:
    with pytest.raises(ConfigError, match="image will run as root"):
        body({"name": "c"}, image={"Config": {"User": user}}, securityContext={"runAsNonRoot": True})


def test_hosts_and_resolv_conf() -> None:
    subject = pod(hostname="h", subdomain="sub", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["x", "y"]}])
    text = files.hosts(subject, ["10.244.1.5"], cluster_domain="cluster.local")
    assert "10.244.1.5\th.sub.shop.svc.cluster.local\th\n" in text and "1.2.3.4\tx\ty\n" in text
    node_conf = "nameserver 9.9.9.9\nsearch lan\noptions edns0\n"

    def conf(**spec: Any) -> str:
        return files.resolv_conf(pod(**spec), node_conf, cluster_dns=["10.96.0.10"], cluster_domain="cluster.local")

    assert conf() == (
        "search shop.svc.cluster.local svc.cluster.local cluster.local lan\nnameserver 10.96.0.10\noptions ndots:5\n"
    )
    assert conf(dnsPolicy="Default") == "search lan\nnameserver 9.9.9.9\noptions edns0\n"
    assert conf(hostNetwork=True) == conf(dnsPolicy="Default")
    config = {"nameservers": ["1.1.1.1"], "searches": ["a"], "options": [{"name": "ndots", "value": "2"}]}
    assert conf(dnsPolicy="None", dnsConfig=config) == "search a\nnameserver 1.1.1.1\noptions ndots:2\n"


NODE_OBJECT = {
    "metadata": {"name": "n1", "labels": {"disk": "ssd"}},
    "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "2"}},
}


def requests(cpu: str) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": {"cpu": cpu}}}


@pytest.mark.parametrize(
    ("subject", "others", "reason"),
    [
        (pod(requests("1")), [], None),
        (pod(requests("1500m")), [pod(requests("1"))], "OutOfcpu"),
        (pod(), [pod(), pod()], "OutOfpods"),
        (pod(nodeSelector={"disk": "ssd"}), [], None),
        (pod(nodeSelector={"disk": "hdd"}), [], "NodeAffinity"),
    ],
)
def test_admission(subject: dict[str, Any], others: list[dict[str, Any]], reason: str | None) -> None:
    refusal = node_admission.check(subject, NODE_OBJECT, others)
    assert (refusal[0] if refusal else None) == reason


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("net.ipv4.ip_local_port_range", {}, None),
        ("net/ipv4/ip_local_port_range", {}, None),
        ("net.core.somaxconn", {}, None),
        ("kernel.msgmax", {}, 'forbidden sysctl: "kernel.msgmax" not allowlisted'),
        (
            "net.ipv4.tcp_rmem",
            {"hostNetwork": True},
            'forbidden sysctl: "net.ipv4.tcp_rmem" not allowed with host Net enabled',
        ),
        (
            "kernel.shm_rmid_forced",
            {"hostIPC": True},
            'forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host IPC enabled',
        ),
    ],
)
def test_sysctls_that_reach_past_the_pod_are_refused(name: str, spec: dict[str, Any], message: str | None) -> None:
    subject = pod(securityContext={"sysctls": [{"name": name, "value": "1"}]}, **spec)
    refusal = node_admission.check(subject, NODE_OBJECT, [], unsafe_sysctls=["net.core.*"])
    assert refusal == (None if message is None else ("SysctlForbidden", message))


def test_a_profile_that_the_kernel_does_not_enforce_is_refused() -> None:
    subject = pod({"name": "c", "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}})
    assert node_admission.check(subject, NODE_OBJECT, [], apparmor=True) is None
    refusal = node_admission.check(subject, NODE_OBJECT, [], apparmor=False)
    assert refusal == ("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host")


def test_refusal_names_amounts_as_upstream() -> None:
    refusal = node_admission.check(pod(requests("3")), NODE_OBJECT, [])
    assert refusal == ("OutOfcpu", "Node didn't have enough resource: cpu, requested: 3000, used: 0, capacity: 2000")


@pytest.mark.parametrize(
    ("reference", "parsed"),
    [
        ("busybox", ("busybox", "latest")),
        ("reg.example:5000/a/b:1", ("reg.example:5000/a/b", "1")),
        ("a@sha256:" + "0" * 64, ("a", "sha256:" + "0" * 64)),
    ],
)
def test_image_references(reference: str, parsed: tuple[str, str]) -> None:
    assert images.parse(reference) == parsed


@pytest.mark.parametrize("reference", ["", "BAD", "a::b", "a:b:c", "a b"])
def test_bad_image_references(reference: str) -> None:
    with pytest.raises(ValueError, match="invalid reference format"):
        images.parse(reference)


def test_pull_policy_by_tag() -> None:
    assert images.policy({"image": "a"}) == "Always"
    assert images.policy({"image": "a:1"}) == "IfNotPresent"
    assert images.policy({"image": "a", "imagePullPolicy": "Never"}) == "Never"


def test_flags_and_a_kubelet_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nclusterDNS: [10.1.0.10]\n"
        "authentication: {x509: {clientCAFile: /ca.crt}}\nmaxPods: 50\nserverTLSBootstrap: true\n"
    )
    settings = options.parse(
        ["--config", str(config), "--hostname-override=N1", "--node-ip=10.0.0.1", "--max-pods=60",
         "--register-with-taints=a=b:NoSchedule,c:NoExecute", "--node-labels=x=y"]
    )  # fmt: skip
    assert settings.node_name == "n1" and settings.node_ips == ("10.0.0.1",)
    assert settings.cluster_dns == ("10.1.0.10",) and settings.client_ca_file == Path("/ca.crt")
    assert settings.max_pods == 60 and settings.rotate_server_certificates
    assert settings.register_with_taints[0] == {"key": "a", "effect": "NoSchedule", "value": "b"}
    assert settings.node_labels == {"x": "y"}
