"""What of the firewall stays, and what the kernel is given back."""

from pathlib import Path

import pytest

from minikubeadm import host, reset
from proxy import announcing

SAVED = """\
*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:DOCKER - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -j DOCKER
-A POSTROUTING -j MINI-POSTROUTING
-A KUBE-SERVICES -j RETURN
-A DOCKER -m comment --comment "left to KUBE-PROXY" -j RETURN
COMMIT
"""

THEIRS = '-A DOCKER -m comment --comment "left to KUBE-PROXY" -j RETURN\n'


def test_only_our_chains_and_what_leads_to_them_go() -> None:
    kept = reset.without_our_chains(SAVED)
    assert kept == "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n-A PREROUTING -j DOCKER\n" + THEIRS + "COMMIT\n"
    assert reset.without_our_chains(kept) == kept


def test_addresses_that_the_proxy_announced_go_with_their_link() -> None:
    assert announcing.LINK in reset.DEVICES


async def test_kernel_parameters_are_put_back_to_what_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, ...]] = []

    async def run(*argv: str, **options: str) -> str:
        ran.append(argv)
        return ""

    proc = tmp_path / "proc"
    setting = proc / "net/ipv4/ip_forward"
    setting.parent.mkdir(parents=True)
    setting.write_text("0\n")
    monkeypatch.setattr(host.process, "run", run)
    monkeypatch.setattr(host, "_PROC", proc)
    file = tmp_path / "99.conf"
    await host.configure(file=file)
    setting.write_text("1\n")
    await host.configure(file=file)
    await host.restore(file=file)
    assert ran[-1] == ("sysctl", "-q", "-e", "-w", "net.ipv4.ip_forward=0")
    assert not file.exists()
