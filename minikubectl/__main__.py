"""`minikubectl`: importing the command modules registers their commands, in the order of help."""

from minikubectl import applying, deleting, getting
from minikubectl.cli import cli

COMMANDS = (getting, applying, deleting)


def main() -> None:
    """Run the command line."""
    cli(prog_name="minikubectl")


if __name__ == "__main__":
    main()
