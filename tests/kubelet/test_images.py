"""Pulls: policies, credentials, back-off, and the words users see."""

import base64
import json
from typing import Any

import pytest

from kubelet.backoff import duration
from kubelet.engine import EngineError
from kubelet.images import ImageError, Images


class Daemon:
    """Docker with one image to pull; only `needed` (a user name, or None for anybody) gets it."""

    def __init__(self, *, needed: str | None = None, broken: bool = False) -> None:
        self.needed, self.broken = needed, broken
        self.present: set[str] = set()
        self.asked: list[str] = []

    async def image(self, reference: str) -> dict[str, Any] | None:
        return {"Size": 7} if reference in self.present else None

    async def pull(self, repository: str, tag: str, *, auth: str = "") -> None:
        user = json.loads(base64.urlsafe_b64decode(auth))["username"] if auth else ""
        self.asked.append(user)
        if self.broken:
            raise EngineError("manifest unknown", code=500)
        if self.needed is not None and user != self.needed:
            raise EngineError("no basic auth credentials", code=500)
        self.present.add(f"{repository}:{tag}")


class World:
    def __init__(self, daemon: Daemon) -> None:
        self.now, self.events = 0.0, list[str]()
        self.images = Images(daemon, clock=lambda: self.now)  # type: ignore[arg-type]

    async def ensure(self, uid: str = "u1", image: str = "r.test/a:1", policy: str = "Always", **options: Any) -> str:
        """ "" when it is there, else the reason."""
        container = {"name": "c", "image": image, "imagePullPolicy": policy}
        try:
            await self.images.ensure(uid, container, lambda *event: self.events.append(event[2]), **options)
        except ImageError as error:
            self.message = error.message
            return error.reason
        return ""


def pull_secret(**users: str) -> dict[str, Any]:
    auths = {f"r.test{path.replace('_', '/')}": {"username": u, "password": "hush"} for path, u in users.items()}
    data = base64.b64encode(json.dumps({"auths": auths}).encode()).decode()
    return {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": data}}


async def test_a_failed_pull_is_held_back_and_tells_why() -> None:
    world = World(daemon := Daemon(broken=True))
    assert await world.ensure() == "ErrImagePull" and world.message == "manifest unknown"
    assert world.events == ['Pulling image "r.test/a:1"', 'Failed to pull image "r.test/a:1": manifest unknown']
    assert await world.ensure() == "ImagePullBackOff"
    assert world.message == 'Back-off pulling image "r.test/a:1": ErrImagePull: manifest unknown'
    assert world.events[-1] == 'Back-off pulling image "r.test/a:1"' and len(daemon.asked) == 1


async def test_delays_double_up_to_five_minutes() -> None:
    world, seen = World(Daemon(broken=True)), []
    for _ in range(7):
        assert await world.ensure() == "ErrImagePull"
        seen.append(world.images.seconds_to_next_try("u1", "r.test/a:1"))
        world.now += seen[-1]
    assert seen == [10, 20, 40, 80, 160, 300, 300]


async def test_another_pod_is_not_held_back_by_it() -> None:
    world = World(daemon := Daemon(broken=True))
    await world.ensure()
    daemon.broken = False
    assert await world.ensure("u2") == ""
    world.images.forget("u1")
    assert await world.ensure("u1") == ""


async def test_each_credential_is_tried_in_turn() -> None:
    world = World(daemon := Daemon(needed="bob"))
    assert await world.ensure(secrets=[pull_secret(_a="ann", _="bob")]) == ""
    assert daemon.asked == ["ann", "bob"]
    assert world.events[-1].startswith('Successfully pulled image "r.test/a:1" in 0s (0s including waiting). Image')


async def test_without_the_right_one_the_registrys_words_are_shown_once() -> None:
    world = World(Daemon(needed="eve"))
    assert await world.ensure(secrets=[pull_secret(_a="ann", _="bob")]) == "ErrImagePull"
    assert world.message == "no basic auth credentials"


async def test_policies() -> None:
    world = World(daemon := Daemon())
    assert await world.ensure(policy="Never") == "ErrImageNeverPull"
    assert await world.ensure(image="BAD", policy="Always") == "InvalidImageName"
    assert await world.ensure(policy="IfNotPresent") == ""
    assert await world.ensure(policy="IfNotPresent") == "" and await world.ensure(policy="Never") == ""
    assert daemon.asked == [""]
    assert await world.ensure(policy="Always") == "" and daemon.asked == ["", ""]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.0451, "45ms"), (1.5, "1.5s"), (10, "10s"), (62.25, "1m2.25s"), (300, "5m0s")],
)
def test_durations_as_go_prints_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
