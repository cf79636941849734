"""The rules of a PodSpec that its schema does not say, each with its field path and upstream's wording.

All faults are collected. The same rules hold for a pod and for every template of pods; what concerns one container is
in `containerrules`, where a pod may run in `placementrules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from apimachinery import field, quantity
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import containerrules, placementrules, rulewords

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_SYSCTL_LENGTH_MAX = 253
_NAMESERVERS_LIMIT = 3
# What a volume's source can't do without.
_NEEDED = {"secret": "secretName", "configMap": "name", "hostPath": "path", "persistentVolumeClaim": "claimName"}
_NAMED_AS_SUBDOMAINS = ("nodeName", "serviceAccountName", "priorityClassName", "runtimeClassName")
# Each group of fields that few pods have is looked at only if one of them is there.
_RARE = frozenset({"hostAliases", "readinessGates", "shareProcessNamespace", "dnsConfig"})


def faults(
    spec: JSON, path: str, *, restart_policies: tuple[str, ...] = RESTART_POLICIES, claims: Iterable[str] = ()
) -> Iterator[FieldError]:
    """Every fault of a PodSpec at `path`. `claims` are volumes that its pods will have besides (StatefulSets)."""
    volumes: set[str] = set()
    for i, volume in enumerate(spec.get("volumes") or ()):
        yield from _volume(volume, f"{path}.volumes[{i}]", volumes, spec)
    volumes.update(claims)
    if not spec.get("containers"):
        yield field.required(f"{path}.containers")
    yield from _containers(spec, path, volumes)
    if spec.get("restartPolicy") not in restart_policies:
        yield from rulewords.supported(f"{path}.restartPolicy", spec.get("restartPolicy"), restart_policies)
    if spec.get("dnsPolicy") not in DNS_POLICIES:
        yield from rulewords.supported(f"{path}.dnsPolicy", spec.get("dnsPolicy"), DNS_POLICIES)
    yield from placementrules.faults(spec, path)
    if spec.get("dnsPolicy") == "None" or not _RARE.isdisjoint(spec):
        yield from _rare(spec, path)
    if spec.get("securityContext"):
        yield from _security(spec["securityContext"], f"{path}.securityContext")
    for name in _NAMED_AS_SUBDOMAINS:
        if spec.get(name):
            yield from rulewords.subdomain(f"{path}.{name}", spec[name])
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            yield from rulewords.label(f"{path}.{name}", spec[name])
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        yield field.invalid(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")


def _containers(spec: JSON, path: str, volumes: set[str]) -> Iterator[FieldError]:
    seen: set[str] = set()
    taken: set[tuple[str, str, int]] = set()
    for name in ("containers", "initContainers", "ephemeralContainers"):
        for i, container in enumerate(spec.get(name) or ()):
            where = f"{path}.{name}[{i}]"
            yield from containerrules.faults(container, where, volumes, seen)
            if name == "containers":
                yield from _host_ports(container, where, taken)
            elif name == "initContainers":
                yield from containerrules.not_for_init(container, where)
            if spec.get("hostNetwork"):
                yield from _same_ports(container, where)


def _volume(volume: JSON, path: str, volumes: set[str], spec: JSON) -> Iterator[FieldError]:
    name = volume.get("name") or ""
    yield from rulewords.label(f"{path}.name", name)
    if name in volumes:
        yield field.duplicate(f"{path}.name", name)
    volumes.add(name)
    sources = [key for key, value in volume.items() if key != "name" and value is not None]
    if not sources:
        yield field.required(path, "must specify a volume type")
    for extra in sources[1:]:
        yield field.forbidden(f"{path}.{extra}", "may not specify more than 1 volume type")
    for source in sources[:1]:
        if source in _NEEDED and not volume[source].get(_NEEDED[source]):
            yield field.required(f"{path}.{source}.{_NEEDED[source]}")
    if ".." in ((volume.get("hostPath") or {}).get("path") or "").split("/"):
        yield field.invalid(f"{path}.hostPath.path", volume["hostPath"]["path"], "must not contain '..'")
    limit = (volume.get("emptyDir") or {}).get("sizeLimit")
    if limit is not None and quantity.parse(limit) < 0:
        yield field.forbidden(f"{path}.emptyDir.sizeLimit", "SizeLimit field must be a valid resource quantity")
    for i, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
        if source.get("serviceAccountToken") is not None and not spec.get("serviceAccountName"):
            where = f"{path}.projected.sources[{i}].serviceAccountToken"
            yield field.forbidden(where, "must not be specified when serviceAccountName is not set")


def _host_ports(container: JSON, path: str, taken: set[tuple[str, str, int]]) -> Iterator[FieldError]:
    for i, port in enumerate(container.get("ports") or ()):
        if port.get("hostPort"):
            key = (port.get("hostIP") or "", port.get("protocol") or "TCP", port["hostPort"])
            if key in taken:
                yield field.duplicate(f"{path}.ports[{i}].hostPort", f"{key[1]}/{key[0]}/{key[2]}")
            taken.add(key)


def _same_ports(container: JSON, path: str) -> Iterator[FieldError]:
    for i, port in enumerate(container.get("ports") or ()):
        # 0: a template's, which its pods will get
        if port.get("hostPort") and port["hostPort"] != port.get("containerPort"):
            text = "must match `hostPort` when `hostNetwork` is true"
            yield field.invalid(f"{path}.ports[{i}].containerPort", port.get("containerPort"), text)


def _security(context: JSON, path: str) -> Iterator[FieldError]:
    for name in ("fsGroup", "runAsUser", "runAsGroup"):
        if context.get(name) is not None and not 0 <= context[name] < 2**31:
            yield field.invalid(f"{path}.{name}", context[name], containerrules.ID_RANGE)
    for i, group in enumerate(context.get("supplementalGroups") or ()):
        if not 0 <= group < 2**31:
            yield field.invalid(f"{path}.supplementalGroups[{i}]", group, containerrules.ID_RANGE)
    yield from containerrules.confinement(context, path)
    names: set[str] = set()
    for i, sysctl in enumerate(context.get("sysctls") or ()):
        name = sysctl.get("name") or ""
        if not name:
            yield field.required(f"{path}.sysctls[{i}].name")
        elif len(name) > _SYSCTL_LENGTH_MAX or not _SYSCTL.fullmatch(name):
            text = f"must have at most {_SYSCTL_LENGTH_MAX} characters and match regex ^{_SYSCTL.pattern}$"
            yield field.invalid(f"{path}.sysctls[{i}].name", name, text)
        elif name in names:
            yield field.duplicate(f"{path}.sysctls[{i}].name", name)
        names.add(name)


def _rare(spec: JSON, path: str) -> Iterator[FieldError]:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            yield field.required(f"{path}.dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
        elif not config.get("nameservers"):
            text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield field.required(f"{path}.dnsConfig.nameservers", text)
    servers = (config or {}).get("nameservers") or []
    if len(servers) > _NAMESERVERS_LIMIT:
        text = f"must not have more than {_NAMESERVERS_LIMIT} nameservers"
        yield field.invalid(f"{path}.dnsConfig.nameservers", servers, text)
    for i, server in enumerate(servers):
        yield from rulewords.address(f"{path}.dnsConfig.nameservers[{i}]", server)
    for i, domain in enumerate((config or {}).get("searches") or ()):
        if domain != ".":
            searched = domain.removesuffix(".").replace("_", "-")  # names of SRV records are searched too
            yield from rulewords.subdomain(f"{path}.dnsConfig.searches[{i}]", searched)
    for alias in spec.get("hostAliases") or ():
        yield from rulewords.address(f"{path}.hostAliases.ip", alias.get("ip") or "")
        for hostname in alias.get("hostnames") or ():
            yield from rulewords.subdomain(f"{path}.hostAliases.hostnames", hostname)
    for i, gate in enumerate(spec.get("readinessGates") or ()):
        yield from rulewords.qualified(f"{path}.readinessGates[{i}].conditionType", gate.get("conditionType") or "")
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield field.invalid(f"{path}.securityContext.shareProcessNamespace", True, text)
