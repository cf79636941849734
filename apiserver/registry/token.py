"""serviceaccounts/token: a TokenRequest is answered with a fresh token for the account.

A token may be bound to a Pod, Secret or Node that exists; its claims then name it, and authentication asks for it on
every (remembered) check. KEP-1205.
"""

from __future__ import annotations

from datetime import UTC, datetime

from apimachinery import errors, kinds, meta
from apimachinery.field import FieldError, invalid
from apimachinery.meta import JSON
from apiserver.admission import Attributes
from apiserver.authentication import Bound, TokenIssuer
from apiserver.parts import Parts
from apiserver.registry.store import existing
from apiserver.request import Call
from apiserver.storage import Storage

_LEAST_SECONDS, _DEFAULT_SECONDS, _MOST_SECONDS = 600, 3600, 1 << 32
_BINDABLE = {("Pod", "v1"): kinds.POD, ("Secret", "v1"): kinds.SECRET, ("Node", "v1"): kinds.NODE}


async def create(call: Call, body: JSON, parts: Parts) -> JSON:
    """Answer POST serviceaccounts/{name}/token."""
    info = call.info
    issuer = parts.authenticator.issuer
    if issuer is None:
        raise errors.NotFound("the server could not find the requested resource")
    metadata = body.get("metadata") or {}
    if metadata.get("name") not in (None, "", info.name) or metadata.get("namespace") not in (None, "", info.namespace):
        raise errors.BadRequest("the name or namespace of the TokenRequest does not match the request")
    attributes = Attributes(call.user, "CREATE", kinds.SERVICE_ACCOUNT, "token", info.namespace, info.name, body)
    account = await existing(parts.storage, kinds.SERVICE_ACCOUNT, info.namespace, info.name)
    await parts.admission.admit(attributes)
    await parts.admission.validate(attributes)
    return await request_token(body, account=account, storage=parts.storage, issuer=issuer)


async def request_token(body: JSON, *, account: JSON, storage: Storage, issuer: TokenIssuer) -> JSON:
    """The TokenRequest with its status. Raises Invalid, NotFound, Conflict."""
    namespace, name = meta.namespace(account), meta.name(account)
    spec: JSON = body.get("spec") or {}
    seconds = spec.get("expirationSeconds")
    seconds = _DEFAULT_SECONDS if seconds is None else int(seconds)
    faults: list[FieldError] = []
    if seconds < _LEAST_SECONDS:
        faults.append(invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    if seconds > _MOST_SECONDS:
        faults.append(invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    if faults:
        raise errors.invalid("authentication.k8s.io", "TokenRequest", name, faults)
    audiences = list(spec.get("audiences") or issuer.audiences)
    bound = await _bound(spec.get("boundObjectRef"), namespace, name, storage)
    token, expires = issuer.issue(
        namespace=namespace, account=account, audiences=audiences, seconds=seconds, bound=bound
    )
    when = meta.format_time(datetime.fromtimestamp(expires, UTC))
    answered_spec = {**spec, "audiences": audiences, "expirationSeconds": seconds}
    answered_spec.setdefault("boundObjectRef", None)
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": meta.now()},
        "spec": answered_spec,
        "status": {"token": token, "expirationTimestamp": when},
    }


async def _bound(reference: JSON | None, namespace: str, account: str, storage: Storage) -> list[Bound]:
    """What the token is bound to, checked to exist; a pod's node goes along."""
    if not reference:
        return []
    kind = _BINDABLE.get((reference.get("kind") or "", reference.get("apiVersion") or ""))
    if kind is None:
        raise errors.BadRequest(
            f"cannot bind token for serviceaccount {account} to object of kind {reference.get('kind')}"
        )
    name, uid = reference.get("name") or "", reference.get("uid") or ""
    obj = await existing(storage, kind, namespace if kind.namespaced else "", name)
    if uid and uid != meta.uid(obj):
        text = (
            f"the UID in the bound object reference ({uid}) does not match the UID in record. The object might "
            "have been deleted and then recreated"
        )
        raise errors.conflict(kind.group, kind.plural, name, text)
    bound = [Bound(kind.kind, name, meta.uid(obj))]
    spec = obj.get("spec") or {}
    if kind is kinds.POD:
        if (spec.get("serviceAccountName") or "") != account:
            raise errors.BadRequest(
                f"cannot bind token for serviceaccount {account} to pod running with different serviceaccount name."
            )
        if spec.get("nodeName"):
            node = await storage.get(kinds.NODE.registry_prefix + spec["nodeName"], consistent=False)
            bound.append(Bound("Node", spec["nodeName"], meta.uid(node.parsed()) if node is not None else ""))
    return bound
