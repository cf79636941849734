"""ServiceAccount: every pod runs as a service account and finds that account's token mounted.

The token is a projected volume that the kubelet fills and renews: token, the cluster's CA, and the namespace.
"""

from __future__ import annotations

import asyncio
import random

from apimachinery import kinds, meta
from apimachinery.meta import JSON
from apiserver.admission.chain import CREATE, Attributes, Plugin, refused
from apiserver.storage import Storage

DEFAULT = "default"
DEFAULT_ATTEMPTS, RETRY_SECONDS = 10, 0.1
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
MIRROR = "kubernetes.io/config.mirror"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_TOKEN_SECONDS = 3607  # an hour, told apart from what a user would ask for
_PREFIX = kinds.SERVICE_ACCOUNT.registry_prefix
# What is projected, the same for every pod: shared between them on the way to storage, so never changed.
_SOURCES: list[JSON] = [
    {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    {
        "downwardAPI": {
            "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
        }
    },
]


class ServiceAccount(Plugin):
    """See the module. Accounts are read from the storage's cache by key."""

    watched = {("", "pods", ""): (CREATE,)}

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._accounts: dict[str, JSON] = {}
        storage.listen(kinds.SERVICE_ACCOUNT, self._on_account)

    def _on_account(self, event: str, key: str, obj: JSON | None) -> None:
        if event == "DELETED" or obj is None:
            self._accounts.pop(key, None)
        else:  # only what pods take from it
            wanted = ("automountServiceAccountToken", "imagePullSecrets")
            self._accounts[key] = {field: obj[field] for field in wanted if field in obj}

    async def admit(self, a: Attributes) -> None:
        """Name the account, mount its token, take over its pull secrets."""
        pod = a.object
        if MIRROR in meta.annotations(pod):
            return
        spec: JSON = pod.setdefault("spec", {})
        name = spec.get("serviceAccountName") or DEFAULT
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._account(a, name)
        if _automounts(account, spec) and (containers := _unmounted(spec)):
            _mount(spec, containers)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]

    async def validate(self, a: Attributes) -> None:
        """A static pod's mirror may not use service accounts; any other pod's account must exist."""
        if MIRROR not in meta.annotations(a.object):
            return
        spec = a.object.get("spec") or {}
        if spec.get("serviceAccountName"):
            raise refused(a, "a mirror pod may not reference service accounts")
        if any(
            source.get("serviceAccountToken")
            for volume in spec.get("volumes") or ()
            for source in (volume.get("projected") or {}).get("sources") or ()
        ):
            raise refused(a, "a mirror pod may not use ServiceAccountToken volume projections")

    async def _account(self, a: Attributes, name: str) -> JSON:
        key = f"{_PREFIX}{a.namespace}/{name}"
        if (account := self._accounts.get(key)) is not None:
            return account
        # A new namespace gets its default account a moment later: upstream waits for it as well.
        for attempt in range(DEFAULT_ATTEMPTS if name == DEFAULT else 1):
            if attempt:
                await asyncio.sleep(RETRY_SECONDS)
            if entry := await self._storage.get_live(key):
                return entry.parsed()
        raise refused(a, f'error looking up service account {a.namespace}/{name}: serviceaccount "{name}" not found')


def _automounts(account: JSON, spec: JSON) -> bool:
    """The pod's word counts, then the account's, then yes."""
    wanted = spec.get("automountServiceAccountToken")
    if wanted is None:
        wanted = account.get("automountServiceAccountToken")
    return wanted is not False


def _unmounted(spec: JSON) -> list[JSON]:
    """The containers that mount nothing of their own where the token goes."""
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return [container for container in containers if not container.get("volumeMounts") or not _mounted(container)]


def _mounted(container: JSON) -> bool:
    return any(mount.get("mountPath") == MOUNT_PATH for mount in container["volumeMounts"])


def _mount(spec: JSON, containers: list[JSON]) -> None:
    volumes: list[JSON] = spec.get("volumes") or []
    for volume in volumes:
        if "projected" in volume and str(volume.get("name", "")).startswith(VOLUME_PREFIX):
            name = volume["name"]
            break
    else:
        name = VOLUME_PREFIX + "".join(random.choices(_ALPHABET, k=5))
        spec["volumes"] = [*volumes, {"name": name, "projected": {"defaultMode": 420, "sources": _SOURCES}}]
    for container in containers:
        mount = {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
