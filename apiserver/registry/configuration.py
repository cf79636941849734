"""What pods are configured with and bounded by: ConfigMaps, Secrets, Events, quotas, LimitRanges."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator

import orjson

from apimachinery import field, names, quantity
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import rulewords
from apiserver.registry.quantities import canonical_list
from apiserver.registry.strategy import Context, Strategy

SIZE_LIMIT_BYTES = 1024 * 1024
# What a Secret of a type must hold.
_REQUIRED_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_QUOTA_NAME = re.compile(
    r"configmaps|persistentvolumeclaims|pods|replicationcontrollers|resourcequotas|secrets|services"
    r"|services\.(loadbalancers|nodeports)|requests\.storage|((requests|limits)\.)?(cpu|memory|ephemeral-storage)"
    r"|(requests\.)?hugepages-.*"
)
_JSON_KEYS = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}


def _keys(keys: Iterable[str], path: str) -> Iterator[FieldError]:
    for key in keys:
        faults = names.config_map_key(key)
        if key in (".", ".."):
            faults = [f"must not be '{key}'"]
        elif key.startswith(".."):
            faults = ["must not start with '..'"]
        yield from (field.invalid(f"{path}[{key}]", key, text) for text in faults)


def _unchanged(obj: JSON, old: JSON, *names: str) -> Iterator[FieldError]:
    """An object that was marked immutable stays as it is."""
    if old.get("immutable"):
        if not obj.get("immutable"):
            yield field.forbidden("immutable", "field is immutable when `immutable` is set")
        for name in names:
            if (obj.get(name) or {}) != (old.get(name) or {}):
                yield field.forbidden(name, "field is immutable when `immutable` is set")


class ConfigMapStrategy(Strategy):
    """v1 ConfigMap."""

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
        yield from _keys(data, "data")
        yield from _keys(binary, "binaryData")
        for name in data.keys() & binary.keys():
            yield field.invalid(f"data[{name}]", name, "duplicate of key present in binaryData")
        size = sum(len(value.encode()) for value in data.values()) + sum(len(v) * 3 // 4 for v in binary.values())
        if size > SIZE_LIMIT_BYTES:
            yield field.too_long("[]", SIZE_LIMIT_BYTES)

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        yield from self.validate(obj)
        yield from _unchanged(obj, old, "data", "binaryData")


class SecretStrategy(Strategy):
    """v1 Secret: `stringData` is a convenience of writing, never stored."""

    def default(self, obj: JSON) -> None:
        if not obj.get("type"):
            obj["type"] = "Opaque"
        plain = obj.pop("stringData", None)
        if plain:
            encoded = {name: base64.b64encode(value.encode()).decode() for name, value in plain.items()}
            obj["data"] = {**(obj.get("data") or {}), **encoded}

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        data, kind = obj.get("data") or {}, obj["type"]
        yield from _keys(data, "data")
        for name in _REQUIRED_KEYS.get(kind, ()):
            if name not in data:
                yield field.required(f"data[{name}]")
        if kind == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
            yield from (field.required(f"data[%s][{name}]") for name in ("username", "password"))  # upstream's path
        json_key = _JSON_KEYS.get(kind)
        if json_key and json_key in data:
            try:
                orjson.loads(base64.b64decode(data[json_key] or ""))
            except (ValueError, binascii.Error):
                yield field.invalid(f"data[{json_key}]", "<secret contents redacted>", "invalid JSON")
        if sum(len(value or "") * 3 // 4 for value in data.values()) > SIZE_LIMIT_BYTES:
            yield field.too_long("data", SIZE_LIMIT_BYTES)
        annotations = obj["metadata"].get("annotations") or {}
        account = "kubernetes.io/service-account.name"
        if kind == "kubernetes.io/service-account-token" and not annotations.get(account):
            yield field.required(f"metadata.annotations[{account}]")

    def validate_update(self, obj: JSON, old: JSON) -> Iterator[FieldError]:
        yield from self.validate(obj)
        yield from _unchanged(obj, old, "data")
        yield from rulewords.unchanged(obj, old, "type")


class ResourceQuotaStrategy(Strategy):
    """v1 ResourceQuota."""

    def default(self, obj: JSON) -> None:
        if (obj.get("spec") or {}).get("hard"):
            canonical_list(obj["spec"], "hard")

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        spec = obj.get("spec") or {}
        for name, amount in (spec.get("hard") or {}).items():
            path = f"spec.hard[{name}]"
            unqualified = list(rulewords.qualified(path, name))
            yield from unqualified
            if "/" not in name and not _QUOTA_NAME.fullmatch(name):
                if not unqualified:
                    yield field.invalid(path, name, "must be a standard resource type or fully qualified")
                yield field.invalid(path, name, "must be a standard resource for quota")
            elif quantity.parse(amount) < 0:
                yield field.invalid(path, amount, rulewords.NOT_NEGATIVE)
        scopes = spec.get("scopes") or []
        if any(scope in scopes and f"Not{scope}" in scopes for scope in ("Terminating", "BestEffort")):
            yield field.invalid("spec.scopes", scopes, "conflicting scopes")


class LimitRangeStrategy(Strategy):
    """v1 LimitRange: the defaults follow from each other."""

    def default(self, obj: JSON) -> None:
        for limit in (obj.get("spec") or {}).get("limits") or ():
            for name in ("max", "min", "default", "defaultRequest"):
                if limit.get(name):
                    canonical_list(limit, name)
            if limit.get("type") != "Container":
                continue
            default = {**(limit.get("max") or {}), **(limit.get("default") or {})}
            request = {**(limit.get("min") or {}), **default, **(limit.get("defaultRequest") or {})}
            for name, value in (("default", default), ("defaultRequest", request)):
                if value:
                    limit[name] = value

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        for i, limit in enumerate((obj.get("spec") or {}).get("limits") or ()):
            path = f"spec.limits[{i}]"
            if limit.get("type") == "Pod":
                text = "may not be specified when `type` is 'Pod'"
                yield from (field.forbidden(f"{path}.{n}", text) for n in ("default", "defaultRequest") if limit.get(n))
                limit = {"min": limit.get("min"), "max": limit.get("max")}
            for low, high, at, said in _LIMIT_ORDER:
                lower, upper = limit.get(low) or {}, limit.get(high) or {}
                for name in lower.keys() & upper.keys():
                    if quantity.parse(lower[name]) > quantity.parse(upper[name]):
                        text = said.format(lower[name], upper[name])
                        yield field.invalid(f"{path}.{at}[{name}]", (limit[at])[name], text)


# (what may not be greater, than what, the field that is to blame, how it is said)
_LIMIT_ORDER = (
    ("min", "max", "min", "min value {} is greater than max value {}"),
    ("min", "defaultRequest", "defaultRequest", "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", "defaultRequest", "default request value {} is greater than max value {}"),
    ("defaultRequest", "default", "defaultRequest", "default request value {} is greater than default limit value {}"),
    ("min", "default", "default", "min value {} is greater than default value {}"),
    ("default", "max", "default", "default value {} is greater than max value {}"),
)


class EventStrategy(Strategy):
    """Events of both groups: kept for a while, hardly validated, so that saying something never fails."""

    def prepare_create(self, obj: JSON, ctx: Context) -> None:
        involved = (obj.get("involvedObject") or {}).get("namespace")
        if involved and obj["metadata"].get("namespace") != involved:
            obj["metadata"].setdefault("namespace", involved)

    def validate(self, obj: JSON) -> Iterator[FieldError]:
        involved = (obj.get("involvedObject") or {}).get("namespace")
        if involved and involved != obj["metadata"].get("namespace"):
            yield field.invalid("involvedObject.namespace", involved, "does not match event.namespace")
