"""What a POST to a pod's `binding` and `eviction` does."""

from __future__ import annotations

from apimachinery import errors, kinds, labels, meta
from apimachinery.meta import JSON
from apiserver.endpoints import parameters
from apiserver.parts import Parts
from apiserver.registry import deletion, pods
from apiserver.registry.strategy import Context
from apiserver.request import Call

_SUCCESS: JSON = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."


async def bind(call: Call, body: JSON, parts: Parts) -> JSON:
    """Gives a pod its node, once. Conflict if it has one, is going, or is held by scheduling gates."""
    node = (body.get("target") or {}).get("name")
    if not node:
        raise errors.BadRequest("target.name: Required value")
    wanted_uid = meta.uid(body)
    name = call.info.name or meta.name(body)  # posted to the pod, or to the namespace's bindings

    def with_node(pod: JSON | None) -> JSON:
        if pod is None:
            raise errors.not_found("", "pods", name)
        refusal = _why_not(pod, wanted_uid)
        if refusal:
            raise errors.conflict("", "pods/binding", name, refusal)
        return pods.bound(pod, node, meta.annotations(body), meta.labels(body))

    store = parts.resources.store(kinds.POD)
    context = parameters.context(call)
    await store.change(call.info.namespace, name, with_node, context, subresource="binding")
    return _SUCCESS


def _why_not(pod: JSON, wanted_uid: str) -> str:
    name, spec = meta.name(pod), pod["spec"]
    if wanted_uid and wanted_uid != meta.uid(pod):
        return f"Precondition failed: UID in precondition: {wanted_uid}, UID in object meta: {meta.uid(pod)}"
    if meta.is_deleting(pod):
        return f"pod {name} is being deleted, cannot be assigned to a host"
    if spec.get("nodeName"):
        return f'pod {name} is already assigned to node "{spec["nodeName"]}"'
    if spec.get("schedulingGates"):
        return f"pod {name} has non-empty .spec.schedulingGates"
    return ""


async def evict(call: Call, body: JSON, parts: Parts) -> JSON:
    """Deletes a pod if its disruption budget allows. TooManyRequests, with a cause, if it doesn't."""
    namespace, name = call.info.namespace, call.info.name
    context = parameters.context(call)
    options = deletion.parse_options(body.get("deleteOptions") or {})
    context.dry_run = context.dry_run or options.dry_run  # said by either, nothing of the budget is spent
    store = parts.resources.store(kinds.POD)
    pod = (await store.get(namespace, name)).parsed()
    if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed", "Pending") and not meta.is_deleting(pod):
        await _spend_budget(parts, pod, context)
    await deletion.delete(store, namespace, name, options, context)
    return _SUCCESS


async def _spend_budget(parts: Parts, pod: JSON, context: Context) -> None:
    namespace = meta.namespace(pod)
    budgets = [
        budget
        for entry in parts.storage.cached(kinds.POD_DISRUPTION_BUDGET, namespace=namespace)
        if _covers(budget := entry.parsed(), pod)
    ]
    if not budgets:
        return
    if len(budgets) > 1:
        raise errors.InternalError(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )

    def with_one_less(budget: JSON | None) -> JSON:
        if budget is None:
            raise errors.not_found("policy", "poddisruptionbudgets", meta.name(budgets[0]))
        status = dict(budget.get("status") or {})
        if _may_go_unready(budget, status, pod):
            return budget
        _check_budget(budget, status)
        status["disruptionsAllowed"] -= 1
        status["disruptedPods"] = {**(status.get("disruptedPods") or {}), meta.name(pod): meta.now()}
        return {**budget, "metadata": dict(budget["metadata"]), "status": status}

    store = parts.resources.store(kinds.POD_DISRUPTION_BUDGET)
    await store.change(namespace, meta.name(budgets[0]), with_one_less, context, subresource="status")


def _covers(budget: JSON, pod: JSON) -> bool:
    return labels.from_label_selector((budget.get("spec") or {}).get("selector")).matches(meta.labels(pod))


def _may_go_unready(budget: JSON, status: JSON, pod: JSON) -> bool:
    """A pod that isn't ready serves nobody: it may go if the budget says always, or if enough others are healthy."""
    ready = meta.condition(pod, "Ready")
    if ready is not None and ready.get("status") == "True":
        return False
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    return (status.get("currentHealthy") or 0) >= (status.get("desiredHealthy") or 0) > 0


def _check_budget(budget: JSON, status: JSON) -> None:
    name, retry_after = meta.name(budget), None  # kubectl drain says so and waits; a client's library would be silent
    if (status.get("observedGeneration") or 0) < (meta.metadata(budget).get("generation") or 0):
        message, retry_after = f"The disruption budget {name} is still being processed by the server.", 10
    elif (status.get("disruptionsAllowed") or 0) <= 0:
        message = (
            f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods and has "
            f"{status.get('currentHealthy', 0)} currently"
        )
    else:
        return
    cause = {"reason": "DisruptionBudget", "message": message}
    raise errors.TooManyRequests(_VIOLATES, causes=[cause], retry_after=retry_after)
