"""The proxy's rules in a real kernel: a network namespace of the test's own, real iptables, a real connection."""

import asyncio
import contextlib
import ctypes
import os
import socket
import subprocess
import threading

import pytest

from componentbase import host
from proxy import iptables, kernel, syncing

pytestmark = pytest.mark.integration
CLONE_NEWNET = 0x40000000
SERVICE_IP, POD_IP, NODE_IP = "10.96.1.1", "10.244.1.2", "192.0.2.1"


class FakeInformer:
    """Objects by key, told to handlers as an informer tells them."""

    def __init__(self):
        self.objects, self.handlers, self.index = {}, [], None

    def add_handler(self, **handlers):
        self.handlers.append(handlers)
        for obj in self.objects.values():
            handlers["on_add"](obj)

    def add_index(self, name, function):
        self.index = function

    def get(self, key):
        return self.objects.get(key)

    def by_index(self, name, value):
        return [obj for obj in self.objects.values() if value in self.index(obj)]

    def put(self, key, obj):
        self.objects[key] = obj
        for handlers in self.handlers:
            handlers["on_add"](obj)

    def drop(self, key):
        obj = self.objects.pop(key)
        for handlers in self.handlers:
            handlers["on_delete"](obj)


class FakeInformers:
    def __init__(self):
        self.by_kind = {"Service": FakeInformer(), "EndpointSlice": FakeInformer()}

    def informer(self, kind):
        return self.by_kind[kind.kind]

    async def run(self):
        await asyncio.Event().wait()

    async def wait_synced(self):
        pass


def in_network_namespace(main):
    """Runs the coroutine function `main` in a thread with a network namespace of its own."""
    outcome = []

    def thread():
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            ip = (
                "link set lo up",
                f"addr add {POD_IP}/32 dev lo",
                "link add uplink type veth peer name away",
                f"addr add {NODE_IP}/24 dev uplink",
                "link set uplink up",
                "link set away up",
                "route add default via 192.0.2.254",
            )
            for command in ip:
                subprocess.run(["ip", *command.split()], check=True)
            outcome.append(asyncio.run(main()))
        except BaseException as error:
            outcome.append(error)

    runner = threading.Thread(target=thread)
    runner.start()
    runner.join(60)
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def service():
    ports = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]
    return {
        "metadata": {"namespace": "default", "name": "web"},
        "spec": {"type": "NodePort", "clusterIP": SERVICE_IP, "ports": ports},
    }


def endpoint_slice(port):
    return {
        "metadata": {"namespace": "default", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [POD_IP], "conditions": {"ready": True}, "nodeName": "n1"}],
    }


@contextlib.contextmanager
def answering():
    """Something at the pod's address that accepts connections; gives its port."""
    with socket.create_server((POD_IP, 0)) as listener:
        yield listener.getsockname()[1]


async def connects(address, port):
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError) as error:
        return type(error).__name__
    writer.close()
    return "connected"


async def until(condition):
    """Waits until the coroutine function `condition` gives something true."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - the kernel sends no event for it
            await asyncio.sleep(0.02)


async def becomes(address, port, wanted):
    async def it_is():
        return await connects(address, port) == wanted

    await until(it_is)


async def rule_count():
    return (await kernel.save())["nat"].count("\n-A")


@contextlib.asynccontextmanager
async def proxy_running(informers, *, verify_seconds=0.2):
    proxy = syncing.Proxy(node="n1", cluster_cidr="10.244.0.0/16", verify_seconds=verify_seconds)
    task = asyncio.create_task(proxy.run(informers))
    try:
        yield proxy
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_a_service_is_reached_by_its_address_and_by_node_port_until_it_is_gone():
    async def main():
        informers = FakeInformers()
        services, slices = informers.by_kind["Service"], informers.by_kind["EndpointSlice"]
        with answering() as port:
            async with proxy_running(informers):
                services.put("default/web", service())
                await becomes(SERVICE_IP, 80, "ConnectionRefusedError")  # no endpoints: refused at once
                slices.put("default/web-1", endpoint_slice(port))
                await becomes(SERVICE_IP, 80, "connected")
                await becomes(NODE_IP, 30080, "connected")
                services.drop("default/web")
                slices.drop("default/web-1")
                await becomes(NODE_IP, 30080, "ConnectionRefusedError")
                left = kernel.our_chains((await kernel.save())["nat"])
                assert left == set(iptables.static_rules()["nat"])

    in_network_namespace(main)


@pytest.mark.parametrize("damage", ["-t nat -F KUBE-SERVICES", "-t nat -F PREROUTING", "-t nat -F"])
def test_what_somebody_removes_is_put_back(damage):
    async def main():
        informers = FakeInformers()
        informers.by_kind["Service"].put("default/web", service())
        with answering() as port:
            informers.by_kind["EndpointSlice"].put("default/web-1", endpoint_slice(port))
            async with proxy_running(informers) as proxy:
                await becomes(SERVICE_IP, 80, "connected")

                async def verified():
                    return proxy._fingerprint

                await until(verified)
                before = await rule_count()
                process = await asyncio.create_subprocess_exec("iptables", *damage.split())
                assert await process.wait() == 0

                async def back():
                    return await rule_count() == before

                await until(back)
                await becomes(SERVICE_IP, 80, "connected")

    in_network_namespace(main)


def test_a_restarted_proxy_takes_over_what_the_former_left():
    async def main():
        informers = FakeInformers()
        informers.by_kind["Service"].put("default/web", service())
        with answering() as port:
            informers.by_kind["EndpointSlice"].put("default/web-1", endpoint_slice(port))
            async with proxy_running(informers):
                await becomes(SERVICE_IP, 80, "connected")
            assert await connects(SERVICE_IP, 80) == "connected"  # rules stay while no proxy runs
            before = await rule_count()
            async with proxy_running(informers) as proxy:

                async def synced():
                    return proxy.last_sync

                await until(synced)
                assert await rule_count() == before

    in_network_namespace(main)


def test_a_refused_write_says_what_and_changes_nothing():
    async def main():
        with pytest.raises(host.CommandError, match=r"iptables-restore .*exit code"):
            await kernel.restore("*nat\n:KUBE-X - [0:0]\n-A KUBE-X -j NOWHERE\nCOMMIT\n")
        assert "KUBE-X" not in (await kernel.save())["nat"]

    if os.geteuid():
        pytest.skip("needs root: iptables")
    in_network_namespace(main)
