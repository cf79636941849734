"""Images by pull policy, with the reasons users know: ErrImagePull, ErrImageNeverPull, InvalidImageName and so on.

Pulls of the same image with the same credential share one pull. A failure starts a back-off per pod and image, during
which nothing is tried.
"""

import asyncio
import re
from collections.abc import Callable, Iterable

from apimachinery.meta import JSON

from . import credentials
from .backoff import Backoff, duration
from .credentials import Credential
from .engine import Engine, EngineError

Event = Callable[[str, str, str], None]  # type, reason, message

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*"
_REFERENCE = re.compile(rf"^({_REPOSITORY})(?::([\w][\w.-]{{0,127}}))?(?:@(sha256:[0-9a-f]{{64}}))?$")
PULLS_AT_ONCE_MAX = 4


class ImageError(Exception):
    """The image is not there: a waiting reason and its message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def parse(reference: str) -> tuple[str, str]:
    """(repository, tag or digest); ValueError when it is no image reference."""
    match = _REFERENCE.match(reference)
    if match is None:
        raise ValueError("invalid reference format")
    return match[1], match[3] or match[2] or "latest"


def policy(container: JSON) -> str:
    """The pull policy, by default Always for :latest and IfNotPresent for all else."""
    if given := container.get("imagePullPolicy"):
        return str(given)
    try:
        return "Always" if parse(container["image"])[1] == "latest" else "IfNotPresent"
    except ValueError:
        return "IfNotPresent"


class Images:
    """The images of one node."""

    def __init__(self, engine: Engine, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._backoff = Backoff(initial=10, longest=300, clock=clock)
        self._failures: dict[tuple[str, str], tuple[float, str]] = {}  # (pod UID, image) -> when, what
        self._pulls: dict[tuple[str, Credential | None], asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(PULLS_AT_ONCE_MAX)

    async def ensure(self, uid: str, container: JSON, event: Event, *, secrets: Iterable[JSON] = ()) -> JSON:
        """The image's description once it is present, pulled for a pod with its pull secrets. Raises ImageError."""
        reference = container["image"]
        try:
            repository, tag = parse(reference)
        except ValueError as error:
            message = f'Failed to apply default image tag "{reference}": couldn\'t parse image name: {error}'
            event("Warning", "InspectFailed", message)
            raise ImageError("InvalidImageName", message) from error
        wanted = policy(container)
        present = await self._engine.image(reference)
        if present is not None and wanted != "Always":
            event("Normal", "Pulled", f'Container image "{reference}" already present on machine')
            return present
        if wanted == "Never":
            message = f'Container image "{reference}" is not present with pull policy of Never'
            event("Warning", "ErrImageNeverPull", message)
            raise ImageError("ErrImageNeverPull", message)
        if self.seconds_to_next_try(uid, reference) > 0:
            message = f'Back-off pulling image "{reference}"'
            event("Normal", "BackOff", message)
            raise ImageError("ImagePullBackOff", f"{message}: ErrImagePull: {self._failures[uid, reference][1]}")
        event("Normal", "Pulling", f'Pulling image "{reference}"')
        begin = self._clock()
        try:
            await self._pull(reference, repository, tag, credentials.lookup(reference, secrets))
            image = await self._engine.image(reference)
            if image is None:
                raise EngineError(f'image "{reference}" vanished after its pull')
        except EngineError as error:
            self._backoff.failed(f"{uid} {reference}", self._clock())
            self._failures[uid, reference] = self._clock(), error.message
            event("Warning", "Failed", f'Failed to pull image "{reference}": {error.message}')
            raise ImageError("ErrImagePull", error.message) from error
        took = duration(self._clock() - begin)
        message = f'Successfully pulled image "{reference}" in {took} ({took} including waiting). '
        event("Normal", "Pulled", f"{message}Image size: {image.get('Size', 0)} bytes.")
        self._backoff.forget(f"{uid} {reference}")
        self._failures.pop((uid, reference), None)
        return image

    async def _pull(self, reference: str, repository: str, tag: str, known: list[Credential]) -> None:
        """With each credential in turn, without one where there is none; raises what they all failed with."""
        failed: list[str] = []
        for credential in known or (None,):
            key = reference, credential
            task = self._pulls.get(key)
            if task is None:
                task = asyncio.create_task(self._pull_once(repository, tag, credential), name=f"pull {reference}")
                self._pulls[key] = task
                task.add_done_callback(lambda _, key=key: self._pulls.pop(key, None))  # type: ignore[misc]
            try:
                return await asyncio.shield(task)
            except EngineError as error:
                failed.append(error.message)
        unique = list(dict.fromkeys(failed))
        raise EngineError(unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]")

    async def _pull_once(self, repository: str, tag: str, credential: Credential | None) -> None:
        async with self._slots:
            await self._engine.pull(repository, tag, auth=credential.header() if credential else "")

    def seconds_to_next_try(self, uid: str, reference: str) -> float:
        """How long a pod's failed pull is still held back; 0 where the next try is free."""
        failure = self._failures.get((uid, reference))
        return self._backoff.remaining(f"{uid} {reference}", failure[0]) if failure else 0.0

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        for key in [key for key in self._failures if key[0] == uid]:
            del self._failures[key]
