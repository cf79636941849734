"""Hand-made type trees for tests of patches and apply: no schema files needed, every case visible."""

from typing import Any

from apimachinery.definitions import Type


def scalar() -> Type:
    return Type("string")


def struct(**fields: Type) -> Type:
    return Type("object", fields=fields)


def mapping(**more: Any) -> Type:
    return Type("object", item=scalar(), **more)


def atomic_list() -> Type:
    return Type("array", item=scalar(), list_type="atomic")


def set_list() -> Type:
    return Type("array", item=scalar(), list_type="set", patch_strategy="merge")


def keyed(item: Type, *keys: str, strategy: str = "merge") -> Type:
    return Type("array", item=item, list_type="map", list_map_keys=keys, merge_key=keys[0], patch_strategy=strategy)


def deployment() -> Type:
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
