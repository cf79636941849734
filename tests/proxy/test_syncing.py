"""Rules and announced addresses are looked after side by side: trouble with one leaves the other alone."""

import asyncio

import pytest

from proxy import announcing, kernel
from proxy.syncing import Proxy

APPLIED = {"nat": {"KUBE-SERVICES": ("-j ACCEPT",)}, "filter": {}}


@pytest.fixture
def proxy() -> Proxy:
    """A proxy that has written its rules, on a node that announces an address."""
    made = Proxy(node="n1", cluster_cidr="", verify_seconds=0)
    made._applied = APPLIED
    made._announced = {"default/web": {"192.0.2.200"}}
    return made


async def test_an_address_that_cannot_be_held_costs_no_rules(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(wanted: set[str]) -> None:
        raise OSError("no route to it")

    monkeypatch.setattr(announcing, "hold", fails)
    await proxy._announce()
    assert proxy._applied == APPLIED and proxy._held is None, "it is tried again later"


async def test_rules_are_checked_on_a_node_that_announces_too(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    asserted: list[set[str]] = []

    async def emptied() -> dict[str, str]:
        return {"nat": "", "filter": ""}

    monkeypatch.setattr(announcing, "hold", asserted.append)
    monkeypatch.setattr(kernel, "save", emptied)
    proxy._held = {"192.0.2.200"}
    keeping = asyncio.create_task(proxy._keep())
    async with asyncio.timeout(10):
        await proxy._changed.wait()
    keeping.cancel()
    assert proxy._applied == {}, "what somebody removed will be written again"
    assert asserted[0] == {"192.0.2.200"}, "and the address is put back where it was removed"
