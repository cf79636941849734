"""Log lines in klog's format, so that people and their parsers read ours as they read upstream's.

`I1124 18:38:38.123456    4711 queue.py:42] message`. `-v` maps to Python's levels: 0-1 is INFO, from 2 on DEBUG of our
own packages, from 6 on DEBUG of the libraries too. Nothing that holds a secret is ever given to a logger: tokens, keys
and Secret data are named, not shown.
"""

import logging
import sys
import time
from datetime import UTC, datetime
from typing import Literal

import orjson

_LETTERS = {logging.DEBUG: "I", logging.INFO: "I", logging.WARNING: "W", logging.ERROR: "E", logging.CRITICAL: "F"}
_LIBRARIES = ("aiohttp", "asyncio", "urllib3", "docker", "grpc", "aetcd")


class KlogFormatter(logging.Formatter):
    """One klog header per record, tracebacks below it."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
        micros = int(record.created % 1 * 1_000_000)
        header = f"{_LETTERS.get(record.levelno, 'I')}{stamp}.{micros:06d} {record.process or 0:>7}"
        text = f"{header} {record.filename}:{record.lineno}] {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JSONFormatter(logging.Formatter):
    """One JSON document per record, with the keys of upstream's `--logging-format=json`."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "component": self._component,
            "caller": f"{record.filename}:{record.lineno}",
            "msg": record.getMessage(),
        }
        if record.exc_info:
            line["stacktrace"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def setup(component: str, verbosity: int = 0, *, format: Literal["text", "json"] = "text") -> None:
    """Send all logging to stderr in one format; call it again to change it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter(component) if format == "json" else KlogFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbosity >= 2 else logging.INFO)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(logging.DEBUG if verbosity >= 6 else logging.WARNING)
