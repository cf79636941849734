"""`minikubectl`: importing the command modules registers their commands, in the order of help."""

import importlib
from typing import Final

from minikubectl.cli import cli

COMMANDS: Final = (
    *("getting", "describing", "applying", "diffing", "creating", "replacing", "editing", "deleting", "scaling"),
    *("rollouts", "labelling", "setting", "nodes", "why", "waiting", "logs", "executing", "forwarding", "copying"),
    *("debugging", "observing", "explaining", "discovering", "configuring", "shells"),
)

for _module in COMMANDS:
    importlib.import_module(f"minikubectl.{_module}")


def main() -> None:
    """Run the command line."""
    cli(prog_name="minikubectl")


if __name__ == "__main__":
    main()
