"""Faults made on a user's cluster while it is watched: drawn by dice with a seed, always undone, told as a timeline."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from apimachinery import kinds, meta
from kubeclient.rest import Client
from minikubeadm.chaos import faults, observing, prober
from minikubeadm.chaos.faults import FAULTS, Fault
from minikubeadm.chaos.observing import Snapshot
from minikubeadm.cluster import create, nodes
from minikubeadm.process import StepFailed

PYTHON = "/opt/mini-kubernetes/bin/python3"
LOOK_EVERY_SECONDS = 0.5
CALM_LOOKS = 6
PROBE_END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for; what is empty is drawn."""

    cluster: str
    fault: str  # of FAULTS, or "random"
    node: str = ""
    service: str = ""
    seed: int = 0
    seconds: float = 30.0  # of one fault; of the whole run, where faults are random
    recovery_seconds: float = 180.0
    probe: str = ""  # namespace/name of a Service


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault that is to happen."""

    fault: Fault
    node: str
    unit: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        what = f" {self.unit}" if self.unit else ""
        return f"{self.fault.name}{what} on {self.node}"


def draw(dice: random.Random, wish: Wish, roles: Mapping[str, str]) -> Strike:
    """Choose what the wish leaves open. `roles` is each node's. StepFailed if the wish doesn't fit the cluster."""
    named = [FAULTS[wish.fault]] if wish.fault != "random" else list(FAULTS.values())
    fits = [
        (fault, node)
        for fault in named
        for node in sorted(roles)
        if roles[node] in fault.roles
        and wish.node in ("", node)
        and (fault.name != "kill-service" or wish.service in ("", *faults.SERVICES[roles[node]]))
    ]
    if not fits:
        there = ", ".join(f"{node} ({role})" for node, role in sorted(roles.items()))
        raise StepFailed(f"{wish.fault} fits no node{' ' + wish.node if wish.node else ''}", output=f"nodes: {there}")
    fault = dice.choice(sorted({fault.name for fault, _ in fits}))
    node = dice.choice([node for other, node in fits if other.name == fault])
    unit = ""
    if fault == "kill-service":
        unit = wish.service or dice.choice(faults.SERVICES[roles[node]])
    seconds = wish.seconds if wish.fault != "random" else dice.uniform(2.0, 20.0)
    if not FAULTS[fault].undo:
        seconds = 0.0
    return Strike(FAULTS[fault], node, unit, seconds)


@dataclass
class Story:
    """The timeline, printed as it happens, and what the summary needs."""

    say: Callable[[str], None]
    begun: float = field(default_factory=time.monotonic)
    now: Snapshot = field(default_factory=Snapshot)
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    noticed_at: float = 0.0
    failed: int = 0
    requests: int = 0

    def tell(self, text: str) -> None:
        """One line with its time."""
        self.say(f"{time.monotonic() - self.begun:8.1f} s  {text}")

    async def another_look(self) -> None:
        """Wait until the cluster has been looked at once more."""
        self.looked.clear()
        await self.looked.wait()

    async def follow(self, client: Client) -> None:
        """Look at the cluster again and again, and tell what changes, until cancelled."""
        while True:
            seen = await observing.look(client, self.now)
            for line in observing.changes(self.now, seen):
                self.noticed_at = self.noticed_at or time.monotonic()
                self.tell(line)
            self.now = seen
            self.looked.set()
            await asyncio.sleep(LOOK_EVERY_SECONDS)


async def run(wish: Wish, *, say: Callable[[str], None]) -> None:
    """Make the faults, and say what happened. What was broken is mended also when this is cancelled."""
    roles = {node["name"]: node["role"] for node in await nodes.listed(wish.cluster) if node["role"] in faults.ANY}
    dice = random.Random(wish.seed)
    config = create.config(await create.kubeconfig(wish.cluster))
    story = Story(say)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(config, user_agent="minikubeadm-chaos"))
        story.now = first = await observing.look(client, Snapshot())
        if first.api:
            raise StepFailed(f"cluster {wish.cluster} is not well to begin with", output=first.api)
        if wish.probe:
            await stack.enter_async_context(_probing(story, client, wish, roles))
        await stack.enter_async_context(_following(story, client))
        stack.callback(lambda: say(f"pods replaced: {observing.replaced(first, story.now)}"))
        end = time.monotonic() + wish.seconds
        while True:
            await _strike(story, draw(dice, wish, roles), wish, client)
            if wish.fault != "random" or time.monotonic() >= end:
                break


@asynccontextmanager
async def _following(story: Story, client: Client) -> AsyncIterator[None]:
    following = asyncio.create_task(story.follow(client))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _strike(story: Story, strike: Strike, wish: Wish, client: Client) -> None:
    before, story.noticed_at = story.now, 0.0
    story.tell(f"FAULT {strike}: {strike.fault.does}")
    at = time.monotonic()
    try:
        async with faults.during(strike.fault, strike.node, unit=strike.unit):
            await asyncio.sleep(strike.seconds)
    finally:
        story.tell(f"ENDED {strike}")
    ended = well = time.monotonic()
    now = meta.now_micro()
    try:
        async with asyncio.timeout(wish.recovery_seconds):
            # What is said of a node that was silent is old: it counts once its kubelet has spoken, and for a while.
            while strike.fault.silences and await observing.heard(client, strike.node) < now:
                await story.another_look()
            looks = 0
            while looks < CALM_LOOKS:
                await story.another_look()
                looks = 0 if observing.lacking(before, story.now) else looks + 1
                well = time.monotonic() if looks == 1 else well
    except TimeoutError as error:
        missing = "\n".join(observing.lacking(before, story.now))
        raise StepFailed(f"not recovered {wish.recovery_seconds:.0f} s after {strike}", output=missing) from error
    noticed = f"noticed after {story.noticed_at - at:.1f} s" if story.noticed_at else "nothing of it was noticed"
    story.tell(f"RECOVERED from {strike}: {noticed}, all well {well - ended:.1f} s after its end")


@asynccontextmanager
async def _probing(story: Story, client: Client, wish: Wish, roles: Mapping[str, str]) -> AsyncIterator[None]:
    """Requests through a Service from a control plane's node, which no fault takes away."""
    namespace, _, name = wish.probe.partition("/")
    spec = (await client.get(kinds.SERVICE, name, namespace=namespace))["spec"]
    url = f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}/"
    node = next(name for name, role in sorted(roles.items()) if role == nodes.CONTROL_PLANE)
    process = await asyncio.create_subprocess_exec(
        *("docker", "exec", "-i", node, PYTHON, "-c", Path(prober.__file__).read_text(), url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    lines = process.stdout

    async def read() -> None:
        async for line in lines:
            said = json.loads(line)
            if "problem" in said:
                story.failed += 1
                story.tell(f"a request failed: {said['problem']}")
            else:
                story.requests = said["requests"]

    reading = asyncio.create_task(read())
    try:
        yield
    finally:
        process.stdin.close()
        async with asyncio.timeout(PROBE_END_SECONDS):
            await reading
            await process.wait()
        story.say(f"requests through {wish.probe}: {story.requests}, failed: {story.failed}")
