"""Shell completion: types from the table of kinds, names from the server, with no more waiting than a Tab is worth.

Whatever goes wrong on the way to the server means no proposals: a shell has nowhere to show an error.
"""

import asyncio
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from apimachinery import kinds
from apimachinery.errors import StatusError
from apimachinery.kinds import Kind
from kubeclient.config import load_kubeconfig, read_kubeconfig
from kubeclient.errors import ConfigError, Unreachable
from kubeclient.rest import Client

_SECONDS: Final = 2.0
_NAMES_MAX: Final = 500


def resources(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """TYPE, then NAMEs of it; or TYPE/NAME."""
    before = tuple(ctx.params.get("resources") or ())
    if "/" in incomplete:
        type_, _, name = incomplete.partition("/")
        return [CompletionItem(f"{type_}/{each}") for each in _names(ctx, type_) if each.startswith(name)]
    if before and "/" not in before[0]:
        return _items([each for each in _names(ctx, before[0]) if each not in before], incomplete)
    return _items(sorted({row.plural for row in kinds.KINDS if row.served and row.stored}), incomplete)


def pods(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    if "/" in incomplete:
        return resources(ctx, parameter, incomplete)
    return _items(_names(ctx, "pods"), incomplete)


def nodes(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _items(_names(ctx, "nodes"), incomplete)


def namespaces(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _items(_names(ctx, "namespaces"), incomplete)


def contexts(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    try:
        document = read_kubeconfig(_shared(ctx).get("kubeconfig"))[1]
    except (ConfigError, OSError):
        return []
    return _items([str(each.get("name")) for each in document.get("contexts") or ()], incomplete)


def _items(words: list[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _shared(ctx: click.Context) -> dict[str, Any]:
    """--namespace, --kubeconfig and --context, wherever on the line they stand."""
    found: dict[str, Any] = {}
    at: click.Context | None = ctx
    while at:
        found = {key: at.params.get(key) or found.get(key) for key in ("namespace", "kubeconfig", "context")} | {
            key: value for key, value in found.items() if value
        }
        at = at.parent
    return found


def _names(ctx: click.Context, word: str) -> list[str]:
    name = word.lower().split(",")[0]
    rows = [each for each in kinds.KINDS if each.served and each.stored]
    kind = next((each for each in rows if name in (each.plural, each.singular, each.resource, *each.short_names)), None)
    try:
        return asyncio.run(_ask(kind, _shared(ctx))) if kind else []
    except (OSError, TimeoutError, ConfigError, StatusError, Unreachable):
        return []


async def _ask(kind: Kind, shared: dict[str, Any]) -> list[str]:
    config = load_kubeconfig(shared.get("kubeconfig"), context=shared.get("context"))
    async with asyncio.timeout(_SECONDS), Client(config, user_agent="minikubectl") as client:
        space = (shared.get("namespace") or config.namespace) if kind.namespaced else None
        listed = await client.list(kind, namespace=space, limit=_NAMES_MAX, metadata_only=True, resource_version="0")
    return sorted(each["metadata"]["name"] for each in listed["items"])
