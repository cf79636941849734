"""What the commands print alike."""

from datetime import UTC, datetime, timedelta

import pytest

from minikubeadm import cli

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "shown"),
    [
        (timedelta(days=364, hours=23), "364d"),
        (timedelta(days=3650), "10y"),
        (timedelta(hours=5, minutes=59), "5h"),
        (timedelta(minutes=2), "2m"),
        (timedelta(seconds=0), "0s"),
        (timedelta(seconds=-1), "<invalid>"),
    ],
)
def test_time_that_is_left(left: timedelta, shown: str) -> None:
    assert cli.residual(NOW + left, now=NOW) == shown


def test_a_tables_columns_are_three_blanks_apart() -> None:
    assert cli.table([("A", "LONG", "C"), ("long", "b", "")]) == "A      LONG   C\nlong   b"
