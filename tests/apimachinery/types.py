"""Hand-made type trees for tests of patches and apply: no schema files needed, every case visible."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Shape:
    """What apimachinery.schemas.Type offers, written by hand."""

    type: str | None = "object"
    fields: dict[str, "Shape"] = field(default_factory=dict)
    item: "Shape | None" = None
    patch_strategy: str | None = None
    merge_key: str | None = None
    list_type: str | None = None
    list_map_keys: tuple[str, ...] = ()
    map_type: str | None = None

    def field(self, name: str) -> "Shape | None":
        return self.fields.get(name) or (self.item if self.type == "object" else None)


def scalar() -> Shape:
    return Shape("string")


def struct(**fields: Shape) -> Shape:
    return Shape(fields=fields)


def mapping(**more: Any) -> Shape:
    return Shape(item=scalar(), **more)


def atomic_list() -> Shape:
    return Shape("array", item=scalar(), list_type="atomic")


def set_list() -> Shape:
    return Shape("array", item=scalar(), list_type="set", patch_strategy="merge")


def keyed(item: Shape, *keys: str, strategy: str = "merge") -> Shape:
    return Shape("array", item=item, list_type="map", list_map_keys=keys, merge_key=keys[0], patch_strategy=strategy)


def deployment() -> Shape:
    """A Deployment, cut to one field of each kind of merging."""
    port = struct(name=scalar(), containerPort=scalar(), protocol=scalar())
    env = struct(name=scalar(), value=scalar())
    container = struct(
        name=scalar(),
        image=scalar(),
        command=atomic_list(),
        env=keyed(env, "name"),
        ports=keyed(port, "containerPort", "protocol"),
        resources=struct(limits=mapping()),
    )
    volume = struct(name=scalar(), emptyDir=struct(medium=scalar()), hostPath=struct(path=scalar()))
    pod = struct(
        containers=keyed(container, "name"),
        volumes=keyed(volume, "name", strategy="merge,retainKeys"),
        nodeSelector=mapping(map_type="atomic"),
    )
    strategy = struct(type=scalar(), rollingUpdate=struct(maxSurge=scalar(), maxUnavailable=scalar()))
    strategy.patch_strategy = "retainKeys"
    meta = struct(
        name=scalar(), namespace=scalar(), labels=mapping(), annotations=mapping(), finalizers=set_list(), uid=scalar()
    )
    spec = struct(
        replicas=scalar(),
        paused=scalar(),
        strategy=strategy,
        selector=mapping(map_type="atomic"),
        template=struct(metadata=meta, spec=pod),
    )
    return struct(apiVersion=scalar(), kind=scalar(), metadata=meta, spec=spec, status=struct(replicas=scalar()))
