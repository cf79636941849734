"""Events: repeated ones are counted, similar ones combined, floods cut off."""

import asyncio

import pytest

from kubeclient.events import BURST, EventRecorder

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default", "uid": "u"}}


@pytest.fixture
async def recorder(client):
    made = EventRecorder(client, "tester", host="n1")
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def stored(api):
    return [obj for path, obj in api.objects.items() if "/events/" in path]


async def test_an_event_names_its_object(api, recorder):
    recorder.event(POD, "Normal", "Started", "began", field_path="spec.containers{c}")
    await recorder.flush()
    (event,) = stored(api)
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "p",
        "namespace": "default",
        "uid": "u",
        "fieldPath": "spec.containers{c}",
    }
    assert (event["source"], event["count"]) == ({"component": "tester", "host": "n1"}, 1)


async def test_repeats_are_counted_and_begin_anew_when_expired(api, recorder):
    for _ in range(3):
        recorder.event(POD, "Normal", "R", "m")
    await recorder.flush()
    assert [event["count"] for event in stored(api)] == [3]
    api.objects.clear()
    recorder.event(POD, "Normal", "R", "m")
    await recorder.flush()
    assert [event["count"] for event in stored(api)] == [4]


async def test_similar_messages_are_combined_and_a_flood_is_cut_off(api, recorder):
    for number in range(100):
        recorder.event(POD, "Warning", "R", f"m{number}")
    await recorder.flush()
    events = stored(api)
    assert len(events) == 11
    combined = [event for event in events if event["message"].startswith("(combined from similar events): ")]
    assert [event["count"] for event in combined] == [BURST - 10]


async def test_a_server_that_is_away_loses_events_not_the_component(api, recorder, client):
    api.objects["/api/v1/namespaces/default/events/x"] = {}
    await client.__aexit__(None, None, None)
    recorder.event(POD, "Normal", "R", "m")
    await asyncio.sleep(0)
    recorder.event(POD, "Normal", "R", "other")
