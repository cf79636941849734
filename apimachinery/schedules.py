"""When a CronJob is due: five fields of cron, a name like `@hourly`, or `@every 1h30m`, in a time zone.

The arithmetic is cronsim's. It follows Debian's cron where the two differ; a CronJob follows the library that upstream
uses, so expressions are brought into a form that both read alike: a step over all days restricts the day, `?` is `*`,
and what a change of the clocks skips isn't made up for (and what it repeats runs twice).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ALL_DAYS = {2: "1-31", 4: "0-6"}
_UNITS = {"h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+[hms])+")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed schedule: six fields with the seconds first, or an interval."""

    expression: str
    every: timedelta | None
    zone: ZoneInfo

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The times after a moment, in UTC; ends if there is none within 50 years."""
        if self.every:
            while True:
                moment = moment.replace(microsecond=0) + self.every
                yield moment
        for each in CronSim(self.expression, moment.astimezone(self.zone)):
            yield each.astimezone(UTC)

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """The last time after one moment and not after another."""
        if self.every:
            passed = (until - after) // self.every
            return after.replace(microsecond=0) + passed * self.every if passed > 0 else None
        just_later = until.astimezone(self.zone).replace(microsecond=0) + timedelta(seconds=1)
        found = next(CronSim(self.expression, just_later.astimezone(self.zone), reverse=True), None)
        return found.astimezone(UTC) if found and found > after else None

    def missed(self, after: datetime, until: datetime, *, limit: int) -> int:
        """How many times there are after one moment and not after another, counted up to the limit."""
        return sum(1 for _ in islice((each for each in _until(self.after(after), until)), limit))


def _until(times: Iterator[datetime], last: datetime) -> Iterator[datetime]:
    for each in times:
        if each > last:
            return
        yield each


def parse(text: str, name: str = "") -> Schedule:
    """The schedule of `spec.schedule` in the time zone of that name, by default UTC. Raises ValueError."""
    found = zone(name or "UTC")
    if text.startswith("@every "):
        return Schedule("", _interval(text.removeprefix("@every ")), found)
    if text.startswith("@") and text not in _NAMED:
        raise ValueError(f"unrecognized descriptor: {text}")
    fields = _NAMED.get(text, text).split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    for index, field in enumerate(fields):
        field = re.sub(r"^\?", "*", field)
        if index in _ALL_DAYS:
            field = re.sub(r"^\*(?=/0*([2-9]|1\d))", _ALL_DAYS[index], field)
        fields[index] = field
    if re.search("[#L]", fields[2].upper()) or _is_foreign_weekday(fields[4]):
        raise ValueError(f"failed to parse {text}: not a number, a name or a range of days")
    expression = " ".join(("0", *fields))
    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"failed to parse {text}: {error}") from error
    return Schedule(expression, None, found)


def _is_foreign_weekday(field: str) -> bool:
    days = re.sub(r"/\d+", "", field)
    return bool(re.search(r"#|7|(^|[,\d])L", days.upper()))


def zone(name: str) -> ZoneInfo:
    """The time zone of that name in the tz database. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name}") from error


def _interval(text: str) -> timedelta:
    if not _DURATION.fullmatch(text):
        raise ValueError(f"failed to parse duration @every {text}")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
    return timedelta(seconds=max(1, seconds))
