"""Which resources are served: (group, version, plural) → where its objects are kept and how they look.

One look-up per request. The rows come from the kinds table at start and from CustomResourceDefinitions later; whoever
builds documents from the rows (discovery, OpenAPI) compares `generation` to know when to build them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from apimachinery.kinds import GVK, Kind, Subresource
from apiserver.admission import Chain
from apiserver.options import Options
from apiserver.registry.store import ResourceStore
from apiserver.registry.table import strategy_for
from apiserver.storage import Storage


@dataclass(slots=True)
class Resource:
    """One resource in one version. `store` is None for what is only answered (reviews)."""

    kind: Kind
    gvk: GVK
    store: ResourceStore | None
    list_head: bytes = b""  # how its lists begin
    subresources: dict[str, Subresource] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.list_head = f'{{"kind":"{self.kind.list_kind}","apiVersion":"{self.gvk.api_version}",'.encode()
        self.subresources = {each.name: each for each in self.kind.subresources}

    @property
    def converted(self) -> bool:
        """Do its objects look different from the stored ones?"""
        return self.store is not None and self.store.gvk != self.gvk


class Resources:
    """Every served resource."""

    def __init__(self, storage: Storage, admission: Chain, options: Options) -> None:
        self._options = options
        self._storage = storage
        self._admission = admission
        self._rows: dict[tuple[str, str, str], Resource] = {}
        self._stores: dict[str, ResourceStore] = {}  # by registry prefix
        self.generation = 0

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource a path names."""
        return self._rows.get((group, version, plural))

    def store(self, kind: Kind) -> ResourceStore:
        """The store of a kind, for those inside the server."""
        return self._stores[kind.registry_prefix]

    def rows(self) -> Iterable[Resource]:
        """All resources, as they were added."""
        return self._rows.values()

    def add(self, kinds: Iterable[Kind]) -> None:
        """Serve these kinds, in all their versions; an earlier row of the same name is replaced.

        Kinds that share a registry prefix (the two Events) share the store of the one added first.
        """
        for kind in kinds:
            store: ResourceStore | None = None
            if kind.stored:
                prefix = kind.registry_prefix
                if prefix not in self._stores:
                    self._storage.register(kind)
                    strategy = strategy_for(kind)
                    strategy.configure(self._options)
                    self._stores[prefix] = ResourceStore(kind, strategy, self._storage, self._admission)
                store = self._stores[prefix]
            for version in kind.versions:
                gvk = GVK(kind.group, version, kind.kind)
                self._rows[kind.group, version, kind.plural] = Resource(kind, gvk, store)
        self.generation += 1
