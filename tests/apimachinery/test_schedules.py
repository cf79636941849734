"""Schedules: the times that follow, the last that passed, and what is refused, as upstream's library reads them."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from apimachinery import schedules

START = datetime(2026, 3, 1, 10, 7, 30, tzinfo=UTC)  # a Sunday

# schedule, the next times
FOLLOWING = {
    "*/15 * * * *": ["01 10:15", "01 10:30"],
    "0 9-17/4 * * MON-FRI": ["02 09:00", "02 13:00"],
    "@hourly": ["01 11:00", "01 12:00"],
    "@weekly": ["08 00:00", "15 00:00"],
    "@every 1h30m": ["01 11:37", "01 13:07"],
    "0 0 13 * 5": ["06 00:00", "13 00:00"],  # either day
    "0 0 */10 * 5": ["06 00:00", "11 00:00"],  # a step restricts: either day again
    "0 0 */1 * 5": ["06 00:00", "13 00:00"],  # every day doesn't: both
    "0 0 ? * wed": ["04 00:00", "11 00:00"],
}


@pytest.mark.parametrize("text", FOLLOWING)
def test_the_times_that_follow(text):
    found = [each.strftime("%d %H:%M") for each in islice(schedules.parse(text).after(START), 2)]
    assert found == FOLLOWING[text]


@pytest.mark.parametrize("text", ["*/15 * * * *", "0 9-17/4 * * MON-FRI", "0 0 13 * 5", "@every 7m"])
def test_the_latest_is_the_last_of_those_that_follow(text):
    schedule = schedules.parse(text)
    for minutes in range(0, 30000, 977):
        until = START + timedelta(minutes=minutes)
        times = []
        for each in schedule.after(START):
            if each > until:
                break
            times.append(each)
        assert schedule.latest(START, until) == (times[-1] if times else None)
        assert schedule.missed(START, until, limit=5) == min(5, len(times))


def test_a_time_itself_is_the_latest_then():
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert schedules.parse("0 12 * * *").latest(START, noon) == noon
    assert schedules.parse("0 12 * * *").latest(noon, noon) is None


def test_a_time_zone_moves_the_times():
    (found,) = islice(schedules.parse("0 9 * * *", "America/New_York").after(START), 1)
    assert found == datetime(2026, 3, 1, 14, tzinfo=UTC)


def test_an_hour_that_the_clocks_skip_has_no_run():
    schedule = schedules.parse("30 2 * * *", "America/New_York")  # 8 March 2026 has no half past two
    found = [each.strftime("%m-%d") for each in islice(schedule.after(datetime(2026, 3, 7, tzinfo=UTC)), 3)]
    assert found == ["03-07", "03-09", "03-10"]


def test_an_hour_that_the_clocks_repeat_has_two_runs():
    schedule = schedules.parse("30 1 * * *", "America/New_York")
    found = [each.strftime("%m-%d %H") for each in islice(schedule.after(datetime(2026, 11, 1, tzinfo=UTC)), 3)]
    assert found == ["11-01 05", "11-01 06", "11-02 06"]


@pytest.mark.parametrize(
    ("text", "zone", "why"),
    [
        ("* * *", "", r"expected exactly 5 fields, found 3: \[\* \* \*\]"),
        ("* * * * * *", "", "expected exactly 5 fields, found 6"),
        ("61 * * * *", "", "failed to parse 61"),
        ("* * * * 7", "", "failed to parse"),
        ("* * L * *", "", "failed to parse"),
        ("* * * * 1#2", "", "failed to parse"),
        ("@often", "", "unrecognized descriptor: @often"),
        ("@every soon", "", "failed to parse duration @every soon"),
        ("* * * * *", "Mars/Olympus", "unknown time zone Mars/Olympus"),
        ("* * * * *", "../etc", "unknown time zone"),
    ],
)
def test_what_is_refused(text, zone, why):
    with pytest.raises(ValueError, match=why):
        schedules.parse(text, zone)
