"""What services do to the machine they run on: commands, each with an end in time, and switches of its kernel."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 60.0


class CommandError(OSError):
    """A command failed; the text has the command and what it printed."""


async def run(*command: str, text: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """What a command prints, given `text` as its input. Raises CommandError; FileNotFoundError where there is none."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            out, problem = await process.communicate(text.encode() if text else None)
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise CommandError(f"{' '.join(command)}: no end after {timeout_seconds:g} s") from error
    if process.returncode:
        printed = problem.decode(errors="replace").strip()
        raise CommandError(f"{' '.join(command)}: exit code {process.returncode}: {printed}")
    return out.decode()


def set_sysctls(wanted: Mapping[str, str], root: Path = Path("/proc/sys")) -> list[str]:
    """Set what differs, by path below /proc/sys; what this kernel lacks or refuses is logged, and comes back."""
    failed = []
    for name, value in wanted.items():
        file = root / name
        try:
            if file.read_text().strip() != value:
                file.write_text(value)
        except OSError as error:
            log.warning("cannot set %s to %s: %s", name.replace("/", "."), value, error.strerror)
            failed.append(name)
    return failed
