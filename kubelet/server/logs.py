"""Container logs, from Docker's json-file, with the options of the pods/log API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from apimachinery import errors, meta
from apimachinery.meta import JSON

from ..engine import EngineError, demultiplex
from ..observed import Container, PodState
from ..parts import Parts
from ..plan import all_containers
from ..status import container_statuses

EXPLAINED = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
STREAMS = {"Stdout": (1,), "Stderr": (2,), "All": (1, 2)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """PodLogOptions."""

    follow: bool
    previous: bool
    timestamps: bool
    tail: str
    since: str  # for Docker: seconds since the epoch, with a fraction; "" for all
    limit_bytes: int | None
    streams: tuple[int, ...]


def options(query: Mapping[str, str], now: datetime) -> Options:
    """Options out of a query. Raises BadRequest."""
    since = ""
    try:
        if seconds := query.get("sinceSeconds"):
            since = f"{now.timestamp() - int(seconds):.9f}"
        elif moment := query.get("sinceTime"):
            since = f"{meta.parse_time(moment).timestamp():.9f}"
        tail = query.get("tailLines", "")
        limit = query.get("limitBytes")
        return Options(
            follow=_flag(query, "follow"),
            previous=_flag(query, "previous"),
            timestamps=_flag(query, "timestamps"),
            tail=str(int(tail)) if tail else "all",
            since=since,
            limit_bytes=int(limit) if limit else None,
            streams=STREAMS.get(query.get("stream") or "All", (1, 2)),
        )
    except ValueError as error:
        raise errors.BadRequest(f"invalid log options: {error}") from error


def choose(pod: JSON, state: PodState, name: str, *, previous: bool) -> Container:
    """The run whose log is asked for. Raises BadRequest in upstream's words."""
    if name not in {container["name"] for container in all_containers(pod["spec"])}:
        raise errors.BadRequest(f"container {name} is not valid for pod {meta.name(pod)}")
    runs = [run for run in state.runs.get(name, []) if run.state != "created"]
    if previous:
        ended = runs[1:] if runs and runs[0].running else runs[1:] or runs
        if not ended:
            where = f'in pod "{meta.name(pod)}"'
            raise errors.BadRequest(f'previous terminated container "{name}" {where} not found')
        return ended[0]
    if not runs:
        reason = _waiting_reason(pod, name)
        raise errors.BadRequest(f'container "{name}" in pod "{meta.name(pod)}" is waiting to start: {reason}')
    return runs[0]


def _waiting_reason(pod: JSON, name: str) -> str:
    for entry in container_statuses(pod):
        if entry["name"] == name and (waiting := entry["state"].get("waiting")):
            reason = str(waiting.get("reason", "ContainerCreating"))
            return EXPLAINED.get(reason, reason)
    return "ContainerCreating"


async def serve(request: web.BaseRequest, parts: Parts, pod: JSON, name: str) -> web.StreamResponse:
    """The log as a stream of text."""
    wanted = options(request.query, datetime.now(UTC))
    run = choose(pod, await parts.runtime.pod_state(meta.uid(pod)), name, previous=wanted.previous)
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    response.enable_chunked_encoding()
    params = {
        "stdout": 1 in wanted.streams,
        "stderr": 2 in wanted.streams,
        "follow": wanted.follow and run.running,
        "timestamps": wanted.timestamps,
        "tail": wanted.tail,
        "since": wanted.since or None,
    }
    path = f"/containers/{run.id}/logs"
    try:
        async with parts.runtime.engine.stream("GET", path, params=params, timeout_seconds=None) as source:
            await response.prepare(request)
            left = wanted.limit_bytes
            chunks = source.content.iter_any() if run.tty else (data async for _, data in demultiplex(source.content))
            async for data in chunks:
                if left is not None:
                    data, left = data[:left], left - len(data[:left])
                await response.write(data)
                if left == 0:
                    break
    except EngineError as error:
        if not response.prepared:
            raise errors.InternalError(error.message) from error
    except (ConnectionError, TimeoutError):
        return response  # the reader went away
    await response.write_eof()
    return response


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")
