"""Claims and volumes: the names that bind them, and which volume satisfies which claim.

Three services take part in a binding (the controller binds, the scheduler chooses volumes with a node in view, the
kubelet mounts), so what they must agree on is here, without I/O. A claim and a volume are bound when both name each
other: the volume's `claimRef` with the claim's UID, the claim's `volumeName`, and the annotation that says it is done.
"""

from collections.abc import Iterable
from typing import Any

from apimachinery import labels, meta, quantity

JSON = dict[str, Any]

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"  # of former days, still read
CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION = "kubernetes.io/pv-protection"
WAIT_FOR_FIRST_CONSUMER = "WaitForFirstConsumer"
NO_PROVISIONER = "kubernetes.io/no-provisioner"

# Directories on nodes: made and removed by the kubelet of the node that the label names. The finalizer says that a
# directory may still have to be removed there.
NODE_LOCAL = "mini-kubernetes.io/node-local"
NODE_LABEL = "mini-kubernetes.io/node"
NODE_LOCAL_FINALIZER = "mini-kubernetes.io/node-local"
HOSTNAME_LABEL = "kubernetes.io/hostname"


def class_of(obj: JSON) -> str:
    """The storage class of a claim or volume, "" for none."""
    old = meta.annotations(obj).get(CLASS_ANNOTATION)
    return str(old if old is not None else (obj.get("spec") or {}).get("storageClassName") or "")


def phase(obj: JSON) -> str:
    """The phase of a claim or volume, "" before anyone has judged it."""
    return str((obj.get("status") or {}).get("phase") or "")


def is_bound_to(volume: JSON, claim: JSON) -> bool:
    """Whether a volume's claimRef means this claim; one without a UID was reserved for the name by a user."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return False
    if (reference.get("namespace"), reference.get("name")) != (meta.namespace(claim), meta.name(claim)):
        return False
    return not reference.get("uid") or reference["uid"] == meta.uid(claim)


def is_fully_bound(claim: JSON) -> bool:
    """Whether binding has been completed from both sides."""
    return bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in meta.annotations(claim)


def claim_reference(claim: JSON) -> JSON:
    """What a volume's `claimRef` says of its claim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": meta.namespace(claim),
        "name": meta.name(claim),
        "uid": meta.uid(claim),
        "resourceVersion": meta.metadata(claim).get("resourceVersion"),
    }


def requested(claim: JSON) -> int:
    """Bytes that a claim asks for."""
    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
    return quantity.value(requests.get("storage") or 0)


def capacity(volume: JSON) -> int:
    """Bytes that a volume says it has."""
    return quantity.value((volume["spec"].get("capacity") or {}).get("storage") or 0)


def mismatch(volume: JSON, claim: JSON) -> str:
    """Why a volume that a claim asks for by name can't be its, in upstream's words; "" if it can."""
    if capacity(volume) < requested(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if _mode(volume) != _mode(claim):
        return "incompatible volumeMode"
    if not _offers_access(volume, claim):
        return "incompatible accessMode"
    return ""


def candidates(present: Iterable[JSON], claim: JSON) -> list[JSON]:
    """The volumes that satisfy a claim, the best first: one that is reserved for it, or else the free ones by size."""
    fitting = [
        volume
        for volume in present
        if (not volume["spec"].get("claimRef") or is_bound_to(volume, claim))
        and capacity(volume) >= requested(claim)
        and _mode(volume) == _mode(claim)
        and not meta.is_deleting(volume)
    ]
    reserved = [volume for volume in fitting if volume["spec"].get("claimRef")]
    return reserved or sorted((each for each in fitting if _is_free_match(each, claim)), key=capacity)


def claims_of(pod: JSON) -> tuple[str, ...]:
    """The names of the claims that a pod's volumes use, those of its ephemeral volumes among them."""
    return tuple(
        volume["persistentVolumeClaim"]["claimName"]
        if "persistentVolumeClaim" in volume
        else f"{meta.name(pod)}-{volume['name']}"
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume or "ephemeral" in volume
    )


def claim_keys(pod: JSON) -> list[str]:
    """Index function: "namespace/name" of every claim that a pod uses."""
    return [f"{meta.namespace(pod)}/{name}" for name in claims_of(pod)]


def without_finalizer(obj: JSON, finalizer: str) -> JSON:
    """The merge patch that takes a finalizer off this version of an object."""
    metadata = meta.metadata(obj)
    left = [each for each in metadata.get("finalizers") or () if each != finalizer]
    return {"metadata": {"resourceVersion": metadata["resourceVersion"], "uid": metadata["uid"], "finalizers": left}}


def _mode(obj: JSON) -> str:
    return str(obj["spec"].get("volumeMode") or "Filesystem")


def _offers_access(volume: JSON, claim: JSON) -> bool:
    return set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ())


def _is_free_match(volume: JSON, claim: JSON) -> bool:
    selector = claim["spec"].get("selector")
    return (
        phase(volume) == "Available"
        and class_of(volume) == class_of(claim)
        and _offers_access(volume, claim)
        and (selector is None or labels.from_label_selector(selector).matches(meta.labels(volume)))
    )
