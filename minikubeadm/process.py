"""Other programs, run so that a failure tells its whole story: what was run, what it printed, what to do about it."""

import asyncio
import contextlib
import itertools
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

_KEPT_CHARACTERS = 4000
_SECRETS = re.compile(r"\b([a-z0-9]{6}\.)[a-z0-9]{16}\b|(--certificate-key[ =])\w+")


class StepFailed(Exception):
    """A bring-up step did not work: `what`, perhaps the command with its output, and a hint."""

    def __init__(self, what: str, *, command: Sequence[str] = (), output: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.command = tuple(command)
        self.output = output
        self.hint = hint

    def report(self) -> str:
        """The failure as an administrator reads it, without secrets (of bootstrap tokens, certificate keys)."""
        lines = [f"failed: {self.what}"]
        if self.command:
            lines.append(f"  it ran:     {shlex.join(self.command)}")
        if self.output.strip():
            shown = _without_repeats(self.output.strip().splitlines())
            shown = "\n".join(shown)[-_KEPT_CHARACTERS:].splitlines()
            lines += ["  it printed:", *(f"    {line}" for line in shown)]
        if self.hint:
            lines.append(f"  what to do: {self.hint}")
        return _SECRETS.sub(lambda found: f"{found[1] or found[2]}<redacted>", "\n".join(lines))


def _without_repeats(lines: Sequence[str]) -> list[str]:
    """A line that is printed again and again is shown once, with how often."""
    shown = []
    for line, group in itertools.groupby(lines):
        count = sum(1 for _ in group)
        shown.append(line if count == 1 else f"{line} ({count} times)")
    return shown


async def run(
    *argv: str, what: str = "", hint: str = "", stdin: bytes | None = None, timeout_seconds: float = 120.0
) -> str:
    """Run a command and give its standard output; StepFailed if it ends badly, late, or is not there."""
    what = what or f"running {argv[0]}"
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise StepFailed(what, command=argv, output=f"{argv[0]}: {error.strerror}", hint=hint) from error
    try:
        async with asyncio.timeout(timeout_seconds):
            out, err = await process.communicate(stdin)
    except TimeoutError as error:
        raise StepFailed(what, command=argv, output=f"no end after {timeout_seconds:.0f} s", hint=hint) from error
    finally:
        await _end(process)
    if process.returncode:
        printed = "\n".join(part for part in (out.decode(errors="replace"), err.decode(errors="replace")) if part)
        raise StepFailed(what, command=argv, output=printed or f"exit code {process.returncode}", hint=hint)
    return out.decode(errors="replace")


async def succeeds(*argv: str) -> bool:
    """Whether a command exists and ends with exit code 0."""
    try:
        await run(*argv, timeout_seconds=30)
    except StepFailed:
        return False
    return True


async def stream(
    *argv: str,
    on_line: Callable[[str], Any],
    what: str,
    hint: str = "",
    stdin: bytes = b"",
    timeout_seconds: float,
) -> None:
    """Run a command and hand on every line that it prints while it runs; StepFailed as with `run`.

    `stdin` is written at once: it has to fit into a pipe.
    """
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    except OSError as error:
        raise StepFailed(what, command=argv, output=f"{argv[0]}: {error.strerror}", hint=hint) from error
    assert process.stdout is not None
    assert process.stdin is not None
    printed: list[str] = []
    try:
        async with asyncio.timeout(timeout_seconds):
            process.stdin.write(stdin)
            process.stdin.close()
            async for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip()
                printed.append(line)
                on_line(line)
            await process.wait()
    except TimeoutError as error:
        printed.append(f"no end after {timeout_seconds:.0f} s")
        raise StepFailed(what, command=argv, output="\n".join(printed), hint=hint) from error
    finally:
        await _end(process)
    if process.returncode:
        raise StepFailed(what, command=argv, output="\n".join(printed), hint=hint)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave no child behind when the wait for it was broken off."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
