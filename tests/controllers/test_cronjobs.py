"""CronJobs: when a run is due, which Job it is, what stays of old ones."""

from datetime import UTC, datetime

import pytest

from apimachinery import schedules
from controllers import cronjobs

NOW = datetime(2026, 1, 1, 12, 30, 20, tzinfo=UTC)


def cron_job(status=None, **spec):
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "cj", "namespace": "ns", "uid": "u", "creationTimestamp": "2026-01-01T12:00:00Z"},
        "spec": {"schedule": "*/10 * * * *", "jobTemplate": template, **spec},
        "status": status or {},
    }


RUNNING = [{"name": "cj-1", "uid": "1"}]

# spec, status, active, time: due at, forbidden
DUE = {
    "the last that was missed": ({}, {}, [], NOW, "12:30", False),
    "none before the first": ({}, {}, [], NOW.replace(minute=9), None, False),
    "not twice": ({}, {"lastScheduleTime": "2026-01-01T12:30:00Z"}, [], NOW, None, False),
    "beside another": ({}, {}, RUNNING, NOW, "12:30", False),
    "not beside another": ({"concurrencyPolicy": "Forbid"}, {}, RUNNING, NOW, "12:30", True),
    "within its deadline": ({"startingDeadlineSeconds": 30}, {}, [], NOW, "12:30", False),
    "not after it": ({"startingDeadlineSeconds": 10}, {}, [], NOW, None, False),
}


@pytest.mark.parametrize("name", DUE)
def test_due(name):
    spec, status, active, now, at, forbidden = DUE[name]
    owner = cron_job(status, **spec)
    found = cronjobs.due(owner, schedules.parse(owner["spec"]["schedule"]), active, now=now)
    assert (found.at.strftime("%H:%M") if found.at else None, found.forbidden) == (at, forbidden)


def test_many_missed_runs_are_told():
    owner = cron_job(schedule="* * * * *")
    late = NOW.replace(hour=15)
    assert cronjobs.due(owner, schedules.parse("* * * * *"), [], now=late).many_missed


def test_a_job_is_named_after_its_minute_and_says_its_time_in_the_zone():
    made = cronjobs.job_for(cron_job(timeZone="Europe/Berlin"), NOW.replace(second=0))
    assert made["metadata"]["name"] == f"cj-{int(NOW.timestamp()) // 60}"
    assert made["metadata"]["annotations"] == {cronjobs.SCHEDULED_AT: "2026-01-01T13:30:00+01:00"}
    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    plain = cronjobs.job_for(cron_job(), NOW.replace(second=0))
    assert plain["metadata"]["annotations"] == {cronjobs.SCHEDULED_AT: "2026-01-01T12:30:00Z"}


def finished(name, condition, started):
    status = {"startTime": f"2026-01-01T{started}:00Z", "conditions": [{"type": condition, "status": "True"}]}
    if condition == "Complete":
        status["completionTime"] = status["startTime"]
    return {"metadata": {"name": name}, "status": status}


def test_the_oldest_finished_jobs_go():
    owned = [
        finished("c1", "Complete", "11:00"),
        finished("c2", "Complete", "12:00"),
        finished("f1", "Failed", "10:00"),
        finished("f2", "Failed", "09:00"),
        {"metadata": {"name": "running"}, "status": {}},
    ]
    owner = cron_job(successfulJobsHistoryLimit=1, failedJobsHistoryLimit=0)
    assert [job["metadata"]["name"] for job in cronjobs.surplus(owner, owned)] == ["c1", "f2", "f1"]
    assert cronjobs.surplus(cron_job(), owned) == []
    assert cronjobs.last_success(owner, owned) == "2026-01-01T12:00:00Z"


def test_status_leaves_out_what_it_has_not():
    assert cronjobs.status(cron_job(), [], [], at=None) == {}
    made = cronjobs.status(cron_job(), RUNNING, [], at=NOW)
    assert made == {"active": RUNNING, "lastScheduleTime": "2026-01-01T12:30:20Z"}
