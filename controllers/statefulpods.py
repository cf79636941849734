"""A StatefulSet's identities: the name, host name, labels and claims that a pod of one ordinal always has.

A claim is never made anew while it is there: it outlives its pods, and by default the StatefulSet. Who owns it says
when it goes (persistentVolumeClaimRetentionPolicy): the StatefulSet, or, once scaled away, its last pod.
"""

import re
from typing import Any

from apimachinery import meta
from controllers import history, replicas

JSON = dict[str, Any]
POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"
_NAME = re.compile(r"(.*)-([0-9]+)")


def start(stateful_set: JSON) -> int:
    """The first ordinal."""
    return int((stateful_set["spec"].get("ordinals") or {}).get("start") or 0)


def ordinal(pod: JSON) -> int:
    """The number at the end of the pod's name, -1 if there is none."""
    found = _NAME.fullmatch(meta.name(pod))
    return int(found[2]) if found else -1


def is_member(stateful_set: JSON, pod: JSON) -> bool:
    """Whether the pod's name is one of the StatefulSet's identities."""
    found = _NAME.fullmatch(meta.name(pod))
    return found is not None and found[1] == meta.name(stateful_set)


def pod_for(stateful_set: JSON, index: int, revision: JSON) -> JSON:
    """The pod of an ordinal, of the template that the revision holds."""
    spec = stateful_set["spec"]
    pod = replicas.pod_for({**stateful_set, "spec": {**spec, "template": history.template_of(revision)}})
    name = f"{meta.name(stateful_set)}-{index}"
    metadata = pod["metadata"]
    metadata["name"] = name
    metadata["labels"] = {
        **(metadata.get("labels") or {}),
        POD_NAME_LABEL: name,
        POD_INDEX_LABEL: str(index),
        history.POD_LABEL: meta.name(revision),
    }
    claims = {template["metadata"]["name"]: meta.name(claim) for template, claim in _claims(stateful_set, index)}
    volumes = [each for each in pod["spec"].get("volumes") or () if each["name"] not in claims]
    volumes += [{"name": key, "persistentVolumeClaim": {"claimName": value}} for key, value in claims.items()]
    pod["spec"] = {**pod["spec"], "hostname": name, **({"volumes": volumes} if volumes else {})}
    if spec.get("serviceName"):
        pod["spec"]["subdomain"] = spec["serviceName"]
    return pod


def claims(stateful_set: JSON, index: int) -> list[JSON]:
    """The PersistentVolumeClaims of an ordinal, as they are to be made."""
    return [claim for _, claim in _claims(stateful_set, index)]


def _claims(stateful_set: JSON, index: int) -> list[tuple[JSON, JSON]]:
    own_labels = (stateful_set["spec"].get("selector") or {}).get("matchLabels") or {}
    made = []
    for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
        described = template["metadata"]
        metadata = {
            "name": f"{described['name']}-{meta.name(stateful_set)}-{index}",
            "namespace": meta.namespace(stateful_set),
            "labels": {**(described.get("labels") or {}), **own_labels},
            **({"annotations": described["annotations"]} if described.get("annotations") else {}),
        }
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]}
        made.append((template, claim))
    return made


def claim_owner(stateful_set: JSON, pod: JSON | None, *, condemned: bool) -> JSON | None:
    """The owner that a claim is to have: the StatefulSet, the pod, or nobody (None), who keeps it for ever."""
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    if condemned and policy.get("whenScaled") == "Delete":
        return pod
    return stateful_set if policy.get("whenDeleted") == "Delete" else None


def owned_claim(stateful_set: JSON, claim: JSON, pod: JSON, *, condemned: bool) -> list[JSON] | None:
    """The claim's owner references if they have to change; those of others stay."""
    present = meta.metadata(claim).get("ownerReferences") or []
    names = {("StatefulSet", meta.name(stateful_set)), ("Pod", meta.name(pod))}
    kept = [each for each in present if (each["kind"], each["name"]) not in names]
    owner = claim_owner(stateful_set, pod, condemned=condemned)
    wanted = [*kept, meta.owner_reference(owner)] if owner else kept
    return wanted if {each["uid"] for each in wanted} != {each["uid"] for each in present} else None


def is_stale(claim: JSON, name: str) -> bool:
    """Whether the claim goes away with an earlier pod of that name: the next pod has to wait for that."""
    owners = meta.metadata(claim).get("ownerReferences") or ()
    return meta.is_deleting(claim) or any((each["kind"], each.get("name")) == ("Pod", name) for each in owners)
