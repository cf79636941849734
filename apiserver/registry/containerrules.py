"""The rules of one container of a pod: its name, ports, environment, mounts, resources, probes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from apimachinery import field, quantity
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import rulewords

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROFILE_TYPES = ("Localhost", "RuntimeDefault", "Unconfined")
ID_RANGE = "must be between 0 and 2147483647, inclusive"
_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_PROBE_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_ENV_NAME = re.compile(r"[ -<>-~]+")
_ENV_TEXT = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_FIELD_PATH = re.compile(
    r"(metadata\.(name|namespace|uid|(labels|annotations)(\['.+'\])?)|spec\.(nodeName|serviceAccountName)"
    r"|status\.(hostIPs?|podIPs?|phase))"
)


def faults(container: JSON, path: str, volumes: set[str], seen: set[str]) -> Iterator[FieldError]:
    """Every fault of a container at `path`; `seen` are the names that are taken."""
    name = container.get("name") or ""
    yield from rulewords.label(f"{path}.name", name)
    if name in seen:
        yield field.duplicate(f"{path}.name", name)
    seen.add(name)
    image = container.get("image") or ""
    if not image:
        yield field.required(f"{path}.image")
    elif image != image.strip():
        yield field.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    policy = container.get("imagePullPolicy")
    if policy not in PULL_POLICIES:
        yield from rulewords.supported(f"{path}.imagePullPolicy", policy, PULL_POLICIES)
    if container.get("terminationMessagePolicy") not in (None, "File", "FallbackToLogsOnError"):
        text = "must be 'File' or 'FallbackToLogsOnError'"
        yield field.invalid(f"{path}.terminationMessagePolicy", container["terminationMessagePolicy"], text)
    if container.get("ports"):
        yield from _ports(container["ports"], f"{path}.ports")
    if container.get("env") or container.get("envFrom"):
        yield from _environment(container, path)
    if container.get("volumeMounts"):
        yield from _mounts(container, f"{path}.volumeMounts", volumes)
    if container.get("resources"):
        yield from resources_faults(container["resources"], f"{path}.resources")
    if container.get("securityContext"):
        yield from _security(container["securityContext"], f"{path}.securityContext")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe) is not None:
            yield from _probe(container[probe], f"{path}.{probe}", readiness=probe == "readinessProbe")
    for hook, action in (container.get("lifecycle") or {}).items():
        if action is not None and hook != "stopSignal":
            yield from _handler(action, f"{path}.lifecycle.{hook}")


def not_for_init(container: JSON, path: str) -> Iterator[FieldError]:
    """What only containers that go on running may have."""
    if container.get("restartPolicy") == "Always":
        return  # a sidecar
    for name in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name) is not None:
            text = "may not be set for init containers without restartPolicy=Always"
            yield field.forbidden(f"{path}.{name}", text)


def _ports(ports: list[JSON], path: str) -> Iterator[FieldError]:
    named: set[str] = set()
    for i, port in enumerate(ports):
        where, name = f"{path}[{i}]", port.get("name")
        if name:
            yield from rulewords.port_name(f"{where}.name", name)
            if name in named:
                yield field.duplicate(f"{where}.name", name)
            named.add(name)
        if not port.get("containerPort"):
            yield field.required(f"{where}.containerPort")
        else:
            yield from rulewords.port_number(f"{where}.containerPort", port["containerPort"])
        if port.get("hostPort"):
            yield from rulewords.port_number(f"{where}.hostPort", port["hostPort"])
        yield from rulewords.supported(f"{where}.protocol", port.get("protocol"), rulewords.PROTOCOLS)


def _environment(container: JSON, path: str) -> Iterator[FieldError]:
    for i, variable in enumerate(container.get("env") or ()):
        where, name = f"{path}.env[{i}]", variable.get("name") or ""
        if not name:
            yield field.required(f"{where}.name")
        elif not _ENV_NAME.fullmatch(name):
            yield field.invalid(f"{where}.name", name, _ENV_TEXT)
        if variable.get("valueFrom") is not None:
            yield from _value_source(variable, f"{where}.valueFrom")
    for i, source in enumerate(container.get("envFrom") or ()):
        where = f"{path}.envFrom[{i}]"
        if source.get("prefix") and not _ENV_NAME.fullmatch(source["prefix"]):
            yield field.invalid(f"{where}.prefix", source["prefix"], _ENV_TEXT)
        given = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
        if not given:
            yield field.invalid(f"{path}.envFrom", "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(given) > 1:
            yield field.invalid(f"{path}.envFrom", "", "may not have more than one field specified at a time")
        else:
            name = source[given[0]].get("name") or ""
            yield from (
                rulewords.subdomain(f"{where}.{given[0]}.name", name)
                if name
                else (field.required(f"{where}.{given[0]}.name"),)
            )


def _value_source(variable: JSON, path: str) -> Iterator[FieldError]:
    given = [key for key, value in variable["valueFrom"].items() if value is not None]
    if variable.get("value"):
        yield field.invalid(path, "", "may not be specified when `value` is not empty")
    if not given:
        text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        yield field.invalid(path, "", text)
    if len(given) > 1:
        yield field.invalid(path, "", "may not have more than one field specified at a time")
    wanted = (variable["valueFrom"].get("fieldRef") or {}).get("fieldPath")
    if wanted and not _FIELD_PATH.fullmatch(wanted):
        text = f"error converting fieldPath: field label not supported: {wanted}"
        yield field.invalid(f"{path}.fieldRef.fieldPath", wanted, text)


def _mounts(container: JSON, path: str, volumes: set[str]) -> Iterator[FieldError]:
    mounted: set[str] = set()
    for i, mount in enumerate(container["volumeMounts"]):
        at, name = f"{path}[{i}]", mount.get("name") or ""
        if not name:
            yield field.required(f"{at}.name")
        elif name not in volumes:
            yield field.not_found(f"{at}.name", name)
        where = mount.get("mountPath") or ""
        if not where:
            yield field.required(f"{at}.mountPath")
        elif where in mounted:
            yield field.invalid(f"{at}.mountPath", where, "must be unique")
        mounted.add(where)
        sub = mount.get("subPath") or ""
        if sub.startswith("/"):
            yield field.invalid(f"{path}.subPath", sub, "must be a relative path")
        elif ".." in sub.split("/"):
            yield field.invalid(f"{path}.subPath", sub, "must not contain '..'")
        propagation = mount.get("mountPropagation")
        if propagation:
            yield from rulewords.one_of(f"{path}.mountPropagation", propagation, _PROPAGATIONS)
        if propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
            text = "Bidirectional mount propagation is available only to privileged containers"
            yield field.forbidden(f"{path}.mountPropagation", text)


@lru_cache(maxsize=8192)
def _amount(text: str) -> tuple[bool, bool]:
    """Is it not negative, and is it whole?"""
    amount = quantity.parse(text)
    return amount >= 0, amount.denominator == 1


@lru_cache(maxsize=8192)
def _exceeds(request: str, limit: str) -> bool:
    return bool(quantity.parse(request) > quantity.parse(limit))


def resources_faults(resources: JSON, path: str) -> Iterator[FieldError]:
    """Faults of ResourceRequirements in canonical form: names, signs, and requests within limits."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, value in amounts.items():
            where = f"{path}.{part}[{name}]"
            positive, whole = _amount(value)
            if name not in _STANDARD_RESOURCES:
                yield from _other_resource(name, value, where, whole=whole)
            if not positive:
                yield field.invalid(where, value, "must be greater than or equal to 0")
    for name, value in requests.items():
        extended = "/" in name and name.partition("/")[0] not in ("kubernetes.io",)
        if name in limits:
            if extended and value != limits[name]:
                text = f"must be equal to {name} limit of {limits[name]}"
                yield field.invalid(f"{path}.requests", value, text)
            elif _exceeds(value, limits[name]):
                text = f"must be less than or equal to {name} limit of {limits[name]}"
                yield field.invalid(f"{path}.requests", value, text)
        elif extended:
            yield field.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
    named = limits.keys() | requests.keys()
    if any(name.startswith("hugepages-") for name in named) and not named & {"cpu", "memory"}:
        yield field.forbidden(path, "HugePages require cpu or memory")


def _other_resource(name: str, value: str, path: str, *, whole: bool) -> Iterator[FieldError]:
    if "/" in name:
        yield from rulewords.qualified(path, name)
        if not whole:
            yield field.invalid(path, value, "must be an integer")
    elif not name.startswith("hugepages-"):
        yield field.invalid(path, name, "must be a standard resource type or fully qualified")
        yield field.invalid(path, name, "must be a standard resource for containers")


def _security(context: JSON, path: str) -> Iterator[FieldError]:
    for name in ("runAsUser", "runAsGroup"):
        if context.get(name) is not None and not 0 <= context[name] < 2**31:
            yield field.invalid(f"{path}.{name}", context[name], ID_RANGE)
    yield from confinement(context, path)
    if context.get("allowPrivilegeEscalation") is False:
        cannot = "cannot set `allowPrivilegeEscalation` to false and"
        if context.get("privileged"):
            yield field.invalid(path, context, f"{cannot} `privileged` to true")
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            yield field.invalid(path, context, f"{cannot} `capabilities.Add` CAP_SYS_ADMIN")


def confinement(context: JSON, path: str) -> Iterator[FieldError]:
    """The profiles that a pod or a container asks to be confined by; one of the node is named below a folder of it."""
    for name, noun in (("seccompProfile", "seccomp"), ("appArmorProfile", "AppArmor")):
        profile = context.get(name)
        if profile is None:
            continue
        kind, local, where = profile.get("type"), profile.get("localhostProfile"), f"{path}.{name}.localhostProfile"
        if not kind:
            yield field.required(f"{path}.{name}.type", f"type is required when {name} is set")
        elif kind not in PROFILE_TYPES:
            yield field.not_supported(f"{path}.{name}.type", kind, PROFILE_TYPES)
        elif kind != "Localhost" and local is not None:
            yield field.invalid(where, local, f"can only be set when {noun} type is Localhost")
        elif kind == "Localhost" and not local:
            yield field.required(where, f"must be set when {noun} type is Localhost")
        elif kind == "Localhost" and local.startswith("/"):
            yield field.invalid(where, local, "must be a relative path")
        elif kind == "Localhost" and ".." in local.split("/"):
            yield field.invalid(where, local, "must not contain '..'")


def _handler(action: JSON, path: str) -> Iterator[FieldError]:
    """What a probe or a hook does: exactly one thing."""
    handlers = [name for name in _HANDLERS if action.get(name) is not None]
    if not handlers:
        yield field.required(path, "must specify a handler type")
    for extra in handlers[1:]:
        yield field.forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    for name in handlers[:1]:
        if name == "exec" and not action["exec"].get("command"):
            yield field.required(f"{path}.exec.command")
        elif name in ("httpGet", "tcpSocket", "grpc"):
            yield from rulewords.port(f"{path}.{name}.port", action[name].get("port"))


def _probe(probe: JSON, path: str, *, readiness: bool) -> Iterator[FieldError]:
    yield from _handler(probe, path)
    yield from rulewords.not_negative(f"{path}.", probe, *_PROBE_NUMBERS)
    if not readiness and probe.get("successThreshold", 1) != 1:
        yield field.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
