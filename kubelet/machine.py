"""What the kernel says of this machine, in /proc and /sys."""

from pathlib import Path


def read(path: str) -> str:
    """The text of a file, "" for one that can't be read."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def memory() -> dict[str, int]:
    """/proc/meminfo in bytes: MemTotal, MemAvailable, ..."""
    lines = (line.split() for line in read("/proc/meminfo").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[2:] == ["kB"]}


def memory_bytes() -> int:
    """What there is in all."""
    return memory().get("MemTotal", 0)
