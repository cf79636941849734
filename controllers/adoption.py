"""Who owns what: a controller claims the objects that match its selector, and lets go those that no longer do.

The owner reference with `controller: true` decides, by UID. An orphan that matches is adopted, by a patch that carries
its UID, after one look at the live owner: it may have been deleted and made again behind the cache. An owned object
that ceases to match is released; someone else's is left alone.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from apimachinery import errors, labels, meta
from apimachinery.kinds import Kind
from kubeclient.rest import STRATEGIC_MERGE_PATCH, Client

log = logging.getLogger(__name__)

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be done about the candidates."""

    owned: list[JSON]
    adopt: list[JSON]
    release: list[JSON]


def plan(owner: JSON, selector: labels.Selector, candidates: Iterable[JSON]) -> Claim:
    """Sort the candidates: ours and matching, orphans that match, ours that don't. A deleting owner adopts nothing."""
    owned: list[JSON] = []
    adopt: list[JSON] = []
    release: list[JSON] = []
    for obj in candidates:
        controller = meta.controller_of(obj)
        matches = selector.matches(meta.labels(obj))
        if controller is None:
            if matches and not meta.is_deleting(obj) and not meta.is_deleting(owner):
                adopt.append(obj)
        elif controller["uid"] == meta.uid(owner):
            (owned if matches else release).append(obj)
    return Claim(owned, adopt, release)


class Claimer:
    """Carries plans out for owners of one kind over objects of another."""

    def __init__(self, client: Client, owners: Kind, objects: Kind) -> None:
        self._client = client
        self._owners = owners
        self._objects = objects

    async def claim(self, owner: JSON, selector: labels.Selector, candidates: Iterable[JSON]) -> list[JSON]:
        """Adopt and release; gives the objects that are the owner's afterwards."""
        planned = plan(owner, selector, candidates)
        owned = planned.owned
        if planned.adopt and await self._is_live(owner):
            for obj in planned.adopt:
                adopted = await self._adopt(owner, obj)
                if adopted:
                    owned.append(adopted)
        for obj in planned.release:
            if not meta.is_deleting(owner):
                await self._release(owner, obj)
        return owned

    async def _is_live(self, owner: JSON) -> bool:
        try:
            live = await self._client.get(self._owners, meta.name(owner), namespace=meta.namespace(owner))
        except errors.NotFound:
            return False
        return meta.uid(live) == meta.uid(owner) and not meta.is_deleting(live)

    async def _adopt(self, owner: JSON, obj: JSON) -> JSON | None:
        return await self._patch(obj, [meta.owner_reference(owner)])

    async def _release(self, owner: JSON, obj: JSON) -> None:
        await self._patch(obj, [{"$patch": "delete", "uid": meta.uid(owner)}])

    async def _patch(self, obj: JSON, references: list[JSON]) -> JSON | None:
        """Patch owner references; None if the object is gone, or is another one by now."""
        body = {"metadata": {"uid": meta.uid(obj), "ownerReferences": references}}
        try:
            return await self._client.patch(
                self._objects,
                meta.name(obj),
                body,
                namespace=meta.namespace(obj),
                content_type=STRATEGIC_MERGE_PATCH,
            )
        except (errors.NotFound, errors.Conflict, errors.Invalid) as error:
            log.info("%s %s: owner not changed: %s", self._objects.kind, meta.key(obj), error)
            return None
