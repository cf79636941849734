"""The rules of a PodSpec that its schema does not say, each with its field path and upstream's wording.

All faults are collected. The same rules hold for a pod and for every template of pods.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from apimachinery import field, quantity
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import names, placementrules

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROTOCOLS = ("SCTP", "TCP", "UDP")
_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_PORT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_ENV_NAME = re.compile(r"[ -<>-~]+")
_PORT_RANGE = "must be between 1 and 65535, inclusive"
_NAME_OF_A_LABEL = lru_cache(maxsize=4096)(names.dns_label)


def validate_spec(spec: JSON, path: str, *, restart_policies: tuple[str, ...] = RESTART_POLICIES) -> list[FieldError]:
    """Every fault of a PodSpec at `path`."""
    return list(_spec(spec, path, restart_policies))


def _spec(spec: JSON, path: str, restart_policies: tuple[str, ...]) -> Iterator[FieldError]:
    volumes: set[str] = set()
    for i, volume in enumerate(spec.get("volumes") or ()):
        yield from _volume(volume, f"{path}.volumes[{i}]", volumes)
    if not spec.get("containers"):
        yield field.required(f"{path}.containers")
    seen: set[str] = set()
    host_ports: set[tuple[str, str, int]] = set()
    for name in ("initContainers", "containers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(name) or ()):
            yield from _container(container, f"{path}.{name}[{i}]", volumes, seen)
            if name == "containers":
                yield from _host_ports(container, f"{path}.{name}[{i}]", host_ports)
            elif name == "initContainers":
                yield from _not_for_init(container, f"{path}.{name}[{i}]")
            if spec.get("hostNetwork"):
                yield from _same_ports(container, f"{path}.{name}[{i}]")
    yield from _supported(f"{path}.restartPolicy", spec.get("restartPolicy"), restart_policies)
    yield from _supported(f"{path}.dnsPolicy", spec.get("dnsPolicy"), DNS_POLICIES)
    yield from placementrules.faults(spec, path)
    yield from _dns(spec, path)
    for name in ("serviceAccountName", "priorityClassName", "runtimeClassName"):
        if spec.get(name):
            yield from (field.invalid(f"{path}.{name}", spec[name], text) for text in names.dns_subdomain(spec[name]))
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            yield from (field.invalid(f"{path}.{name}", spec[name], text) for text in names.dns_label(spec[name]))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        yield field.invalid(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        yield field.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0")


def _supported(path: str, value: str | None, valid: tuple[str, ...]) -> Iterator[FieldError]:
    if not value:
        yield field.required(path)
    elif value not in valid:
        yield field.not_supported(path, value, valid)


def _label(path: str, value: str | None) -> Iterator[FieldError]:
    if not value:
        yield field.required(path)
    else:
        yield from (field.invalid(path, value, text) for text in _NAME_OF_A_LABEL(value))


def _volume(volume: JSON, path: str, volumes: set[str]) -> Iterator[FieldError]:
    name = volume.get("name") or ""
    yield from _label(f"{path}.name", name)
    if name in volumes:
        yield field.duplicate(f"{path}.name", name)
    volumes.add(name)
    sources = [key for key, value in volume.items() if key != "name" and value is not None]
    if not sources:
        yield field.required(path, "must specify a volume type")
    for extra in sources[1:]:
        yield field.forbidden(f"{path}.{extra}", "may not specify more than 1 volume type")
    required = {
        "secret": "secretName", "configMap": "name", "hostPath": "path", "persistentVolumeClaim": "claimName",
    }  # fmt: skip
    for source in sources[:1]:
        if source in required and not volume[source].get(required[source]):
            yield field.required(f"{path}.{source}.{required[source]}")
    if ".." in ((volume.get("hostPath") or {}).get("path") or "").split("/"):
        yield field.invalid(f"{path}.hostPath.path", volume["hostPath"]["path"], "must not contain '..'")


def _container(container: JSON, path: str, volumes: set[str], seen: set[str]) -> Iterator[FieldError]:
    name = container.get("name") or ""
    yield from _label(f"{path}.name", name)
    if name in seen:
        yield field.duplicate(f"{path}.name", name)
    seen.add(name)
    image = container.get("image") or ""
    if not image:
        yield field.required(f"{path}.image")
    elif image != image.strip():
        yield field.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    yield from _supported(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), PULL_POLICIES)
    yield from _ports(container, path)
    for i, variable in enumerate(container.get("env") or ()):
        yield from _variable(variable, f"{path}.env[{i}]")
    mounted: set[str] = set()
    for i, mount in enumerate(container.get("volumeMounts") or ()):
        yield from _mount(mount, f"{path}.volumeMounts[{i}]", volumes, mounted)
    yield from resources_faults(container.get("resources") or {}, f"{path}.resources")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe):
            yield from _probe(container[probe], f"{path}.{probe}", readiness=probe == "readinessProbe")


def _ports(container: JSON, path: str) -> Iterator[FieldError]:
    named: set[str] = set()
    for i, port in enumerate(container.get("ports") or ()):
        where = f"{path}.ports[{i}]"
        name = port.get("name")
        if name:
            if len(name) > 15 or not _PORT_NAME.fullmatch(name) or not any(c.isalpha() for c in name) or "--" in name:
                text = (
                    "must be no more than 15 characters" if len(name) > 15 else
                    "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-), "
                    "with at least one letter (a-z)"
                )  # fmt: skip
                yield field.invalid(f"{where}.name", name, text)
            elif name in named:
                yield field.duplicate(f"{where}.name", name)
            named.add(name)
        if not port.get("containerPort"):
            yield field.required(f"{where}.containerPort")
        elif not 0 < port["containerPort"] < 65536:
            yield field.invalid(f"{where}.containerPort", port["containerPort"], _PORT_RANGE)
        if port.get("hostPort") and not 0 < port["hostPort"] < 65536:
            yield field.invalid(f"{where}.hostPort", port["hostPort"], _PORT_RANGE)
        yield from _supported(f"{where}.protocol", port.get("protocol"), PROTOCOLS)


def _host_ports(container: JSON, path: str, taken: set[tuple[str, str, int]]) -> Iterator[FieldError]:
    for i, port in enumerate(container.get("ports") or ()):
        if port.get("hostPort"):
            key = (port.get("hostIP") or "", port.get("protocol") or "TCP", port["hostPort"])
            if key in taken:
                yield field.duplicate(f"{path}.ports[{i}].hostPort", f"{key[1]}/{key[0]}/{key[2]}")
            taken.add(key)


def _same_ports(container: JSON, path: str) -> Iterator[FieldError]:
    for i, port in enumerate(container.get("ports") or ()):
        if port.get("hostPort") != port.get("containerPort"):
            text = "must match `hostPort` when `hostNetwork` is true"
            yield field.invalid(f"{path}.ports[{i}].containerPort", port.get("containerPort"), text)


def _not_for_init(container: JSON, path: str) -> Iterator[FieldError]:
    policy = container.get("restartPolicy")
    if policy == "Always":
        return  # a sidecar
    for name in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name):
            text = "may not be set for init containers without restartPolicy=Always"
            yield field.forbidden(f"{path}.{name}", text)


def _dns(spec: JSON, path: str) -> Iterator[FieldError]:
    if spec.get("dnsPolicy") != "None":
        return
    if spec.get("dnsConfig") is None:
        yield field.required(f"{path}.dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
    elif not spec["dnsConfig"].get("nameservers"):
        text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        yield field.required(f"{path}.dnsConfig.nameservers", text)


def _variable(variable: JSON, path: str) -> Iterator[FieldError]:
    name = variable.get("name") or ""
    if not name:
        yield field.required(f"{path}.name")
    elif not _ENV_NAME.fullmatch(name):
        text = "a valid environment variable name must consist only of printable ASCII characters other than '='"
        yield field.invalid(f"{path}.name", name, text)
    source = variable.get("valueFrom")
    if source is None:
        return
    given = [key for key, value in source.items() if value is not None]
    if variable.get("value"):
        yield field.invalid(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
    if not given:
        yield field.invalid(
            f"{path}.valueFrom", "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
            "`secretKeyRef`",
        )  # fmt: skip
    if len(given) > 1:
        yield field.invalid(f"{path}.valueFrom", "", "may not have more than one field specified at a time")


def _mount(mount: JSON, path: str, volumes: set[str], mounted: set[str]) -> Iterator[FieldError]:
    name = mount.get("name") or ""
    if not name:
        yield field.required(f"{path}.name")
    elif name not in volumes:
        yield field.not_found(f"{path}.name", name)
    where = mount.get("mountPath") or ""
    if not where:
        yield field.required(f"{path}.mountPath")
    elif where in mounted:
        yield field.invalid(f"{path}.mountPath", where, "must be unique")
    mounted.add(where)
    sub = mount.get("subPath") or ""
    if sub.startswith("/"):
        yield field.invalid(f"{path}.subPath", sub, "must be a relative path")
    elif ".." in sub.split("/"):
        yield field.invalid(f"{path}.subPath", sub, "must not contain '..'")


@lru_cache(maxsize=8192)
def _amount(text: str) -> tuple[bool, bool]:
    """(is it a quantity, is it not negative)"""
    try:
        return True, quantity.parse(text) >= 0
    except ValueError:
        return False, True


@lru_cache(maxsize=8192)
def _exceeds(request: str, limit: str) -> bool:
    return bool(quantity.parse(request) > quantity.parse(limit))


def resources_faults(resources: JSON, path: str) -> Iterator[FieldError]:
    """Faults of ResourceRequirements: quantities, names, and requests within limits."""
    limits = resources.get("limits") or {}
    for part in ("limits", "requests"):
        for name, value in (resources.get(part) or {}).items():
            where, text = f"{path}.{part}[{name}]", str(value)
            valid, positive = _amount(text)
            if not valid:
                pattern = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
                yield field.invalid(where, text, f"quantities must match the regular expression '{pattern}'")
                continue
            if not positive:
                yield field.invalid(where, text, "must be greater than or equal to 0")
            if name not in _STANDARD_RESOURCES and "/" not in name and not name.startswith("hugepages-"):
                yield field.invalid(where, name, "must be a standard resource type or fully qualified")
            limited = part == "requests" and name in limits and _amount(str(limits[name]))[0]
            if limited and _exceeds(text, str(limits[name])):
                detail = f"must be less than or equal to {name} limit of {limits[name]}"
                yield field.invalid(f"{path}.requests", text, detail)


def _probe(probe: JSON, path: str, *, readiness: bool) -> Iterator[FieldError]:
    handlers = [name for name in ("exec", "httpGet", "tcpSocket", "grpc") if probe.get(name) is not None]
    if not handlers:
        yield field.required(path, "must specify a handler type")
    for extra in handlers[1:]:
        yield field.forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if (probe.get(name) or 0) < 0:
            yield field.invalid(f"{path}.{name}", probe[name], "must be greater than or equal to 0")
    if not readiness and probe.get("successThreshold", 1) != 1:
        yield field.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
    if probe.get("exec") is not None and not probe["exec"].get("command"):
        yield field.required(f"{path}.exec.command")
