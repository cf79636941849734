"""Observation against a Docker that lags behind its own events; grace periods; probes; log options."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from apimachinery import errors
from kubelet import observed
from kubelet.probes import Counter, was_so
from kubelet.runtime import LAUNCHES_MAX, Grace, Runtime
from kubelet.server import logs
from tests.kubelet.objects import UID, exited, pod, run
from tests.kubelet.objects import observed as seen


def description(state: str, **changes: Any) -> dict[str, Any]:
    labels = {observed.LABEL_POD_UID: UID, observed.LABEL_CONTAINER: "c", observed.LABEL_TYPE: "container"}
    return {
        "Id": "1",
        "Created": "2026-01-01T00:00:00Z",
        "Image": "sha256:x",
        "Config": {"Labels": labels, "Image": "img"},
        "State": {"Status": state, "StartedAt": "2026-01-01T00:00:01Z", "ExitCode": 0, **changes},
    }


class LaggingDocker:
    """Its listing says "running" after the container has died."""

    def __init__(self) -> None:
        self.inspected = 0
        self.state = "running"

    async def containers(self, labels: list[str]) -> list[dict[str, Any]]:
        return [{"Id": "1", "State": "running", "Labels": {observed.LABEL_POD_UID: UID}}]

    async def inspect(self, container: str) -> dict[str, Any]:
        self.inspected += 1
        return description(self.state)


class BusyDocker:
    """Counts how many starts it is asked for at a time."""

    def __init__(self) -> None:
        self.under_way = self.most = 0

    async def start(self, container: str) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1


async def test_docker_is_asked_for_few_starts_at_a_time() -> None:
    docker = BusyDocker()
    runtime = Runtime(docker, None, pause_image="", node=None)  # type: ignore[arg-type]
    alone = {"metadata": {"name": "p"}, "spec": {"hostNetwork": True}}
    await asyncio.gather(*(runtime.start_sandbox(alone, str(number)) for number in range(100)))
    assert docker.most == LAUNCHES_MAX


async def test_a_death_event_outweighs_the_listing() -> None:
    docker = LaggingDocker()
    runtime = Runtime(docker, None, pause_image="", node=None)  # type: ignore[arg-type]
    assert (await runtime.pod_state(UID)).running()
    await runtime.pod_state(UID)
    assert docker.inspected == 1, "what does not change is not asked again"
    docker.state = "exited"
    runtime.note_death("1")
    assert not (await runtime.pod_state(UID)).running()


@pytest.mark.parametrize(
    ("data", "state", "code"),
    [
        (description("running"), "running", 0),
        (description("exited", ExitCode=3), "exited", 3),
        (description("created", StartedAt=observed.NEVER), "created", 0),
        (description("created", StartedAt=observed.NEVER, Error="no such file", ExitCode=127), "exited", 128),
    ],
)
def test_states_of_docker(data: dict[str, Any], state: str, code: int) -> None:
    container = observed.from_inspect(data)
    assert (container.state, container.exit_code) == (state, code)


async def test_a_second_deletion_shortens_the_grace() -> None:
    grace = Grace(1000, asyncio.get_running_loop().time)
    never = asyncio.create_task(asyncio.Event().wait())
    waiting = asyncio.create_task(grace.wait_for(never))
    await asyncio.sleep(0)
    grace.shorten(2000)
    assert grace.remaining() > 900, "it is never lengthened"
    grace.shorten(0)
    await asyncio.wait_for(waiting, 5)
    assert grace.remaining() == 0
    never.cancel()


def test_a_probe_needs_so_many_answers_in_a_row() -> None:
    counter = Counter(True, failure_threshold=3)
    assert [counter.observe(ok) for ok in (False, False, True, False, False)] == [False, False, True, False, False]
    assert counter.result
    assert counter.observe(False)
    assert not counter.result


def test_a_restarted_kubelet_believes_what_was_reported_of_the_same_run() -> None:
    reported = {"containerStatuses": [{"name": "c", "containerID": "docker://c-0", "ready": True, "started": True}]}
    assert was_so(pod(status=reported), run("c"), "ready")
    assert not was_so(pod(status=reported), run("c", attempt=1), "ready")
    assert not was_so(pod(), run("c"), "ready")


def test_log_options() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    wanted = logs.options({"tailLines": "5", "sinceSeconds": "10", "follow": "true", "stream": "Stderr"}, now)
    assert (wanted.tail, wanted.follow, wanted.streams) == ("5", True, (2,))
    assert wanted.since == f"{now.timestamp() - 10:.9f}"
    with pytest.raises(errors.BadRequest):
        logs.options({"tailLines": "x"}, now)


def test_which_runs_log_is_shown() -> None:
    state = seen(exited("c", 1), run("c", attempt=1))
    assert logs.choose(pod(), state, "c", previous=False).attempt == 1
    assert logs.choose(pod(), state, "c", previous=True).attempt == 0
    with pytest.raises(errors.BadRequest, match="container x is not valid for pod web"):
        logs.choose(pod(), state, "x", previous=False)
    with pytest.raises(errors.BadRequest, match='container "c" in pod "web" is waiting to start: ContainerCreating'):
        logs.choose(pod(), seen(), "c", previous=False)
    with pytest.raises(errors.BadRequest, match='previous terminated container "c" in pod "web" not found'):
        logs.choose(pod(), seen(run("c")), "c", previous=True)
