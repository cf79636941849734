"""A Job's pods: how they are made, which index one has, when it ended, and what the failure policy says of it."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from apimachinery import meta
from controllers import objects, replicas

JSON = dict[str, Any]
FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
BACKOFF = timedelta(seconds=10)
MAX_BACKOFF = timedelta(minutes=10)
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def is_tracked(pod: JSON) -> bool:
    """Whether the pod waits to be counted: nobody may remove it before."""
    return FINALIZER in (meta.metadata(pod).get("finalizers") or ())


def phase(pod: JSON) -> str:
    """The pod's phase, Pending by default."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def index_of(pod: JSON) -> int:
    """The pod's completion index, -1 without."""
    text = meta.annotations(pod).get(INDEX, "")
    return int(text) if text.isdigit() else -1


def indexes(text: str) -> set[int]:
    """The numbers of "1,3-5"."""
    return {
        number for first, last in _RANGE.findall(text or "") for number in range(int(first), int(last or first) + 1)
    }


def indexes_text(numbers: Iterable[int]) -> str:
    """ "1,3-5": numbers in order, three and more in a row as a range."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(
        str(first) if first == last else f"{first},{last}" if last == first + 1 else f"{first}-{last}"
        for first, last in runs
    )


def failures(pod: JSON) -> int:
    """How often the pod's index had failed before it."""
    text = meta.annotations(pod).get(FAILURES, "")
    return int(text) if text.isdigit() else 0


def pod_for(job: JSON, index: int | None, *, failures: int | None = None) -> JSON:
    """A pod of the Job's template, for a completion index or none; `failures` if those of an index are counted."""
    pod = objects.copied(replicas.pod_for(job))
    metadata, spec = pod["metadata"], pod["spec"]
    metadata["finalizers"] = [*(metadata.get("finalizers") or ()), FINALIZER]
    if index is None:
        return pod
    metadata["generateName"] = f"{meta.name(job)}-{index}-"
    for where in ("labels", "annotations"):
        metadata[where] = {**(metadata.get(where) or {}), INDEX: str(index)}
    if failures is not None:
        metadata["annotations"][FAILURES] = str(failures)
    spec["hostname"] = f"{meta.name(job)}-{index}"
    source = {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}}
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        present = container.get("env") or []
        if all(each["name"] != source["name"] for each in present):
            container["env"] = [*present, source]
    return pod


def ended_at(pod: JSON) -> datetime:
    """When its last container ended; without one, when it stopped being ready, or was deleted, or made."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ends = [str(((each.get("state") or {}).get("terminated") or {}).get("finishedAt") or "") for each in statuses]
    if ends and all(ends):
        return max(map(meta.parse_time, ends))
    metadata, ready = meta.metadata(pod), meta.condition(pod, "Ready") or {}
    return meta.parse_time(
        ready.get("lastTransitionTime") or metadata.get("deletionTimestamp") or metadata["creationTimestamp"]
    )


def policy_action(job: JSON, pod: JSON) -> tuple[str, str]:
    """What `spec.podFailurePolicy` says of a failed pod, and why: FailJob, FailIndex, Ignore or Count, the default."""
    for number, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        action = rule["action"]
        where = f"{meta.namespace(pod)}/{meta.name(pod)}"
        if (codes := rule.get("onExitCodes")) and (found := _matching_exit(codes, pod)):
            what = f"Container {found[0]} for pod {where} failed with exit code {found[1]}"
            return action, f"{what} matching {action} rule at index {number}"
        for wanted in rule.get("onPodConditions") or ():
            condition = meta.condition(pod, wanted["type"])
            if condition and condition.get("status") == (wanted.get("status") or "True"):
                return action, f"Pod {where} has condition {wanted['type']} matching {action} rule at index {number}"
    return "Count", ""


def _matching_exit(codes: JSON, pod: JSON) -> tuple[str, int] | None:
    status = pod.get("status") or {}
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        ended = (each.get("state") or {}).get("terminated")
        if not ended or not ended.get("exitCode") or codes.get("containerName") not in (None, each["name"]):
            continue
        if (ended["exitCode"] in codes["values"]) == (codes["operator"] == "In"):
            return each["name"], ended["exitCode"]
    return None


def restarts(pods: Sequence[JSON]) -> int:
    """How often containers of pods that aren't over were started again."""
    return sum(
        each.get("restartCount", 0)
        for pod in pods
        if phase(pod) in ("Running", "Pending")
        for name in ("initContainerStatuses", "containerStatuses")
        for each in (pod.get("status") or {}).get(name) or ()
    )


def backoff(pods: Sequence[JSON], *, now: datetime) -> float:
    """Seconds to wait before the next pod: 10 s after a failure, doubled by each since the last success."""
    successes = [ended_at(pod) for pod in pods if phase(pod) == "Succeeded"]
    failures = [ended_at(pod) for pod in pods if phase(pod) == "Failed"]
    recent = [moment for moment in failures if not successes or moment > max(successes)]
    if not recent:
        return 0.0
    delay: float = min(MAX_BACKOFF.total_seconds(), BACKOFF.total_seconds() * 2.0 ** min(len(recent) - 1, 10))
    return max(0.0, delay - (now - max(recent)).total_seconds())
