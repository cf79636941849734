"""Files written whole or not at all: a temporary name, then a rename. A mode holds from the first byte on."""

import os
import tempfile
from pathlib import Path


def write_file(file: str | Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write atomically: the file is the old one or the new one, never half, and never looser than `mode`."""
    target = Path(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
