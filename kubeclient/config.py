"""Where the API server is and who we are: kubeconfig files, and the service account inside a pod.

Files named in a kubeconfig stay names: they are read when connections are made, so that rotated certificates and
tokens are picked up without a restart. Inline data is decoded here. No value of a secret ever appears in a message or
in `repr`.
"""

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from componentbase.files import write_file
from kubeclient.errors import ConfigError

JSON = dict[str, Any]
SERVICE_ACCOUNT_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """All that a connection needs. For each of authority, certificate and key: a file, or its content."""

    server: str
    ca_file: str = ""
    ca_data: bytes = field(default=b"", repr=False)
    certificate_file: str = ""
    certificate_data: bytes = field(default=b"", repr=False)
    key_file: str = ""
    key_data: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    token_file: str = ""
    namespace: str = "default"
    tls_server_name: str = ""
    insecure: bool = False
    impersonate: str = ""


def load_kubeconfig(path: str | Path | None = None, *, context: str | None = None) -> ClientConfig:
    """The configuration of a context, by default the current one.

    Without a path: `$KUBECONFIG` (the first file of it that is there), then `~/.kube/config`, then the pod's service
    account. Raises ConfigError.
    """
    file, document = read_kubeconfig(path)
    if file is None:
        return in_cluster()
    wanted = context or document.get("current-context") or ""
    if not wanted:
        raise ConfigError(f"{file}: no current-context, and none was asked for")
    chosen = _named(document, "contexts", wanted, file).get("context") or {}
    cluster = _named(document, "clusters", chosen.get("cluster") or "", file).get("cluster") or {}
    user = _named(document, "users", chosen["user"], file).get("user") or {} if chosen.get("user") else {}
    return _config(file, cluster, user, namespace=chosen.get("namespace") or "default")


def read_kubeconfig(path: str | Path | None = None) -> tuple[Path | None, JSON]:
    """The file that `load_kubeconfig` reads, as it is written; (None, {}) if there is none. Raises ConfigError."""
    file = Path(path) if path else _default_file()
    return file, _read(file) if file else {}


def in_cluster() -> ClientConfig:
    """The configuration that every pod is given. Raises ConfigError outside of a pod."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    token_file = SERVICE_ACCOUNT_DIRECTORY / "token"
    if not host or not token_file.exists():
        raise ConfigError("no kubeconfig given, none at $KUBECONFIG or ~/.kube/config, and this is not a pod")
    namespace_file = SERVICE_ACCOUNT_DIRECTORY / "namespace"
    return ClientConfig(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ca_file=str(SERVICE_ACCOUNT_DIRECTORY / "ca.crt"),
        token_file=str(token_file),
        namespace=namespace_file.read_text().strip() if namespace_file.exists() else "default",
    )


def write_kubeconfig(
    path: str | Path,
    *,
    server: str,
    ca_data: bytes,
    user: str,
    cluster: str = "kubernetes",
    certificate_data: bytes = b"",
    key_data: bytes = b"",
    certificate_file: str = "",
    key_file: str = "",
    token: str = "",
) -> None:
    """Write a kubeconfig (0600) with one cluster, one user, and the context `user@cluster`."""
    credentials: JSON = {
        "client-certificate-data": _encoded(certificate_data),
        "client-key-data": _encoded(key_data),
        "client-certificate": certificate_file,
        "client-key": key_file,
        "token": token,
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server, "certificate-authority-data": _encoded(ca_data)}}],
        "users": [{"name": user, "user": {key: value for key, value in credentials.items() if value}}],
        "contexts": [{"name": f"{user}@{cluster}", "context": {"cluster": cluster, "user": user}}],
        "current-context": f"{user}@{cluster}",
    }
    write_file(path, yaml.safe_dump(document, sort_keys=False).encode(), mode=0o600)


def _default_file() -> Path | None:
    listed = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(":") if part]
    home = Path.home() / ".kube" / "config"
    return next((file for file in [*listed, home] if file.exists()), listed[0] if listed else None)


def _read(file: Path) -> JSON:
    try:
        document = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{file}: not a kubeconfig")
    return document


def _named(document: JSON, section: str, name: str, file: Path) -> JSON:
    for entry in document.get(section) or ():
        if entry.get("name") == name:
            found: JSON = entry
            return found
    raise ConfigError(f'{file}: no entry "{name}" in {section}')


def _config(file: Path, cluster: JSON, user: JSON, *, namespace: str) -> ClientConfig:
    if not cluster.get("server"):
        raise ConfigError(f"{file}: the cluster has no server")
    for plugin in ("exec", "auth-provider"):
        if plugin in user:
            raise ConfigError(f"{file}: users with {plugin} are not supported")

    def relative(name: str, section: JSON) -> str:
        value = section.get(name) or ""
        return str(file.parent / value) if value else ""

    return ClientConfig(
        server=cluster["server"].rstrip("/"),
        ca_file=relative("certificate-authority", cluster),
        ca_data=_decoded(cluster, "certificate-authority-data", file),
        certificate_file=relative("client-certificate", user),
        certificate_data=_decoded(user, "client-certificate-data", file),
        key_file=relative("client-key", user),
        key_data=_decoded(user, "client-key-data", file),
        token=user.get("token") or "",
        token_file=relative("tokenFile", user),
        namespace=namespace,
        tls_server_name=cluster.get("tls-server-name") or "",
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        impersonate=user.get("as") or "",
    )


def _decoded(section: JSON, name: str, file: Path) -> bytes:
    try:
        return base64.b64decode(section.get(name) or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{file}: {name} is not base64") from error


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
