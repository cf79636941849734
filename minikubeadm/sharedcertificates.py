"""What control planes have in common, handed from the first to the next: authorities and the service accounts' keys.

As kubeadm does it (`--upload-certs`, `--certificate-key`): each file is sealed with AES-256-GCM under a key that never
reaches the cluster, and lies in the Secret `kube-system/kubeadm-certs`. That is owned by a bootstrap token which is
good for nothing and expires after two hours: with it the garbage collector takes the Secret.
"""

import base64
import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from apimachinery import errors, kinds, meta
from componentbase import defaults, pkilayout
from componentbase.files import write_file
from kubeclient.rest import Client
from minikubeadm import api, tokens
from minikubeadm.process import StepFailed

JSON = dict[str, Any]
SECRET = "kubeadm-certs"
LIFETIME = timedelta(hours=2)
FILES = (*(f"{file}.{end}" for file in pkilayout.AUTHORITIES for end in ("crt", "key")), "sa.key", "sa.pub")
_KEY_BYTES, _NONCE_BYTES = 32, 12
_DOWNLOAD_TIMEOUT_SECONDS = 90.0
_HINT = "on a control plane: `minikubeadm init phase upload-certs` uploads them again and prints the key"


def new_key() -> str:
    """A certificate key: 32 random bytes in hex."""
    return secrets.token_hex(_KEY_BYTES)


def checked(key: str) -> str:
    """The key; ValueError if it is none."""
    try:
        if len(bytes.fromhex(key)) == _KEY_BYTES:
            return key
    except ValueError:
        pass
    raise ValueError(f"a certificate key is {2 * _KEY_BYTES} hexadecimal digits")


def sealed(files: Mapping[str, bytes], key: str) -> dict[str, str]:
    """The Secret's data: names without folders (`etcd-ca.crt`), values sealed."""
    cipher = AESGCM(bytes.fromhex(key))
    data = {}
    for name, content in files.items():
        nonce = os.urandom(_NONCE_BYTES)
        box = nonce + cipher.encrypt(nonce, content, None)
        data[name.replace("/", "-")] = base64.b64encode(box).decode()
    return data


def unsealed(data: Mapping[str, str], key: str) -> dict[str, bytes]:
    """The files again; StepFailed if one is missing or the key is another one."""
    if missing := [name for name in FILES if name.replace("/", "-") not in data]:
        raise StepFailed(f"Secret {SECRET} lacks {', '.join(missing)}", hint=_HINT)
    cipher = AESGCM(bytes.fromhex(key))
    files = {}
    for name in FILES:
        box = base64.b64decode(data[name.replace("/", "-")])
        try:
            files[name] = cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], None)
        except InvalidTag as error:
            raise StepFailed("--certificate-key is not the key of what was uploaded", hint=_HINT) from error
    return files


async def upload(client: Client, key: str, directory: Path) -> None:
    """Seal this control plane's files and put them into the cluster for two hours."""
    purpose = f"Proxy for managing TTL for the {SECRET} secret"
    owner = replace(tokens.new(ttl=LIFETIME), description=purpose, usages=())
    made = await api.ensure(client, tokens.secret_for(owner))
    reference = {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": meta.name(made),
        "uid": meta.uid(made),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {"name": SECRET, "namespace": defaults.SYSTEM_NAMESPACE, "ownerReferences": [reference]}
    files = {name: (directory / "pki" / name).read_bytes() for name in FILES}
    body = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": sealed(files, key)}
    await api.ensure(client, body)


async def download(client: Client, key: str, directory: Path) -> None:
    """Write the files of another control plane here; waits a while for them, as nodes may be brought up together."""
    found: JSON = {}

    async def uploaded() -> str:
        try:
            found.update(await client.get(kinds.SECRET, SECRET, namespace=defaults.SYSTEM_NAMESPACE))
        except (errors.NotFound, errors.Forbidden) as error:
            return str(error)
        return ""

    what = "fetching the certificates that control planes share"
    await api.until(uploaded, what=what, timeout_seconds=_DOWNLOAD_TIMEOUT_SECONDS, hint=_HINT)
    for name, content in unsealed(found.get("data") or {}, key).items():
        write_file(directory / "pki" / name, content, mode=0o600 if name.endswith(".key") else 0o644)
