"""A pod's life, from its start to its end, on a Docker in memory."""

from pathlib import Path

from tests.kubelet.fake_docker import Docker, World
from tests.kubelet.objects import pod


def state_of(world: World) -> dict[str, object]:
    state: dict[str, object] = world.api.pod["status"]["containerStatuses"][0]["state"]  # type: ignore[index]
    return state


async def test_a_pod_starts_and_is_ready(tmp_path: Path) -> None:
    async with World(pod({"name": "a"}, {"name": "b"}), tmp_path) as world:
        await world.until(world.api.ready)
        assert world.docker.names() == ["POD-0", "a-0", "b-0"]
        assert world.api.pod is not None and world.api.pod["status"]["podIP"] == "10.244.1.2"
        assert [e for e in world.events if e == "Started"] == ["Started", "Started"]


async def test_another_kubelet_finds_it_running_and_touches_nothing(tmp_path: Path) -> None:
    async with World(pod(), tmp_path) as before:
        await before.until(before.api.ready)
        held = set(before.docker.held)
    assert before.api.pod is not None
    fresh = {**before.api.pod, "status": {}}
    async with World(fresh, tmp_path, docker=before.docker, network=before.network) as after:
        await after.until(after.api.ready)
        assert set(after.docker.held) == held and after.events == []


async def test_a_container_that_ends_is_started_again_then_held_back(tmp_path: Path) -> None:
    async with World(pod(), tmp_path) as world:
        await world.until(world.api.ready)
        world.docker.end("c", 1)
        world.worker.wake()
        await world.until(lambda: world.docker.names() == ["POD-0", "c-1"] and "running" in state_of(world))
        world.docker.end("c", 1)
        world.worker.wake()
        await world.until(lambda: state_of(world).get("waiting", {}).get("reason") == "CrashLoopBackOff")  # type: ignore[attr-defined]
        assert world.docker.names() == ["POD-0"]


async def test_a_pod_that_has_done_its_work_gives_its_network_back(tmp_path: Path) -> None:
    async with World(pod(restartPolicy="Never"), tmp_path) as world:
        await world.until(world.api.ready)
        world.docker.end("c", 0)
        world.worker.wake()
        await world.until(lambda: world.api.pod["status"]["phase"] == "Succeeded")
        assert world.network.given == {} and world.docker.names() == []


async def test_a_deleted_pod_is_stopped_removed_and_said_goodbye_to(tmp_path: Path) -> None:
    async with World(pod(), tmp_path) as world:
        await world.until(world.api.ready)
        world.delete(30)
        await world.until(lambda: world.api.pod is None)
        assert world.docker.held == {} and world.network.given == {}
        assert world.docker.signals == [("c", "SIGTERM")]
        assert not (tmp_path / "pods").exists() or not list((tmp_path / "pods").iterdir())


async def test_a_second_deletion_ends_the_grace(tmp_path: Path) -> None:
    async with World(pod(), tmp_path, docker=Docker(stubborn=True)) as world:
        await world.until(world.api.ready)
        world.delete(3600)
        await world.until(lambda: "Killing" in world.events or world.api.pod is None)
        world.delete(0)
        await world.until(lambda: world.api.pod is None)
        assert world.docker.signals[-1] == ("c", "SIGKILL")


async def test_deletion_interrupts_a_pull(tmp_path: Path) -> None:
    async with World(pod({"name": "c", "image": "far:1"}), tmp_path) as world:
        await world.docker.pulling.wait()
        world.delete(30)
        await world.until(lambda: world.api.pod is None)
        assert world.docker.held == {}


async def test_a_pod_that_the_node_has_no_room_for_fails(tmp_path: Path) -> None:
    big = pod({"name": "c", "resources": {"requests": {"cpu": "64"}}})
    async with World(big, tmp_path) as world:
        await world.until(lambda: (world.api.pod.get("status") or {}).get("phase") == "Failed")
        assert world.api.pod is not None and world.api.pod["status"]["reason"] == "OutOfcpu"
        assert world.docker.held == {}


async def test_a_lost_sandbox_is_replaced_with_everything_in_it(tmp_path: Path) -> None:
    async with World(pod(), tmp_path) as world:
        await world.until(world.api.ready)
        world.docker.end("POD", 137)
        world.worker.wake()
        await world.until(lambda: world.docker.names() == ["POD-1", "c-1"] and world.api.ready())
        assert world.api.pod is not None and world.api.pod["status"]["podIP"] == "10.244.1.3"
