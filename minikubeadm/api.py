"""What bring-up steps do with an API server: wait until it serves, and put objects there whatever is there already."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from apimachinery import errors, kinds, meta
from kubeclient.errors import Unreachable
from minikubeadm.process import StepFailed

if TYPE_CHECKING:
    from kubeclient.rest import Client  # loading aiohttp takes longer than starting etcd

JSON = dict[str, Any]
_POLL_SECONDS = 0.1
_ATTEMPTS = 3  # each has the API server's own ten seconds


async def until(condition: Callable[[], Awaitable[str]], *, what: str, timeout_seconds: float, hint: str = "") -> None:
    """Ask until `condition` answers "" (what is missing otherwise); StepFailed with the last answer when time is up."""
    missing = "nothing was asked yet"
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                try:
                    missing = await condition()
                except (Unreachable, errors.StatusError) as error:
                    missing = str(error)
                if not missing:
                    return
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        raise StepFailed(what, output=f"still, after {timeout_seconds:.0f} s: {missing}", hint=hint) from error


async def ready(client: Client) -> str:
    """ "" once `/readyz` says ok, else what it says."""
    async with await client.raw("GET", "/readyz", timeout_seconds=10) as response:
        text = (await response.read()).decode(errors="replace")
    return "" if text.strip() == "ok" else text


async def ensure(client: Client, body: JSON) -> JSON:
    """Create an object, or make what is there like it (a merge patch); as it then is, it comes back.

    Whether a write was made that etcd's leader took along when it left, nobody knows: it is made again.
    """
    for _ in range(1, _ATTEMPTS):
        try:
            return await _ensure(client, body)
        except errors.Timeout:
            continue
    return await _ensure(client, body)


async def _ensure(client: Client, body: JSON) -> JSON:
    kind = kinds.by_gvk(meta.gvk(body))
    try:
        return await client.create(kind, body)
    except errors.AlreadyExists:
        return await client.patch(kind, meta.name(body), body, namespace=meta.namespace(body) or None)


async def ensure_all(client: Client, bodies: Iterable[JSON]) -> None:
    """`ensure` for objects that do not depend on one another, at once."""
    try:
        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(ensure(client, body))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
