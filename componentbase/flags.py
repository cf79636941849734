"""Command-line flags as upstream's services have them, on argparse.

Upstream's flags differ from argparse's habits in three points: booleans may stand alone or carry a value
(`--leader-elect`, `--leader-elect=false`), durations are Go's (`1m30s`), and lists are joined by commas. Each service
makes a `parser`, adds its flags with the types from here, and calls `parse`. A file given as `--config` holds the same
flags as YAML (`node-monitor-period: 5s`, or `nodeMonitorPeriod`); the command line wins over it.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from componentbase import defaults, logs

_DURATION = re.compile(r"([0-9]*\.?[0-9]+)(h|ms|us|µs|ns|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def duration(text: str) -> float:
    """Seconds in a duration in Go's notation (`300ms`, `1m30s`, `0`); ValueError otherwise."""
    if text == "0":
        return 0.0
    total, position = 0.0, 0
    for match in _DURATION.finditer(text):
        if match.start() != position:
            break
        total += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    if not text or position != len(text):
        raise ValueError(f"invalid duration {text!r}")
    return total


def boolean(text: str) -> bool:
    """A boolean as Go's flag package reads it."""
    lowered = text.lower()
    if lowered in ("1", "t", "true"):
        return True
    if lowered in ("0", "f", "false"):
        return False
    raise ValueError(f"invalid boolean value {text!r}")


def comma_list(text: str) -> list[str]:
    """The items of a comma-separated list; empty text is the empty list."""
    return [item.strip() for item in text.split(",") if item.strip()]


def mapping(text: str) -> dict[str, str]:
    """`a=b,c=d` as a dict (labels, feature gates); ValueError for an item without `=`."""
    pairs = [item.partition("=") for item in comma_list(text)]
    if wrong := [key for key, equals, _ in pairs if not equals]:
        raise ValueError(f"malformed pair {wrong[0]!r}, expect key=value")
    return {key.strip(): value.strip() for key, _, value in pairs}


def add_boolean(parser: argparse.ArgumentParser, flag: str, *, default: bool, help: str) -> None:
    """Add a flag that may stand alone (true) or carry `=true` or `=false`."""
    parser.add_argument(flag, nargs="?", const=True, default=default, type=boolean, help=help, metavar="BOOL")


def parser(component: str, description: str) -> argparse.ArgumentParser:
    """A parser with what every service has: `--config`, `--version`, `-v`, `--logging-format`."""
    made = argparse.ArgumentParser(prog=component, description=description, allow_abbrev=False)
    made.add_argument("--config", metavar="FILE", help="YAML file with flags by name; the command line wins")
    made.add_argument("--version", action="version", version=f"Kubernetes {defaults.GIT_VERSION}")
    made.add_argument("-v", "--v", dest="verbosity", type=int, default=0, metavar="LEVEL", help="log verbosity (0-10)")
    made.add_argument("--logging-format", choices=("text", "json"), default="text", help="format of log lines")
    return made


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse, reading `--config` first, and set logging up by what was given; a wrong flag exits 2."""
    config = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    config.add_argument("--config")
    file = config.parse_known_args(arguments)[0].config
    if file:
        parser.set_defaults(**_from_file(parser, Path(file)))
    parsed = parser.parse_args(arguments)
    logs.setup(parser.prog, parsed.verbosity, format=parsed.logging_format)
    return parsed


def _from_file(parser: argparse.ArgumentParser, file: Path) -> dict[str, Any]:
    """The file's values as argparse defaults (which pass a text through the flag's type)."""
    try:
        document = yaml.safe_load(file.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        parser.error(f"cannot read --config {file}: {error}")
    if not isinstance(document, dict):
        parser.error(f"--config {file}: expect a mapping of flags to values")
    by_name = {option.lstrip("-"): action for action in parser._actions for option in action.option_strings}
    values: dict[str, Any] = {}
    for key, value in document.items():
        flag = re.sub(r"(?<=[a-z0-9])([A-Z])", r"-\1", str(key)).lower()
        if flag in ("api-version", "kind"):
            continue
        if flag not in by_name:
            parser.error(f"--config {file}: unknown flag {key!r}")
        values[by_name[flag].dest] = as_text(value)
    return values


def as_text(value: Any) -> Any:
    """A value of a YAML file as the command line would have it; None stays."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items())
    return value if value is None else str(value).lower() if isinstance(value, bool) else str(value)
