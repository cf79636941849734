"""The node's heartbeat: a Lease in kube-node-lease, renewed every ten seconds, cheap enough for thousands of nodes."""

import asyncio
import logging

from apimachinery import errors, kinds, meta
from apimachinery.meta import JSON
from componentbase import defaults
from kubeclient.errors import Unreachable
from kubeclient.rest import Client

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0


class NodeLease:
    """Renews the lease of one node."""

    def __init__(self, client: Client, node: JSON) -> None:
        self._client = client
        self._name = meta.name(node)
        self._owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": meta.uid(node)}
        self._lease: JSON | None = None

    async def run(self) -> None:
        """Until cancelled."""
        interval = defaults.NODE_LEASE_RENEW_INTERVAL.total_seconds()
        while True:
            try:
                await self._renew()
                await asyncio.sleep(interval)
            except (errors.StatusError, Unreachable) as error:
                log.info("lease of node %s: %s", self._name, error)
                self._lease = None
                await asyncio.sleep(RETRY_SECONDS)

    async def _renew(self) -> None:
        if self._lease is None:
            self._lease = await self._fetch()
        self._lease["spec"]["renewTime"] = meta.now_micro()
        self._lease = await self._client.update(kinds.LEASE, self._lease)

    async def _fetch(self) -> JSON:
        try:
            return await self._client.get(kinds.LEASE, self._name, namespace=defaults.NODE_LEASE_NAMESPACE)
        except errors.NotFound:
            pass
        metadata = {
            "name": self._name,
            "namespace": defaults.NODE_LEASE_NAMESPACE,
            "ownerReferences": [self._owner],
        }
        spec = {
            "holderIdentity": self._name,
            "leaseDurationSeconds": int(defaults.NODE_LEASE_DURATION.total_seconds()),
            "renewTime": meta.now_micro(),
        }
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        return await self._client.create(kinds.LEASE, lease)
