"""Images by pull policy, with the reasons users know: ErrImagePull, ErrImageNeverPull, InvalidImageName and so on.

Pulls of the same image share one pull. A failure starts a back-off per image, during which nothing is tried.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from .backoff import Backoff
from .engine import Engine, EngineError

JSON = dict[str, Any]
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
        self._failed_at: dict[str, float] = {}
        self._pulls: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(PULLS_AT_ONCE_MAX)

    async def ensure(self, container: JSON, event: Event) -> JSON:
        """The image's description once it is present. Raises ImageError."""
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
        return await self._pulled(reference, repository, tag, event)

    async def _pulled(self, reference: str, repository: str, tag: str, event: Event) -> JSON:
        if self._backoff.remaining(reference, self._failed_at.get(reference, -1e9)) > 0:
            event("Normal", "BackOff", f'Back-off pulling image "{reference}"')
            raise ImageError("ImagePullBackOff", f'Back-off pulling image "{reference}"')
        event("Normal", "Pulling", f'Pulling image "{reference}"')
        begin = self._clock()
        try:
            await self._pull(reference, repository, tag)
        except EngineError as error:
            self._backoff.failed(reference, self._clock())
            self._failed_at[reference] = self._clock()
            event("Warning", "Failed", f'Failed to pull image "{reference}": {error.message}')
            event("Warning", "Failed", "Error: ErrImagePull")
            raise ImageError("ErrImagePull", error.message) from error
        image = await self._engine.image(reference)
        if image is None:
            raise ImageError("ErrImagePull", f'image "{reference}" vanished after its pull')
        took = self._clock() - begin
        event(
            "Normal",
            "Pulled",
            f'Successfully pulled image "{reference}" in {took:.3f}s ({took:.3f}s including waiting). '
            f"Image size: {image.get('Size', 0)} bytes.",
        )
        self._backoff.forget(reference)
        return image

    async def _pull(self, reference: str, repository: str, tag: str) -> None:
        task = self._pulls.get(reference)
        if task is None:
            task = asyncio.create_task(self._pull_once(repository, tag), name=f"pull {reference}")
            self._pulls[reference] = task
            task.add_done_callback(lambda _: self._pulls.pop(reference, None))
        await asyncio.shield(task)

    async def _pull_once(self, repository: str, tag: str) -> None:
        async with self._slots:
            await self._engine.pull(repository, tag)

    def seconds_to_next_try(self, reference: str) -> float:
        """When a worker should look again after an image error."""
        return max(1.0, self._backoff.remaining(reference, self._failed_at.get(reference, -1e9)))
