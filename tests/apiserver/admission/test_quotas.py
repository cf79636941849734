"""ResourceQuota in admission: what is booked, what is refused, and who wins a race."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apimachinery import errors, kinds
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.admission import Attributes
from apiserver.admission.quotas import ResourceQuota
from apiserver.request import User
from apiserver.storage import Entry, StorageConflict
from tests.apiserver.fake_storage import FakeStorage, obj

KEY = "/registry/resourcequotas/team/q"


class Storage(FakeStorage):
    """Updates compare versions."""

    async def update(self, key: str, obj: JSON, *, version: int) -> Entry:
        current = self.entries[key]
        if current.version != version:
            raise StorageConflict(key, current)
        self.put(obj)
        self.entries[key].version = version + 1
        return self.entries[key]

    def used(self) -> JSON:
        used: JSON = self.entries[KEY].parsed()["status"]["used"]
        return used


def quota(hard: JSON, used: JSON | None = None, **spec: Any) -> JSON:
    status = {} if used is None else {"status": {"hard": hard, "used": used}}
    return obj("v1", "ResourceQuota", "q", namespace="team", spec={"hard": hard, **spec}, **status)


def pod(**requests: str) -> JSON:
    return obj(
        "v1", "Pod", "web", namespace="team", spec={"containers": [{"name": "c", "resources": {"requests": requests}}]}
    )


def write(obj: JSON, kind: Kind = kinds.POD, *, dry_run: bool = False, old: JSON | None = None) -> Attributes:
    return Attributes(
        User("jane"),
        "UPDATE" if old else "CREATE",
        kind,
        "",
        "team",
        obj["metadata"]["name"],
        obj,
        old,
        dry_run=dry_run,
    )


def plugin(*objects: JSON) -> tuple[ResourceQuota, Storage]:
    storage = Storage()
    made = ResourceQuota(storage)  # type: ignore[arg-type]
    for each in objects:
        storage.put(each)
    return made, storage


async def test_what_is_created_is_booked() -> None:
    subject, storage = plugin(quota({"pods": "2", "requests.cpu": "1"}, {"pods": "0", "requests.cpu": "0"}))
    await subject.validate(write(pod(cpu="300m")))
    assert storage.used() == {"pods": "1", "requests.cpu": "300m"}
    await subject.validate(write(pod(cpu="300m"), dry_run=True))
    assert storage.used() == {"pods": "1", "requests.cpu": "300m"}


async def test_what_is_beyond_is_refused_with_all_numbers() -> None:
    subject, storage = plugin(
        quota(
            {"pods": "9", "requests.cpu": "1", "requests.memory": "1Gi"},
            {"pods": "1", "requests.cpu": "900m", "requests.memory": "1Gi"},
        )
    )
    with pytest.raises(errors.Forbidden) as caught:
        await subject.validate(write(pod(cpu="200m", memory="64Mi")))
    assert caught.value.message == (
        'pods "web" is forbidden: exceeded quota: q, requested: requests.cpu=200m,requests.memory=64Mi, '
        "used: requests.cpu=900m,requests.memory=1Gi, limited: requests.cpu=1,requests.memory=1Gi"
    )
    assert storage.used()["pods"] == "1"


async def test_a_no_is_decided_from_etcd_itself() -> None:
    subject, storage = plugin(quota({"pods": "1"}, {"pods": "1"}))
    stale = storage.entries[KEY]
    storage.put(quota({"pods": "1"}, {"pods": "0"}))

    async def get(key: str, *, consistent: bool = True) -> Entry:
        return stale

    storage.get = get  # type: ignore[method-assign]
    await subject.validate(write(pod()))
    assert storage.used() == {"pods": "1"}


async def test_two_at_once_do_not_get_the_same_rest() -> None:
    subject, storage = plugin(quota({"pods": "5"}, {"pods": "0"}))
    outcomes = await asyncio.gather(*(subject.validate(write(pod())) for _ in range(8)), return_exceptions=True)
    assert sum(1 for each in outcomes if each is None) == 5
    assert storage.used() == {"pods": "5"}


async def test_a_quota_that_its_controller_has_not_seen_limits_nothing_yet() -> None:
    subject, _ = plugin(quota({"pods": "0"}))
    await subject.validate(write(pod()))


async def test_limited_resources_must_be_stated_and_counted() -> None:
    subject, _ = plugin(quota({"limits.cpu": "1", "requests.cpu": "1"}, {"limits.cpu": "0", "requests.cpu": "0"}))
    with pytest.raises(errors.Forbidden, match=r"failed quota: q: must specify limits\.cpu for: c"):
        await subject.validate(write(pod(cpu="1")))
    half_seen = quota({"pods": "1"})
    half_seen["status"] = {"hard": {"pods": "1"}}
    subject, _ = plugin(half_seen)
    with pytest.raises(errors.Forbidden, match="status unknown for quota: q, resources: pods"):
        await subject.validate(write(pod()))


async def test_others_are_left_alone() -> None:
    subject, storage = plugin(quota({"pods": "1"}, {"pods": "0"}, scopes=["Terminating"]))
    await subject.validate(write(pod()))
    await subject.validate(write(obj("v1", "ConfigMap", "c", namespace="team"), kinds.CONFIG_MAP))
    assert storage.used() == {"pods": "0"}
    storage.remove(KEY)
    await subject.validate(write(pod()))


async def test_only_growth_is_booked() -> None:
    def service(kind: str) -> JSON:
        return obj("v1", "Service", "s", namespace="team", spec={"type": kind, "ports": [{"port": 80}]})

    subject, storage = plugin(
        quota({"services": "1", "services.nodeports": "1"}, {"services": "1", "services.nodeports": "0"})
    )
    await subject.validate(write(service("NodePort"), kinds.SERVICE, old=service("ClusterIP")))
    assert storage.used() == {"services": "1", "services.nodeports": "1"}
    await subject.validate(write(service("ClusterIP"), kinds.SERVICE, old=service("NodePort")))
