"""`init`, then `reset`: the machine is as it was; and `init` works again."""

import asyncio
import secrets
from collections.abc import Iterator

import pytest

from componentbase import defaults
from minikubeadm.cluster import create, networks, nodes
from minikubeadm.cluster.commands import newest_image
from tests.e2e.conftest import run, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
RANGES = [defaults.POD_CIDR, defaults.SERVICE_CIDR]
# What is looked at: section -> command. Times, counters and process numbers are left out.
STATE = {
    "files": r"find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /root"
    r" -o -path /var/lib/containerd -o -name __pycache__ \) -prune -o -printf '%p %y %m\n'",
    "volumes": r"find /var/lib/kubelet /var/lib/etcd -mindepth 1 -printf '%p %y\n'",
    "temporary files": r"find /tmp -mindepth 1 -printf '%p %y\n'",
    "run": "ls /run",
    "links": "ip -o -d link | sed 's/ qlen.*//; s/^[0-9]*: //'",
    "addresses": "ip -o address | sed 's/^[0-9]*: //; s/valid_lft.*//'",
    "routes": "ip route show table all | grep -v '^fe80\\|^ff00'",
    "firewall": r"iptables-save | grep '^-A\|^:[A-Z]*-'",
    "mounts": "cut -d' ' -f2,3 /proc/mounts",
    "containers": "docker ps --all --format '{{.Names}}'; docker volume ls --quiet; docker network ls --quiet",
    "units": "systemctl list-units --all --plain --no-legend 'mini-*'; systemctl list-unit-files --no-legend 'mini-*'",
    "processes": "ps -eo comm= | grep -v '^kworker\\|^ps$\\|^sh$\\|^sort$'",
    "kernel parameters": "sysctl -n net.ipv4.ip_forward net.ipv4.conf.all.rp_filter net.bridge.bridge-nf-call-iptables",
    "cgroups": "find /sys/fs/cgroup -type d -name '*kube*'",
}


@pytest.fixture
def machine() -> Iterator[str]:
    """A bare node container: Debian with systemd and Docker, no cluster."""
    name = f"reset-{secrets.token_hex(2)}"

    async def make() -> str:
        subnet = await networks.create(name, RANGES)
        await networks.guard(RANGES, await newest_image())
        node = nodes.Node(
            f"{name}-machine", name, nodes.WORKER, networks.name_of(name), str(subnet[2]), await newest_image(), *RANGES
        )
        await nodes.start(node, await nodes.allowed_capabilities())
        return node.name

    try:
        machine = asyncio.run(make())
        wait_until(lambda: "docker" in run("docker", "exec", machine, "ps", "-eo", "comm="), "its Docker runs")
        wait_until(lambda: run("docker", "exec", machine, "docker", "images", "-q"), "its images are there")
        yield machine
    finally:
        asyncio.run(create._remove(name))


def state(machine: str) -> dict[str, set[str]]:
    """The machine, section by section."""
    shown = {name: run("docker", "exec", machine, "sh", "-c", f"{{ {what}; }} | sort") for name, what in STATE.items()}
    return {name: set(text.splitlines()) for name, text in shown.items()}


def kubectl(machine: str, command: str) -> str:
    return run("docker", "exec", machine, "sh", "-c", f"KUBECONFIG=/etc/kubernetes/admin.conf minikubectl {command}")


def test_after_reset_a_machine_is_as_it_was_before_init_and_can_be_one_again(machine: str) -> None:
    before = state(machine)
    run("docker", "exec", machine, "minikubeadm", "init", "--no-taint")
    kubectl(machine, "rollout status -n kube-system deployment/cluster-dns --timeout=120s")
    during = state(machine)
    assert {"files", "links", "routes", "firewall", "mounts", "containers", "units", "processes"} <= {
        name for name in STATE if before[name] != during[name]
    }
    run("docker", "exec", machine, "minikubeadm", "reset", "--force")
    after = state(machine)
    differences = {
        name: (sorted(before[name] - after[name]), sorted(after[name] - before[name]))
        for name in STATE
        if before[name] != after[name]
    }
    assert differences == {}
    run("docker", "exec", machine, "minikubeadm", "init", "--no-taint")
    wait_until(lambda: " Ready " in kubectl(machine, "get nodes"), "the node is Ready again", seconds=90)
