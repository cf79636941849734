"""One leader at a time: the second waits, takes over what is given back, and a usurped leader ends."""

import asyncio

import pytest

from kubeclient.errors import LeadershipLost
from kubeclient.leaderelection import LeaderElector, host_identity

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/ours"


def elector(client, identity):
    return LeaderElector(
        client, name="ours", identity=identity, lease_duration=1.5, renew_deadline=1.0, retry_period=0.05
    )


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_one_leads_and_gives_back_on_stopping(api, client):
    leading = []

    def candidate(name):
        async def lead():
            leading.append(name)
            await asyncio.Event().wait()

        return asyncio.create_task(elector(client, name).run(lead))

    first = candidate("one")
    await until(lambda: leading == ["one"])
    second = candidate("two")
    await until(lambda: len([request for request in api.requests if request.startswith("GET")]) > 4)
    assert leading == ["one"]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert api.objects[LEASE]["spec"]["holderIdentity"] in ("", "two")
    await until(lambda: leading == ["one", "two"])
    assert api.objects[LEASE]["spec"]["leaseTransitions"] == 1
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_a_usurped_leader_ends(api, client):
    began = asyncio.Event()

    async def lead():
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(elector(client, "one").run(lead))
    await began.wait()
    lease = api.objects[LEASE]
    await api.put(LEASE, {**lease, "spec": {**lease["spec"], "holderIdentity": "thief"}})
    with pytest.raises(LeadershipLost):
        await asyncio.wait_for(task, 10)
    assert api.objects[LEASE]["spec"]["holderIdentity"] == "thief"


async def test_durations_must_fit_together(client):
    with pytest.raises(ValueError, match="lease duration"):
        LeaderElector(client, name="x", lease_duration=1, renew_deadline=2)


async def test_a_killed_process_leads_again_at_once(api, client):
    began = asyncio.Event()

    async def lead():
        began.set()
        await asyncio.Event().wait()

    now = "2099-01-01T00:00:00.000000Z"
    spec = {"holderIdentity": "one", "leaseDurationSeconds": 3600, "renewTime": now, "acquireTime": now}
    await api.put(LEASE, {"metadata": {"name": "ours", "namespace": "kube-system"}, "spec": spec})
    task = asyncio.create_task(elector(client, "one").run(lead))
    await asyncio.wait_for(began.wait(), 5)
    assert api.objects[LEASE]["spec"]["acquireTime"] == now
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_an_identity_stays_the_same_while_the_port_does(tmp_path):
    machine_id = tmp_path / "machine-id"
    machine_id.write_text("0123456789abcdef\n")
    first, again, other = (host_identity(port, machine_id=machine_id) for port in (10257, 10257, 10259))
    assert first == again != other
    assert host_identity(0, machine_id=machine_id) != host_identity(0, machine_id=machine_id)


def test_a_machine_without_an_id_gives_random_identities(tmp_path):
    assert host_identity(10257, machine_id=tmp_path / "none") != host_identity(10257, machine_id=tmp_path / "none")
