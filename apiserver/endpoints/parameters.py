"""Query parameters that several verbs share, checked once here."""

from __future__ import annotations

import time

from apimachinery import errors, meta, resourceversion
from apimachinery.field import FieldError, forbidden, not_supported
from apimachinery.fields import FieldSelector
from apimachinery.fields import parse as parse_fields
from apimachinery.kinds import Kind
from apimachinery.labels import Selector
from apimachinery.labels import parse as parse_labels
from apimachinery.meta import JSON
from apiserver.registry.strategy import Context
from apiserver.request import Call

MANAGER_LIMIT = 128
_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
_MATCHES = ("Exact", "NotOlderThan")


class _Clock:
    """The time of writes, formatted once a second."""

    second = 0
    text = ""


def now() -> str:
    """Now, in whole seconds, as metadata has it."""
    second = int(time.time())
    if second != _Clock.second:
        _Clock.second, _Clock.text = second, meta.now()
    return _Clock.text


def context(call: Call, options: JSON | None = None) -> Context:
    """Who writes, and how, from the parameters (and, for deletes, the body)."""
    query = call.query
    dry_run = False
    asked = query.get("dryRun") if query else None
    if asked:
        if asked != "All":
            refuse(_OPTIONS.get(call.info.verb, "DeleteOptions"), [not_supported("dryRun", [asked], ["All"])])
        dry_run = True
    manager = query.get("fieldManager") if query else None
    if manager is None:
        manager = call.request.headers.get("User-Agent", "").partition("/")[0][:MANAGER_LIMIT] or "unknown"
    elif len(manager) > MANAGER_LIMIT:
        raise errors.BadRequest(f"fieldManager: Too long: may not be more than {MANAGER_LIMIT} bytes")
    return Context(
        user=call.user,
        now=now(),
        manager=manager or "unknown",
        dry_run=dry_run,
        force=call.flag("force"),
        options={} if options is None else options,
        warnings=call.warnings,
    )


def labels(call: Call) -> Selector | None:
    """labelSelector, None if absent."""
    text = call.query.get("labelSelector")
    if not text:
        return None
    try:
        return parse_labels(text)
    except ValueError as error:
        raise errors.BadRequest(str(error)) from error


def fields(call: Call, kind: Kind) -> FieldSelector | None:
    """fieldSelector, None if absent; BadRequest names a field that the kind does not select by."""
    text = call.query.get("fieldSelector")
    if not text:
        return None
    try:
        selector = parse_fields(text)
    except ValueError as error:
        raise errors.BadRequest(str(error)) from error
    name = selector.unknown(kind.selectable)
    if name is None:
        return selector
    if kind.selectable:
        raise errors.BadRequest(f"field label not supported: {name}")
    raise errors.BadRequest(f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"')


def integer(call: Call, name: str) -> int | None:
    """An integer parameter, None if absent; what is negative is 0."""
    text = call.query.get(name)
    if not text:
        return None
    if not text.removeprefix("-").isdigit():
        raise errors.BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return max(0, int(text))


def version(call: Call) -> int | None:
    """resourceVersion: None if unset, which asks for the most recent."""
    text = call.query.get("resourceVersion")
    return resourceversion.parse(text) if text else None


def check_list_versions(call: Call) -> str | None:
    """resourceVersionMatch of a list, by upstream's table of what goes with what; Invalid names each wrong pair."""
    query = call.query
    match = query.get("resourceVersionMatch") or ""
    wanted = query.get("resourceVersion") or ""
    continued = query.get("continue") or ""
    faults: list[FieldError] = []
    if "sendInitialEvents" in query:
        faults.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if match:
        if not wanted:
            text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            faults.append(forbidden("resourceVersionMatch", text))
        if continued:
            text = "resourceVersionMatch is forbidden when continue is provided"
            faults.append(forbidden("resourceVersionMatch", text))
        if match not in _MATCHES:
            faults.append(not_supported("resourceVersionMatch", match, [*_MATCHES, ""]))
        if match == "Exact" and wanted == "0":
            text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            faults.append(forbidden("resourceVersionMatch", text))
    if continued and wanted and wanted != "0":
        raise errors.BadRequest("specifying resource version is not allowed when using continue")
    refuse("ListOptions", faults)
    return match or None


def check_watch_versions(call: Call) -> bool | None:
    """sendInitialEvents of a watch, None if unset; Invalid names each wrong combination."""
    query = call.query
    match = query.get("resourceVersionMatch") or ""
    faults: list[FieldError] = []
    initial = call.flag("sendInitialEvents") if "sendInitialEvents" in query else None
    if initial is not None:
        if match != "NotOlderThan":
            if not match:
                text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
                faults.append(forbidden("resourceVersionMatch", text))
            else:
                faults.append(not_supported("resourceVersionMatch", match, ["NotOlderThan"]))
    elif match:
        text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        faults.append(forbidden("resourceVersionMatch", text))
    if query.get("continue"):
        faults.append(forbidden("continue", "continue is forbidden for watch"))
    refuse("ListOptions", faults)
    return initial


def refuse(kind: str, faults: list[FieldError]) -> None:
    """Invalid, in the name of the options' kind, if there are faults."""
    if faults:
        raise errors.invalid("meta.k8s.io", kind, "", faults)
