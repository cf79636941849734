"""A container's environment: its own variables, those from ConfigMaps, Secrets and pod fields, and the Services'.

Everything here is pure: the objects that variables refer to are handed in by `Sources`. A reference that can't be
resolved raises ConfigError, which shows as CreateContainerConfigError on the container.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from apimachinery import meta, quantity
from apimachinery.meta import JSON

from .resources import limits_of, requests_of

_REFERENCE = re.compile(r"\$(\$|\(([^()]*)\))")
_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


class ConfigError(Exception):
    """The container can't be configured as its spec says; the message is shown to users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where values come from. `config_map` and `secret` give an object by name or None; both in the pod's namespace."""

    config_map: Callable[[str], JSON | None]
    secret: Callable[[str], JSON | None]
    services: Iterable[JSON]
    pod_ips: tuple[str, ...]
    host_ips: tuple[str, ...]
    node_allocatable: Mapping[str, str]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace $(NAME) by its value, leave unknown references as they are, $$ stands for one $."""

    def value(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def build(pod: JSON, container: JSON, sources: Sources) -> dict[str, str]:
    """All variables of a container, in order of increasing precedence: Services, envFrom, env."""
    variables: dict[str, str] = {}
    services = service_variables(
        sources.services, meta.namespace(pod), pod["spec"].get("enableServiceLinks", True) is not False
    )
    for source in container.get("envFrom") or []:
        variables.update(_from_whole(source, sources))
    scope = {**services, **variables}
    for entry in container.get("env") or []:
        value = _value(pod, container, entry, sources, scope)
        if value is not None:
            variables[entry["name"]] = scope[entry["name"]] = value
    return {**services, **variables}


def _from_whole(source: JSON, sources: Sources) -> dict[str, str]:
    prefix = source.get("prefix", "")
    for field, noun in (("configMapRef", "configmap"), ("secretRef", "secret")):
        if (ref := source.get(field)) is not None:
            obj = sources.config_map(ref["name"]) if noun == "configmap" else sources.secret(ref["name"])
            if obj is None:
                if ref.get("optional"):
                    return {}
                raise ConfigError(f'{noun} "{ref["name"]}" not found')
            return {prefix + key: value for key, value in text_data(obj, secret=noun == "secret").items()}
    return {}


def text_data(obj: JSON, *, secret: bool) -> dict[str, str]:
    """A ConfigMap's data, or a Secret's, decoded, as text."""
    if not secret:
        return dict(obj.get("data") or {})
    return {key: value.decode(errors="replace") for key, value in binary_data(obj, "data").items()}


def binary_data(obj: JSON, field: str) -> dict[str, bytes]:
    """The base64 map in `field`."""
    return {key: base64.b64decode(value or "") for key, value in (obj.get(field) or {}).items()}


def _value(pod: JSON, container: JSON, entry: JSON, sources: Sources, scope: Mapping[str, str]) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(entry.get("value") or "", scope)
    if "fieldRef" in source:
        path = source["fieldRef"]["fieldPath"]
        return field_value(pod, path, sources)
    if "resourceFieldRef" in source:
        return resource_value(pod, container, source["resourceFieldRef"], sources.node_allocatable)
    for field, noun in (("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")):
        if field in source:
            return _key_value(pod, source[field], noun, sources)
    return ""


def _key_value(pod: JSON, ref: JSON, noun: str, sources: Sources) -> str | None:
    secret = noun == "secret"
    obj = sources.secret(ref["name"]) if secret else sources.config_map(ref["name"])
    if obj is None:
        if ref.get("optional"):
            return None
        raise ConfigError(f'{noun} "{ref["name"]}" not found')
    data = text_data(obj, secret=secret)
    if ref["key"] not in data:
        if ref.get("optional"):
            return None
        kind = "Secret" if secret else "ConfigMap"
        raise ConfigError(f"couldn't find key {ref['key']} in {kind} {meta.namespace(pod)}/{ref['name']}")
    return data[ref["key"]]


def needs_pod_ip(container: JSON) -> bool:
    """Whether a variable shows the pod's address, so that it can be built only once the network is there."""
    for entry in container.get("env") or []:
        path = ((entry.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath", "")
        if path.startswith("status.podIP"):
            return True
    return False


def field_value(pod: JSON, path: str, sources: Sources) -> str:
    """A downward API field of the pod as text."""
    if match := _SUBSCRIPT.match(path):
        table = meta.labels(pod) if match[1] == "labels" else meta.annotations(pod)
        return str(table.get(match[2], ""))
    metadata, spec = pod["metadata"], pod["spec"]
    simple: dict[str, Callable[[], str]] = {
        "metadata.name": lambda: metadata["name"],
        "metadata.namespace": lambda: metadata.get("namespace", ""),
        "metadata.uid": lambda: metadata.get("uid", ""),
        "metadata.labels": lambda: format_map(meta.labels(pod)),
        "metadata.annotations": lambda: format_map(meta.annotations(pod)),
        "spec.nodeName": lambda: spec.get("nodeName", ""),
        "spec.serviceAccountName": lambda: spec.get("serviceAccountName", ""),
        "status.hostIP": lambda: sources.host_ips[0] if sources.host_ips else "",
        "status.hostIPs": lambda: ",".join(sources.host_ips),
        "status.podIP": lambda: sources.pod_ips[0] if sources.pod_ips else "",
        "status.podIPs": lambda: ",".join(sources.pod_ips),
    }
    if path not in simple:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return simple[path]()


def format_map(table: Mapping[str, str]) -> str:
    """Labels or annotations as a downward API file shows them: key="value", sorted, a line each."""
    lines = []
    for key in sorted(table):
        escaped = table[key].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'{key}="{escaped}"')
    return "\n".join(lines)


def resource_value(pod: JSON, container: JSON, ref: JSON, allocatable: Mapping[str, str]) -> str:
    """A container's request or limit in units of the divisor, rounded up; a missing limit is the node's allocatable."""
    target = container
    if name := ref.get("containerName"):
        spec = pod["spec"]
        everyone = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
        found = [c for c in everyone if c["name"] == name]
        if not found:
            raise ConfigError(f"container {name} not found")
        target = found[0]
    kind, _, resource = ref["resource"].partition(".")
    amount = (limits_of(target) if kind == "limits" else requests_of(target)).get(resource)
    if amount is None:
        amount = allocatable.get(resource, "0") if kind == "limits" else "0"
    divisor = ref.get("divisor") or "1"
    if quantity.milli(divisor) == 0:
        divisor = "1"
    return str(-(-quantity.milli(amount) // quantity.milli(divisor)))


def service_variables(services: Iterable[JSON], namespace: str, links: bool) -> dict[str, str]:
    """The variables of the namespace's Services (when linked) and always those of the API server's own."""
    variables: dict[str, str] = {}
    for service in sorted(services, key=meta.key):
        master = meta.namespace(service) == "default" and meta.name(service) == "kubernetes"
        if not master and not (links and meta.namespace(service) == namespace):
            continue
        address = service["spec"].get("clusterIP")
        if address and address != "None":
            variables.update(_of_service(service, address))
    return variables


def _of_service(service: JSON, address: str) -> dict[str, str]:
    ports = service["spec"].get("ports") or []
    if not ports:
        return {}
    prefix = meta.name(service).upper().replace("-", "_")
    variables = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    first = ports[0]
    variables[f"{prefix}_PORT"] = f"{first.get('protocol', 'TCP').lower()}://{address}:{first['port']}"
    for port in ports:
        if port.get("name"):
            variables[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
        protocol = port.get("protocol", "TCP")
        stem = f"{prefix}_PORT_{port['port']}_{protocol}"
        variables |= {
            stem: f"{protocol.lower()}://{address}:{port['port']}",
            f"{stem}_PROTO": protocol.lower(),
            f"{stem}_PORT": str(port["port"]),
            f"{stem}_ADDR": address,
        }
    return variables
