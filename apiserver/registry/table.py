"""Which code belongs to which kind: strategies and subresources, by name, loaded when first asked for.

A row is data, so that adding a kind's rules is one line here and one module beside this one. Keys are
(group, plural) and (group, plural, subresource); values `module:name` below `apiserver.registry`.
A strategy is a subclass of `Strategy`. A subresource is `async def f(call, body, parts) -> JSON`, called for POST;
those that are written like their object (status, approval, resize) are the strategy's `prepare_subresource`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.registry.strategy import Strategy

Action = Callable[..., Awaitable[JSON]]

STRATEGIES: dict[tuple[str, str], str] = {
    ("", "configmaps"): "configuration:ConfigMapStrategy",
    ("", "endpoints"): "networking:EndpointsStrategy",
    ("", "events"): "configuration:EventStrategy",
    ("", "limitranges"): "configuration:LimitRangeStrategy",
    ("", "namespaces"): "cluster:NamespaceStrategy",
    ("", "nodes"): "cluster:NodeStrategy",
    ("", "persistentvolumeclaims"): "volumes:PersistentVolumeClaimStrategy",
    ("", "persistentvolumes"): "volumes:PersistentVolumeStrategy",
    ("", "pods"): "pods:PodStrategy",
    ("", "podtemplates"): "workloads:PodTemplateStrategy",
    ("", "replicationcontrollers"): "workloads:ReplicationControllerStrategy",
    ("", "resourcequotas"): "configuration:ResourceQuotaStrategy",
    ("", "secrets"): "configuration:SecretStrategy",
    ("", "services"): "services:ServiceStrategy",
    ("apps", "controllerrevisions"): "workloads:ControllerRevisionStrategy",
    ("apps", "daemonsets"): "workloads:DaemonSetStrategy",
    ("apps", "deployments"): "workloads:DeploymentStrategy",
    ("apps", "replicasets"): "workloads:ReplicaSetStrategy",
    ("apps", "statefulsets"): "workloads:StatefulSetStrategy",
    ("autoscaling", "horizontalpodautoscalers"): "cluster:HorizontalPodAutoscalerStrategy",
    ("batch", "cronjobs"): "jobs:CronJobStrategy",
    ("batch", "jobs"): "jobs:JobStrategy",
    ("certificates.k8s.io", "certificatesigningrequests"): "access:SigningRequestStrategy",
    ("coordination.k8s.io", "leases"): "cluster:LeaseStrategy",
    ("discovery.k8s.io", "endpointslices"): "networking:EndpointSliceStrategy",
    ("events.k8s.io", "events"): "configuration:EventStrategy",
    ("networking.k8s.io", "ingressclasses"): "cluster:IngressClassStrategy",
    ("networking.k8s.io", "ingresses"): "networking:IngressStrategy",
    ("networking.k8s.io", "networkpolicies"): "networking:NetworkPolicyStrategy",
    ("node.k8s.io", "runtimeclasses"): "cluster:RuntimeClassStrategy",
    ("policy", "poddisruptionbudgets"): "cluster:PodDisruptionBudgetStrategy",
    ("rbac.authorization.k8s.io", "clusterrolebindings"): "access:RoleBindingStrategy",
    ("rbac.authorization.k8s.io", "clusterroles"): "access:RoleStrategy",
    ("rbac.authorization.k8s.io", "rolebindings"): "access:RoleBindingStrategy",
    ("rbac.authorization.k8s.io", "roles"): "access:RoleStrategy",
    ("scheduling.k8s.io", "priorityclasses"): "cluster:PriorityClassStrategy",
    ("storage.k8s.io", "csidrivers"): "volumes:CSIDriverStrategy",
    ("storage.k8s.io", "storageclasses"): "volumes:StorageClassStrategy",
}

# What a POST does that creates no stored object.
ACTIONS: dict[tuple[str, str, str], str] = {
    ("", "bindings", ""): "podactions:bind",
    ("", "pods", "binding"): "podactions:bind",
    ("", "pods", "eviction"): "podactions:evict",
    ("", "serviceaccounts", "token"): "token:create",
    ("authentication.k8s.io", "selfsubjectreviews", ""): "reviews:self_subject_review",
    ("authentication.k8s.io", "tokenreviews", ""): "reviews:token_review",
    ("authorization.k8s.io", "localsubjectaccessreviews", ""): "reviews:local_subject_access_review",
    ("authorization.k8s.io", "selfsubjectaccessreviews", ""): "reviews:self_subject_access_review",
    ("authorization.k8s.io", "selfsubjectrulesreviews", ""): "reviews:self_subject_rules_review",
    ("authorization.k8s.io", "subjectaccessreviews", ""): "reviews:subject_access_review",
}


def strategy_for(kind: Kind) -> Strategy:
    """The strategy of a kind: its own, or the generic one."""
    found = STRATEGIES.get((kind.group, kind.plural))
    strategy: type[Strategy] = _load(found) if found else Strategy
    return strategy(kind)


def action_for(group: str, plural: str, subresource: str = "") -> Action | None:
    """What answers a POST to a review kind or to a subresource such as `binding`."""
    found = ACTIONS.get((group, plural, subresource))
    action: Action | None = _load(found) if found else None
    return action


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(f"apiserver.registry.{module}"), attribute)
