"""Checks that rules of many kinds are made of, as streams of faults."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from apimachinery import field, names
from apimachinery.field import FieldError
from apimachinery.meta import JSON

IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"
NETWORK = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
PROTOCOLS = ("SCTP", "TCP", "UDP")
PORT_RANGE = "must be between 1 and 65535, inclusive"
_label_faults = lru_cache(maxsize=4096)(names.dns1123_label)
_qualified = lru_cache(maxsize=4096)(names.qualified_name)
_value_faults = lru_cache(maxsize=4096)(names.label_value)


def supported(path: str, value: str | None, valid: tuple[str, ...]) -> Iterator[FieldError]:
    """Given, and one of these."""
    if not value:
        yield field.required(path)
    elif value not in valid:
        yield field.not_supported(path, value, valid)


def one_of(path: str, value: str | None, valid: tuple[str, ...]) -> Iterator[FieldError]:
    """One of these."""
    if value not in valid:
        yield field.not_supported(path, value, valid)


def not_negative(path: str, holder: JSON, *names: str) -> Iterator[FieldError]:
    """Numbers of at least 0, of those that are given."""
    for name in names:
        if isinstance(holder.get(name), int) and holder[name] < 0:
            yield field.invalid(f"{path}{name}", holder[name], NOT_NEGATIVE)


def unchanged(obj: JSON, old: JSON, *paths: str) -> Iterator[FieldError]:
    """Fields that never change, such as spec.selector."""
    for path in paths:
        now: Any = obj
        before: Any = old
        for step in path.split("."):
            now, before = (now or {}).get(step), (before or {}).get(step)
        if now != before:
            yield field.invalid(path, now, IMMUTABLE)


def label(path: str, value: str | None) -> Iterator[FieldError]:
    """Given, and a DNS label."""
    if not value:
        yield field.required(path)
    else:
        yield from (field.invalid(path, value, text) for text in _label_faults(value))


def subdomain(path: str, value: str) -> Iterator[FieldError]:
    """A DNS subdomain."""
    yield from (field.invalid(path, value, text) for text in names.dns1123_subdomain(value))


def qualified(path: str, value: str) -> Iterator[FieldError]:
    """A name such as a label's key has."""
    yield from (field.invalid(path, value, text) for text in _qualified(value))


def label_map(path: str, given: JSON | None) -> Iterator[FieldError]:
    """A map of labels."""
    for key, value in (given or {}).items():
        yield from qualified(path, key)
        yield from (field.invalid(path, value, text) for text in _value_faults(value))


def address(path: str, value: str) -> Iterator[FieldError]:
    """An IP address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        yield field.invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")


def is_address(text: str) -> bool:
    """Whether that is an IP address."""
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def reachable_address(path: str, value: str) -> Iterator[FieldError]:
    """An IP address, and not one that means something else on every machine."""
    yield from address(path, value)
    if is_address(value):
        found = ipaddress.ip_address(value)
        if found.is_unspecified:
            yield field.invalid(path, value, f"may not be unspecified ({value})")
        if found.is_loopback:
            yield field.invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
        if found.is_link_local:
            yield field.invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")


def network(path: str, value: str, text: str = NETWORK) -> Iterator[FieldError]:
    """A range of addresses in CIDR notation; `text` says so."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        yield field.invalid(path, value, text)


def port_number(path: str, value: int | None) -> Iterator[FieldError]:
    """A TCP or UDP port."""
    if not 0 < (value or 0) < 65536:
        yield field.invalid(path, value or 0, PORT_RANGE)


def port_name(path: str, value: str) -> Iterator[FieldError]:
    """A port's name, after RFC 6335."""
    yield from (field.invalid(path, value, text) for text in names.port_name(value))


def port(path: str, value: int | str | None) -> Iterator[FieldError]:
    """A port by number or name."""
    yield from port_name(path, value) if isinstance(value, str) else port_number(path, value)


def label_selector(path: str, selector: JSON | None) -> Iterator[FieldError]:
    """A LabelSelector: its labels, and its expressions."""
    if selector is None:
        return
    yield from label_map(f"{path}.matchLabels", selector.get("matchLabels"))
    for i, wanted in enumerate(selector.get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{i}]"
        yield from operator(where, wanted, single=())
        yield from qualified(f"{where}.key", wanted.get("key") or "")


def operator(path: str, wanted: JSON, *, single: tuple[str, ...]) -> Iterator[FieldError]:
    """The operator of a selector's expression, and as many values as it takes; `single` operators take one."""
    name, values = wanted.get("operator"), wanted.get("values") or []
    if name in ("In", "NotIn"):
        if not values:
            yield field.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif name in ("Exists", "DoesNotExist"):
        if values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield field.forbidden(f"{path}.values", text)
    elif name in single:
        if len(values) != 1:
            yield field.required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        yield field.invalid(f"{path}.operator", name or "", "not a valid selector operator")
