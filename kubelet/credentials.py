"""Which user names and passwords a pod's pull secrets have for an image.

Pure. A secret is a Docker configuration (`kubernetes.io/dockerconfigjson`, or the legacy `kubernetes.io/dockercfg`): a
table of registries, each with `auth` or `username` and `password`. The rules of matching are upstream's keyring: a key
is a host, with `*` inside its dot-separated parts, and perhaps a port and a path that the image's name begins with; of
several the longest comes first, and each is tried in turn. What is read here is never logged.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from apimachinery.meta import JSON

DEFAULT_REGISTRY = "index.docker.io"
SECRET_KEYS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}


@dataclass(frozen=True, slots=True)
class Credential:
    """One user of one registry; its repr shows no password."""

    username: str
    password: str = field(repr=False)

    def header(self) -> str:
        """The value of Docker's X-Registry-Auth."""
        body = json.dumps({"username": self.username, "password": self.password})
        return base64.urlsafe_b64encode(body.encode()).decode()


def lookup(image: str, secrets: Iterable[JSON]) -> list[Credential]:
    """What to try for an image, the best match first, without repetitions; what can't be read is left out."""
    keyring: dict[str, list[Credential]] = {}
    for secret in secrets:
        for registry, entry in _registries(secret).items():
            if (credential := _credential(entry)) is not None:
                keyring.setdefault(_key(registry), []).append(credential)
    found = [one for key in sorted(keyring, reverse=True) if _matches(key, image) for one in keyring[key]]
    if not found and _default_registry(image):
        found = keyring.get(DEFAULT_REGISTRY, [])
    return list(dict.fromkeys(found))


def _registries(secret: JSON) -> JSON:
    name = SECRET_KEYS.get(secret.get("type") or "", "")
    try:
        table = json.loads(base64.b64decode((secret.get("data") or {}).get(name) or ""))
        table = table.get("auths") if name == ".dockerconfigjson" else table
    except (ValueError, AttributeError):
        return {}
    return table if isinstance(table, dict) else {}


def _credential(entry: Any) -> Credential | None:
    if not isinstance(entry, dict):
        return None
    username, password = entry.get("username") or "", entry.get("password") or ""
    if auth := entry.get("auth"):
        try:
            username, colon, password = base64.b64decode(auth).decode().rstrip("\0").partition(":")
        except (binascii.Error, UnicodeDecodeError, TypeError):
            return None
        if not colon:
            return None
    return Credential(str(username), str(password)) if username or password else None


def _key(registry: str) -> str:
    """Host, port and path of a registry's name; /v1/ and /v2/ mean the whole host."""
    parsed = urlsplit(registry if registry.startswith(("http://", "https://")) else f"https://{registry}")
    path = parsed.path[3:] if parsed.path.startswith(("/v1/", "/v2/")) else parsed.path
    return parsed.netloc + (path if path != "/" else "")


def _matches(key: str, image: str) -> bool:
    host, slash, path = key.partition("/")
    image_host, _, image_path = image.partition("/")
    host, _, port = host.partition(":")
    image_host, _, image_port = image_host.partition(":")
    parts, image_parts = host.split("."), image_host.split(".")
    return (
        port == image_port
        and len(parts) == len(image_parts)
        and all(fnmatchcase(one, pattern) for one, pattern in zip(image_parts, parts, strict=True))
        and (not slash or image_path.startswith(path))
    )


def _default_registry(image: str) -> bool:
    first, slash, _ = image.partition("/")
    return first in ("docker.io", DEFAULT_REGISTRY) or not slash or not (set(".:") & set(first) or first == "localhost")
