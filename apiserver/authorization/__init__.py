"""Who may do what: RBAC, the Node authorizer, default policy, impersonation."""

from __future__ import annotations

from collections.abc import Sequence

from apimachinery import kinds
from apiserver.authorization.authorizer import Always, Authorizer, Mode
from apiserver.authorization.decision import NO_OPINION, Decision
from apiserver.authorization.node import NodeAuthorizer, NodeGraph
from apiserver.authorization.rbac import RBAC
from apiserver.authorization.reconciling import ensure_default_policy
from apiserver.storage import Storage

__all__ = ["Authorizer", "Decision", "build_authorizer", "ensure_default_policy"]


def build_authorizer(storage: Storage, modes: Sequence[str] = ("Node", "RBAC")) -> Authorizer:
    """The authorizer of `--authorization-mode`, fed by the storage; call before the storage starts."""
    rbac = RBAC()
    storage.listen(kinds.CLUSTER_ROLE, rbac.on_cluster_role)
    storage.listen(kinds.ROLE, rbac.on_role)
    storage.listen(kinds.CLUSTER_ROLE_BINDING, rbac.on_cluster_role_binding)
    storage.listen(kinds.ROLE_BINDING, rbac.on_role_binding)
    chosen: list[Mode] = []
    for mode in modes:
        match mode:
            case "RBAC":
                chosen.append(rbac)
            case "Node":
                graph = NodeGraph()
                storage.listen_entries(kinds.POD, graph.on_pod)
                storage.listen(kinds.PERSISTENT_VOLUME, graph.on_volume)
                storage.listen(kinds.VOLUME_ATTACHMENT, graph.on_attachment)
                chosen.append(NodeAuthorizer(graph))
            case "AlwaysAllow":
                chosen.append(Always(Decision(True)))
            case "AlwaysDeny":
                chosen.append(Always(NO_OPINION))
            case _:
                raise ValueError(f"unknown authorization mode {mode!r}")
    return Authorizer(chosen, rbac)
