"""Commands and kernel switches of the machine a service runs on."""

import pytest

from componentbase import host


async def test_a_command_gets_its_input_and_gives_its_output() -> None:
    assert await host.run("cat", text="rules") == "rules"


async def test_a_command_that_fails_says_what_it_printed() -> None:
    with pytest.raises(host.CommandError, match=r"exit code 3: no luck$"):
        await host.run("sh", "-c", "echo no luck >&2; exit 3")


async def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(host.CommandError, match=r"sleep 1000: no end after 0\.01 s"):
        await host.run("sleep", "1000", timeout_seconds=0.01)
