"""Flags that several commands share, each said once, under kubectl's names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from minikubectl import completing

F = TypeVar("F", bound=Callable[..., Any])

_SUFFIXES: Final = {"none": "", "client": " (dry run)", "server": " (server dry run)"}


def together(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several decorators as one, in the order in which they would stand."""

    def decorate(function: F) -> F:
        for each in reversed(decorators):
            function = each(function)
        return function

    return decorate


RESOURCES: Final = click.argument("resources", nargs=-1, shell_complete=completing.resources)
POD: Final = click.argument("what", shell_complete=completing.pods)
CONTAINER: Final = click.option("-c", "--container", default="", help="Which container.")
FILES: Final = together(
    click.option("-f", "--filename", "files", multiple=True, help="What these manifests name; - is stdin."),
    click.option("-R", "--recursive", is_flag=True, help="Directories with all below them."),
)
LABEL_SELECTOR: Final = click.option("-l", "--selector", "label_selector", default="", help="Label selector.")
FIELD_SELECTOR: Final = click.option("--field-selector", default="", help="Field selector.")
EVERYWHERE: Final = click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In every namespace.")
ALL: Final = click.option("--all", "all_", is_flag=True, help="All objects of the type.")
SELECTION: Final = together(FILES, LABEL_SELECTOR, ALL)
DRY_RUN: Final = click.option(
    "--dry-run", type=click.Choice(list(_SUFFIXES)), default="none", help="Send nothing, or have nothing kept."
)
OUTPUT: Final = click.option(
    "-o", "--output", "form", default="", help="yaml|json|name|jsonpath=...: print the objects."
)
MANAGER: Final = click.option("--field-manager", "manager", default="", help="Name of the owner of what is changed.")
SENDING: Final = together(DRY_RUN, OUTPUT, MANAGER)


@dataclass(frozen=True, slots=True)
class Sending:
    """How changes are sent, and how the answer is shown."""

    dry_run: str = "none"
    form: str = ""
    manager: str = ""

    @classmethod
    def taken(cls, flags: dict[str, Any]) -> "Sending":
        """What SENDING's flags say, taken out of all flags of a command."""
        return cls(**{key: flags.pop(key) for key in ("dry_run", "form", "manager") if key in flags})

    @property
    def suffix(self) -> str:
        return _SUFFIXES[self.dry_run]

    def params(self, default_manager: str = "kubectl") -> dict[str, str]:
        chosen = {"fieldManager": self.manager or default_manager}
        return {**chosen, "dryRun": "All"} if self.dry_run == "server" else chosen
