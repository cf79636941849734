"""What is in a ConfigMap, Secret, downward API or projected volume: relative paths with content and mode.

Pure: objects and tokens are looked up before, by the names that `references` and `token_requests` say.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from apimachinery import meta
from apimachinery.meta import JSON

from ..container_config import effective_security
from ..environment import Sources, binary_data, field_value, resource_value
from ..plan import all_containers
from .writer import File

DEFAULT_MODE = 0o644
TOKEN_SECONDS_DEFAULT = 3600
KINDS = {"configMap": "ConfigMap", "secret": "Secret"}


class VolumeError(Exception):
    """A volume can't be set up; `volume` names it, the message goes to the FailedMount event."""

    def __init__(self, message: str, *, volume: str = "") -> None:
        super().__init__(message)
        self.volume = volume


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A service account token that a projected volume asks for."""

    audience: str
    expiration_seconds: int


def sources_of(volume: JSON) -> tuple[list[JSON], int] | None:
    """The volume as a list of projected sources with their default mode; None for other volumes."""
    if "projected" in volume:
        projected = volume["projected"]
        return projected.get("sources") or [], projected.get("defaultMode", DEFAULT_MODE)
    for name in ("configMap", "secret", "downwardAPI"):
        if name in volume:
            source = dict(volume[name] or {})
            if name == "secret":
                source["name"] = source.get("secretName", "")
            return [{name: source}], source.get("defaultMode", DEFAULT_MODE)
    return None


def references(pod: JSON) -> set[tuple[str, str]]:
    """(kind, name) of every ConfigMap and Secret that the pod's volumes, environment and image pulls name."""
    found = {("Secret", reference.get("name", "")) for reference in pod["spec"].get("imagePullSecrets") or []}
    for volume in pod["spec"].get("volumes") or []:
        listed = sources_of(volume)
        for source in listed[0] if listed else []:
            for field, kind in KINDS.items():
                if field in source:
                    found.add((kind, source[field].get("name", "")))
    spec = pod["spec"]
    for container in all_containers(spec):
        for entry in container.get("envFrom") or []:
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if field in entry:
                    found.add((kind, entry[field].get("name", "")))
        for entry in container.get("env") or []:
            source = entry.get("valueFrom") or {}
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if field in source:
                    found.add((kind, source[field].get("name", "")))
    return found


def token_requests(volume: JSON) -> list[TokenRequest]:
    """The tokens a volume projects."""
    listed = sources_of(volume)
    return (
        [token_request(source["serviceAccountToken"]) for source in listed[0] if "serviceAccountToken" in source]
        if listed
        else []
    )


def token_request(source: JSON) -> TokenRequest:
    """One projection as a request."""
    return TokenRequest(source.get("audience", ""), int(source.get("expirationSeconds") or TOKEN_SECONDS_DEFAULT))


def build(pod: JSON, volume: JSON, sources: Sources, tokens: Mapping[TokenRequest, str]) -> dict[str, File]:
    """The files of a volume. Raises VolumeError for a missing object or key that is not optional."""
    listed = sources_of(volume)
    assert listed is not None, "not a volume of files"
    payload: dict[str, File] = {}
    for source in listed[0]:
        if "serviceAccountToken" in source:
            wanted = source["serviceAccountToken"]
            payload[wanted["path"]] = _token(pod, tokens[token_request(wanted)], listed[1])
        elif "downwardAPI" in source:
            payload.update(_downward(pod, source["downwardAPI"], sources, listed[1]))
        for field in KINDS:
            if field in source:
                payload.update(_object(pod, source[field], field, sources, listed[1]))
    return payload


def _token(pod: JSON, token: str, mode: int) -> File:
    """A token is for its pod's one user, or its group, where there is such; else by the volume's mode."""
    users = {effective_security(pod, container).get("runAsUser") for container in all_containers(pod["spec"])}
    user = users.pop() if len(users) == 1 else None
    group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    return File(token.encode(), mode if user is None and group is None else 0o600, user)


def _object(pod: JSON, ref: JSON, field: str, sources: Sources, mode: int) -> dict[str, File]:
    name, noun = ref.get("name", ""), field.lower()
    obj = sources.secret(name) if field == "secret" else sources.config_map(name)
    if obj is None:
        if ref.get("optional"):
            return {}
        raise VolumeError(f'{noun} "{name}" not found')
    data = binary_data(obj, "data") if field == "secret" else config_map_data(obj)
    if not ref.get("items"):
        return {key: File(value, mode) for key, value in data.items()}
    payload = {}
    for item in ref["items"]:
        if item["key"] in data:
            payload[item["path"]] = File(data[item["key"]], item.get("mode", mode))
        elif not ref.get("optional"):
            kind = "secret" if field == "secret" else "config"
            raise VolumeError(f"references non-existent {kind} key: {item['key']}")
    return payload


def config_map_data(obj: JSON) -> dict[str, bytes]:
    """data and binaryData together."""
    return {key: value.encode() for key, value in (obj.get("data") or {}).items()} | binary_data(obj, "binaryData")


def _downward(pod: JSON, source: JSON, sources: Sources, mode: int) -> dict[str, File]:
    payload = {}
    for item in source.get("items") or []:
        if "fieldRef" in item:
            text = field_value(pod, item["fieldRef"]["fieldPath"], sources)
        else:
            ref = item["resourceFieldRef"]
            named = [c for c in all_containers(pod["spec"]) if c["name"] == ref.get("containerName")]
            if not named:
                raise VolumeError(f"container {ref.get('containerName')!r} of {meta.name(pod)} not found")
            text = resource_value(pod, named[0], ref, sources.node_allocatable)
        payload[item["path"]] = File(text.encode(), item.get("mode", mode))
    return payload
