"""A step that fails tells what it ran, what it printed, and what to do."""

import pytest

from minikubeadm import process
from minikubeadm.process import StepFailed


async def test_output_comes_back() -> None:
    assert await process.run("echo", "hello") == "hello\n"


async def test_a_failure_tells_its_whole_story() -> None:
    with pytest.raises(StepFailed) as failure:
        await process.run("sh", "-c", "echo out; echo err >&2; exit 3", what="trying", hint="try again")
    report = failure.value.report()
    for part in ("failed: trying", "sh -c", "out", "err", "what to do: try again"):
        assert part in report


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(StepFailed) as failure:
        await process.run("no-such-program")
    with pytest.raises(StepFailed) as streamed:
        await process.stream("no-such-program", on_line=print, what="", timeout_seconds=5)
    for each in (failure, streamed):
        assert "no-such-program: No such file" in each.value.output


async def test_a_command_that_takes_too_long_is_ended() -> None:
    with pytest.raises(StepFailed) as failure:
        await process.run("sleep", "60", timeout_seconds=0.05)
    assert "no end after" in failure.value.output


async def test_lines_are_handed_on_as_they_come() -> None:
    lines: list[str] = []
    await process.stream("printf", "a\\nb\\n", on_line=lines.append, what="printing", timeout_seconds=5)
    assert lines == ["a", "b"]


def test_a_line_printed_again_and_again_is_shown_once() -> None:
    report = StepFailed("waiting", output="a\n" + "sh: systemctl: not found\n" * 500 + "b\n").report()
    assert report.splitlines()[2:] == ["    a", "    sh: systemctl: not found (500 times)", "    b"]


def test_a_failure_never_shows_a_bootstrap_tokens_secret() -> None:
    token = "abcdef.0123456789abcdef"
    report = StepFailed("joining", command=["minikubeadm", "join", "--token", token], output=token).report()
    assert "0123456789abcdef" not in report
    assert "--token abcdef.<redacted>" in report.replace("'", "")


def test_a_failure_never_shows_a_certificate_key() -> None:
    key = "0f" * 32
    report = StepFailed("joining", command=["minikubeadm", "join", "--certificate-key", key]).report()
    assert key not in report
