"""`minikubectl`: importing the command modules registers their commands, in the order of help."""

from minikubectl import applying, deleting, describing, executing, getting, logs, scaling, waiting
from minikubectl.cli import cli

COMMANDS = (getting, describing, applying, deleting, scaling, waiting, logs, executing)


def main() -> None:
    """Run the command line."""
    cli(prog_name="minikubectl")


if __name__ == "__main__":
    main()
