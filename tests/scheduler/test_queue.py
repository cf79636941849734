"""The queue: order, backoff, and which events wake whom."""

import asyncio

import pytest

from scheduler.podinfo import pod_info
from scheduler.queue import NODE_CHANGED, POD_REMOVED, SchedulingQueue
from scheduler.service import Scheduler


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def info(name, *, priority=0, gates=()):
    spec = {"containers": [], "priority": priority, "schedulingGates": [{"name": gate} for gate in gates]}
    return pod_info({"metadata": {"name": name, "namespace": "d", "uid": name}, "spec": spec})


async def popped(queue):
    async with asyncio.timeout(1):
        return await queue.pop()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(clock):
    return SchedulingQueue(clock)


async def test_higher_priority_goes_first_then_the_older(queue):
    for one in (info("old"), info("young"), info("urgent", priority=5)):
        queue.add(one)
    assert [(await popped(queue)).pod.uid for _ in range(3)] == ["urgent", "old", "young"]


async def test_a_failed_binding_backs_off_longer_each_time(queue, clock):
    queue.add(info("p"))
    for wait in (1.0, 2.0, 4.0, 8.0, 10.0, 10.0):
        queue.retry(await popped(queue))
        clock.now += wait - 0.01
        queue._flush()
        assert queue.lengths()["backoff"] == 1
        clock.now += 0.02


async def test_only_an_event_that_may_help_wakes_an_unschedulable_pod(queue, clock):
    queue.add(info("p"))
    queue.retry(await popped(queue), refused_by=frozenset({"NodeAffinity"}))
    queue.on_event(POD_REMOVED)
    assert queue.lengths()["unschedulable"] == 1
    clock.now += 60
    queue.on_event(NODE_CHANGED)
    assert (await popped(queue)).pod.uid == "p"


async def test_what_no_event_woke_is_tried_again_in_the_end(queue, clock):
    queue.add(info("p"))
    queue.retry(await popped(queue), refused_by=frozenset({"NodeAffinity"}))
    clock.now += 301
    assert (await popped(queue)).pod.uid == "p"


async def test_a_gated_pod_waits_for_its_gates(queue):
    queue.add(info("p", gates=["g"]))
    assert queue.lengths()["gated"] == 1
    queue.add(info("p"))
    assert (await popped(queue)).pod.uid == "p"


async def test_a_deleted_pod_is_not_retried(queue):
    queue.add(info("p"))
    pending = await popped(queue)
    queue.delete("d/p")
    queue.retry(pending)
    assert set(queue.lengths().values()) == {0}


async def test_a_node_that_goes_wakes_who_waits_for_an_even_spread():
    scheduler = Scheduler(None, {}, None)
    scheduler.queue.add(info("p"))
    scheduler.queue.retry(await popped(scheduler.queue), refused_by=frozenset({"PodTopologySpread"}))
    scheduler._node_gone({"metadata": {"name": "of-a-domain-of-its-own"}})
    assert scheduler.queue.lengths()["unschedulable"] == 0
