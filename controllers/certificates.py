"""Certificate signing requests: approved where the requester may, signed by the cluster's CA, cleaned up in time."""

import asyncio
import base64
import logging
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from apimachinery import errors, kinds, meta
from componentbase import defaults, pki
from controllers import requests
from controllers.context import Context, QueueController, enqueue_all

log = logging.getLogger(__name__)

JSON = dict[str, Any]
CSR = kinds.CERTIFICATE_SIGNING_REQUEST
_CLEANING_PERIOD_SECONDS = 300.0
_KEPT = {"Approved": timedelta(hours=1), "Denied": timedelta(hours=1), "Failed": timedelta(hours=1)}
_PENDING_KEPT = timedelta(hours=24)
_SHORTEST_SECONDS = 600
_ASKER = {"user": "username", "uid": "uid", "groups": "groups", "extra": "extra"}  # in a review, in a request


def states(obj: JSON) -> set[str]:
    """The types of its conditions that are true: Approved, Denied, Failed."""
    return {each["type"] for each in (obj.get("status") or {}).get("conditions") or () if each.get("status") != "False"}


class ApprovingController(QueueController[str]):
    """Approves kubelets' client certificates (by RBAC), and their serving certificates (by their Node)."""

    name = "certificate-approving"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._requests = context.informers.informer(CSR)
        self._nodes = context.informers.informer(kinds.NODE)
        enqueue_all(self._requests, self._queue)

    async def _reconcile(self, key: str) -> float | None:
        obj = self._requests.get(key)
        if obj is None or states(obj) or (obj.get("status") or {}).get("certificate"):
            return None
        try:
            request = requests.parse(obj)
        except ValueError as error:
            log.info("%s: %s", key, error)
            return None
        if requests.is_own_serving(
            obj, request, self._nodes.get(request.common_name.removeprefix(defaults.NODE_USER_PREFIX))
        ):
            await self._approve(obj, "Auto approving kubelet serving certificate for the node's own addresses.")
            return None
        for permission in requests.client_permissions(obj, request):
            if await self._may(obj, permission):
                of = "self kubelet client" if permission == "selfnodeclient" else "kubelet client"
                await self._approve(obj, f"Auto approving {of} certificate after SubjectAccessReview.")
                return None
        if obj["spec"].get("signerName") == requests.KUBELET_SERVING:
            return 5.0 if self._is_young(obj) else None  # its Node may not have its addresses yet
        return None

    def _is_young(self, obj: JSON) -> bool:
        age = meta.parse_time(meta.now()) - meta.parse_time(obj["metadata"]["creationTimestamp"])
        return age < timedelta(minutes=10)

    async def _may(self, obj: JSON, subresource: str) -> bool:
        spec = obj["spec"]
        attributes = {"group": CSR.group, "resource": CSR.plural, "subresource": subresource, "verb": "create"}
        asked = {name: spec[source] for name, source in _ASKER.items() if spec.get(source)}
        review = {
            "apiVersion": kinds.SUBJECT_ACCESS_REVIEW.api_version,
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": {**asked, "resourceAttributes": {**attributes, "version": "*"}},
        }
        answer = await self._client.create(kinds.SUBJECT_ACCESS_REVIEW, review)
        return bool((answer.get("status") or {}).get("allowed"))

    async def _approve(self, obj: JSON, message: str) -> None:
        await self._client.update(CSR, _with(obj, "Approved", "AutoApproved", message), subresource="approval")


class SigningController(QueueController[str]):
    """Signs approved requests of the built-in signers with the cluster's CA."""

    name = "certificate-signing"
    workers = 2

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._requests = context.informers.informer(CSR)
        options = context.options
        files = options.cluster_signing_cert_file, options.cluster_signing_key_file
        self._ca = pki.load_pair(*files) if all(files) else None
        self._longest = timedelta(seconds=options.cluster_signing_duration)
        enqueue_all(self._requests, self._queue)

    async def run(self) -> None:
        """Work until cancelled; without a CA there is nothing to sign with."""
        if self._ca:
            await super().run()
        else:
            log.info("no --cluster-signing-cert-file and -key-file: certificates are not signed")

    async def _reconcile(self, key: str) -> None:
        obj = self._requests.get(key)
        if obj is None or self._ca is None or states(obj) != {"Approved"}:
            return
        spec = obj["spec"]
        status = obj.get("status") or {}
        if status.get("certificate") or spec.get("signerName") not in requests.SIGNERS:
            return
        usages = spec.get("usages") or ()
        try:
            request = requests.parse(obj)
            refused = requests.refusal(request, spec["signerName"], usages)
        except ValueError as error:
            refused = str(error)
        if refused:
            failed = _with(obj, "Failed", "SignerValidationFailure", refused)
            await self._client.update(CSR, failed, subresource="status")
            return
        certificate = pki.sign(
            self._ca,
            name=request.name,
            public_key=request.public_key,
            alternatives=request.alternatives,
            usages=requests.extended_usages(usages),
            lifetime=self._lifetime(spec),
        )
        pem = base64.b64encode(certificate.public_bytes(serialization.Encoding.PEM)).decode()
        await self._client.update(CSR, {**obj, "status": {**status, "certificate": pem}}, subresource="status")

    def _lifetime(self, spec: JSON) -> timedelta:
        asked = spec.get("expirationSeconds")
        if not asked:
            return self._longest
        return min(self._longest, timedelta(seconds=max(_SHORTEST_SECONDS, int(asked))))


def _with(obj: JSON, type_: str, reason: str, message: str) -> JSON:
    """The request with one more condition."""
    status, now = obj.get("status") or {}, meta.now()
    condition = {"type": type_, "status": "True", "reason": reason, "message": message}
    conditions = [*(status.get("conditions") or ()), {**condition, "lastUpdateTime": now, "lastTransitionTime": now}]
    return {**obj, "status": {**status, "conditions": conditions}}


def is_stale(obj: JSON, *, now: datetime) -> bool:
    """Whether a request is to be deleted: an hour after its end, a day without one, or with its certificate expired."""
    since = meta.parse_time(obj["metadata"]["creationTimestamp"])
    for each in (obj.get("status") or {}).get("conditions") or ():
        stamp = each.get("lastUpdateTime")
        if each["type"] in _KEPT and stamp and now - meta.parse_time(stamp) > _KEPT[each["type"]]:
            return True
    if not states(obj):
        return now - since > _PENDING_KEPT
    certificate = (obj.get("status") or {}).get("certificate")
    if not certificate:
        return False
    try:
        parsed = x509.load_pem_x509_certificate(base64.b64decode(certificate))
    except ValueError:
        return False
    return parsed.not_valid_after_utc < now


class CleaningController:
    """Deletes requests that nobody needs any more."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._requests = context.informers.informer(CSR)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            for obj in self._requests.list():
                if is_stale(obj, now=self._context.clock()):
                    await self._delete(obj)
            await asyncio.sleep(_CLEANING_PERIOD_SECONDS)

    async def _delete(self, obj: JSON) -> None:
        try:
            await self._context.client.delete(CSR, meta.name(obj), uid=meta.uid(obj))
        except (errors.StatusError, OSError) as error:
            log.info("certificate signing request %s: not deleted: %s", meta.name(obj), error)
