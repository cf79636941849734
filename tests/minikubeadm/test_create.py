"""What `cluster create` refuses, and with which words."""

import ipaddress
import socket

import pytest

from minikubeadm.cluster import create, nodes
from minikubeadm.process import StepFailed
from minikubeadm.progress import Progress

PLAN = create.Plan(name="c", workers=1, image="image:1")


async def test_without_docker_it_says_what_it_ran_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(StepFailed) as failure:
        await create.create(PLAN, progress=Progress())
    assert failure.value.command[:2] == ("docker", "version")
    assert "is Docker running" in failure.value.report()


async def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def quiet(*argv: str, **options: object) -> str:
        return ""

    monkeypatch.setattr(create.process, "run", quiet)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StepFailed) as failure:
            await create.create(create.Plan(name="c", workers=0, image="i", api_port=port), progress=Progress())
    assert str(port) in failure.value.what


async def test_what_was_made_is_removed_when_a_step_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []

    async def checked(plan: create.Plan) -> None:
        return None

    async def network(cluster: str, ranges: list[str]) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network("172.30.0.0/24")

    async def broken(plan: create.Plan, subnet: ipaddress.IPv4Network, progress: Progress) -> None:
        raise StepFailed("the second step")

    async def remove(name: str) -> bool:
        removed.append(name)
        return True

    monkeypatch.setattr(create, "_check", checked)
    monkeypatch.setattr(create.networks, "create", network)
    monkeypatch.setattr(create, "_bring_up", broken)
    monkeypatch.setattr(create, "_remove", remove)
    with pytest.raises(StepFailed, match="the second step"):
        await create.create(PLAN, progress=Progress())
    assert removed == ["c"]
    with pytest.raises(StepFailed):
        await create.create(create.Plan(name="kept", workers=0, image="i", retain=True), progress=Progress())
    assert removed == ["c"]


async def test_somebody_elses_network_of_that_name_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []

    async def checked(plan: create.Plan) -> None:
        return None

    async def there_already(cluster: str, ranges: list[str]) -> ipaddress.IPv4Network:
        raise StepFailed("creating the network mini-c", output="network with name mini-c already exists")

    async def remove(name: str) -> bool:
        removed.append(name)
        return True

    monkeypatch.setattr(create, "_check", checked)
    monkeypatch.setattr(create.networks, "create", there_already)
    monkeypatch.setattr(create, "_remove", remove)
    with pytest.raises(StepFailed, match="creating the network"):
        await create.create(PLAN, progress=Progress())
    assert removed == []


def test_nodes_keep_fixed_addresses_and_only_the_control_plane_a_port() -> None:
    made = create._nodes(
        create.Plan(name="c", workers=2, image="i", api_port=4711), ipaddress.IPv4Network("172.30.4.0/24")
    )
    assert [node.ip for node in made] == ["172.30.4.2", "172.30.4.3", "172.30.4.4"]
    assert [(node.role, node.api_port) for node in made] == [
        (nodes.CONTROL_PLANE, 4711),
        (nodes.WORKER, 0),
        (nodes.WORKER, 0),
    ]
