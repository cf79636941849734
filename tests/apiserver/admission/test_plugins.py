"""Each admission plugin: what it fills in, and what it refuses in which words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apimachinery import errors, kinds
from apimachinery.kinds import Kind
from apimachinery.meta import JSON
from apiserver.admission import Attributes, Chain, build_chain
from apiserver.authorization import build_authorizer
from apiserver.request import User
from tests.apiserver.fake_storage import FakeStorage, obj

RBAC = "rbac.authorization.k8s.io/v1"
JANE = User("jane", "", ("devs",))
NODE = User("system:node:node1", "", ("system:nodes",))


def namespace(name: str, phase: str = "Active") -> JSON:
    return obj("v1", "Namespace", name, status={"phase": phase})


def account(name: str = "default", **fields: Any) -> JSON:
    return obj("v1", "ServiceAccount", name, namespace="team", **fields)


def pod(**spec: Any) -> JSON:
    return obj("v1", "Pod", "web", namespace="team", spec={"containers": [{"name": "c", "image": "i"}], **spec})


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def chain(storage: FakeStorage) -> Chain:
    made: Any = storage
    chain = build_chain(
        made, build_authorizer(made, ["RBAC"]), enabled=("NodeRestriction", "OwnerReferencesPermissionEnforcement")
    )
    storage.put(namespace("team"))
    storage.put(account())
    return chain


def write(
    kind: Kind,
    obj: JSON | None,
    *,
    operation: str = "CREATE",
    user: User = JANE,
    old: JSON | None = None,
    subresource: str = "",
    name: str = "",
) -> Attributes:
    metadata = (obj or old or {}).get("metadata") or {}
    return Attributes(
        user, operation, kind, subresource, metadata.get("namespace", ""), name or metadata.get("name", ""), obj, old
    )


async def run(chain: Chain, a: Attributes) -> JSON:
    await chain.admit(a)
    await chain.validate(a)
    return a.object


async def refusal(chain: Chain, a: Attributes) -> str:
    with pytest.raises(errors.StatusError) as caught:
        await run(chain, a)
    return caught.value.message


# -- NamespaceLifecycle


async def test_nothing_is_created_in_an_absent_namespace(chain: Chain) -> None:
    config = obj("v1", "ConfigMap", "c", namespace="nowhere")
    with pytest.raises(errors.NotFound, match='namespaces "nowhere" not found'):
        await run(chain, write(kinds.CONFIG_MAP, config))


async def test_a_namespace_that_only_etcd_knows_is_enough(chain: Chain, storage: FakeStorage) -> None:
    storage.put(namespace("new"), cached=False)
    await run(chain, write(kinds.CONFIG_MAP, obj("v1", "ConfigMap", "c", namespace="new")))


async def test_nothing_is_created_in_a_namespace_that_goes(chain: Chain, storage: FakeStorage) -> None:
    storage.put(namespace("team", "Terminating"))
    with pytest.raises(errors.Forbidden) as caught:
        await run(chain, write(kinds.CONFIG_MAP, obj("v1", "ConfigMap", "c", namespace="team")))
    assert caught.value.message == (
        'configmaps "c" is forbidden: unable to create new content in namespace team because it is being terminated'
    )
    assert caught.value.causes[0]["reason"] == "NamespaceTerminating"


async def test_system_namespaces_stay(chain: Chain) -> None:
    message = await refusal(chain, write(kinds.NAMESPACE, None, operation="DELETE", name="kube-system"))
    assert message == 'namespaces "kube-system" is forbidden: this namespace may not be deleted'


def test_most_writes_interest_nobody(chain: Chain) -> None:
    assert not chain.interested(kinds.CONFIG_MAP, "", "DELETE")
    assert not chain.interested(kinds.DEPLOYMENT, "status", "UPDATE")
    assert chain.interested(kinds.POD, "", "CREATE")


# -- ServiceAccount


async def test_a_pod_gets_the_default_account_and_its_token(chain: Chain) -> None:
    spec = (await run(chain, write(kinds.POD, pod(initContainers=[{"name": "i"}]))))["spec"]
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    [volume] = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert volume["projected"]["defaultMode"] == 420
    assert [next(iter(each)) for each in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    for container in (*spec["containers"], *spec["initContainers"]):
        assert container["volumeMounts"] == [
            {"name": volume["name"], "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
        ]


@pytest.mark.parametrize(
    ("of_pod", "of_account", "mounted"),
    [(None, None, True), (False, None, False), (None, False, False), (True, False, True), (False, True, False)],
)
async def test_who_says_whether_the_token_is_mounted(
    chain: Chain, storage: FakeStorage, of_pod: bool | None, of_account: bool | None, mounted: bool
) -> None:
    fields = {} if of_account is None else {"automountServiceAccountToken": of_account}
    storage.put(account("bot", **fields))
    wanted = pod(serviceAccountName="bot", **({} if of_pod is None else {"automountServiceAccountToken": of_pod}))
    assert bool((await run(chain, write(kinds.POD, wanted)))["spec"].get("volumes")) is mounted


async def test_a_mount_of_ones_own_stays_alone(chain: Chain) -> None:
    mount = {"name": "own", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    spec = (await run(chain, write(kinds.POD, pod(containers=[{"name": "c", "volumeMounts": [mount]}]))))["spec"]
    assert "volumes" not in spec
    assert spec["containers"][0]["volumeMounts"] == [mount]


async def test_pull_secrets_come_from_the_account(chain: Chain, storage: FakeStorage) -> None:
    storage.put(account(imagePullSecrets=[{"name": "registry"}]))
    assert (await run(chain, write(kinds.POD, pod())))["spec"]["imagePullSecrets"] == [{"name": "registry"}]


async def test_the_default_account_of_a_new_namespace_is_waited_for(chain: Chain, storage: FakeStorage) -> None:
    storage.remove(kinds.SERVICE_ACCOUNT.registry_prefix + "team/default")
    waiting = asyncio.create_task(run(chain, write(kinds.POD, pod())))
    await storage.missed.wait()
    storage.put(account())
    assert (await waiting)["spec"]["serviceAccountName"] == "default"


async def test_an_absent_account_is_named(chain: Chain, storage: FakeStorage) -> None:
    message = await refusal(chain, write(kinds.POD, pod(serviceAccountName="bot")))
    assert message == (
        'pods "web" is forbidden: error looking up service account team/bot: serviceaccount "bot" not found'
    )
    storage.put(account("bot"), cached=False)
    await run(chain, write(kinds.POD, pod(serviceAccountName="bot")))


# -- DefaultTolerationSeconds, Priority


async def test_a_pod_tolerates_a_lost_node_for_five_minutes(chain: Chain) -> None:
    own = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    tolerations = (await run(chain, write(kinds.POD, pod(tolerations=[own]))))["spec"]["tolerations"]
    assert tolerations == [
        own,
        {
            "key": "node.kubernetes.io/unreachable",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        },
    ]
    everything = [{"operator": "Exists"}]
    spec = (await run(chain, write(kinds.POD, pod(tolerations=everything))))["spec"]
    assert spec["tolerations"] == everything


def priority_class(name: str, value: int, **fields: Any) -> JSON:
    return obj("scheduling.k8s.io/v1", "PriorityClass", name, value=value, **fields)


async def test_a_class_is_resolved(chain: Chain, storage: FakeStorage) -> None:
    assert (await run(chain, write(kinds.POD, pod())))["spec"]["priority"] == 0
    storage.put(priority_class("high", 100, preemptionPolicy="Never"))
    spec = (await run(chain, write(kinds.POD, pod(priorityClassName="high"))))["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (100, "Never")
    storage.put(priority_class("usual", 7, globalDefault=True))
    spec = (await run(chain, write(kinds.POD, pod())))["spec"]
    assert (spec["priorityClassName"], spec["priority"]) == ("usual", 7)


async def test_classes_and_numbers_that_do_not_fit_are_refused(chain: Chain, storage: FakeStorage) -> None:
    message = await refusal(chain, write(kinds.POD, pod(priorityClassName="none")))
    assert message == 'pods "web" is forbidden: no PriorityClass with name none was found'
    message = await refusal(chain, write(kinds.POD, pod(priority=5)))
    assert message.startswith('pods "web" is forbidden: the integer value of priority (5) must not be provided')
    storage.put(priority_class("usual", 7, globalDefault=True))
    message = await refusal(chain, write(kinds.PRIORITY_CLASS, priority_class("more", 8, globalDefault=True)))
    assert "PriorityClass usual is already marked as default" in message
    message = await refusal(chain, write(kinds.PRIORITY_CLASS, None, operation="DELETE", name="system-node-critical"))
    assert "this is a system priority class and cannot be deleted" in message


# -- NodeRestriction, TaintNodesByCondition


async def test_a_new_node_starts_tainted(chain: Chain) -> None:
    node = await run(chain, write(kinds.NODE, obj("v1", "Node", "node1", spec={"taints": [{"key": "own"}]})))
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["own", "node.kubernetes.io/not-ready"]


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        ("kubernetes.io/hostname", True),
        ("topology.kubernetes.io/zone", True),
        ("example.com/x", True),
        ("plain", True),
        ("node.kubernetes.io/anything", True),
        ("x.kubelet.kubernetes.io/y", True),
        ("node-role.kubernetes.io/master", False),
        ("node-restriction.kubernetes.io/x", False),
        ("k8s.io/x", False),
    ],
)
async def test_which_labels_a_kubelet_sets(chain: Chain, label: str, allowed: bool) -> None:
    node = obj("v1", "Node", "node1", metadata={"labels": {label: "x"}})
    a = write(kinds.NODE, node, user=NODE)
    if allowed:
        await run(chain, a)
    else:
        assert f"is not allowed to set the following labels: {label}" in await refusal(chain, a)


async def test_a_kubelet_writes_its_own_node_only(chain: Chain) -> None:
    other = obj("v1", "Node", "node2")
    assert 'node "node1" is not allowed to modify node "node2"' in await refusal(
        chain, write(kinds.NODE, other, operation="UPDATE", old=other, user=NODE, subresource="status")
    )
    own = obj("v1", "Node", "node1")
    tainted = obj("v1", "Node", "node1", spec={"taints": [{"key": "x"}]})
    assert "is not allowed to modify taints" in await refusal(
        chain, write(kinds.NODE, own, operation="UPDATE", old=tainted, user=NODE)
    )
    await run(chain, write(kinds.NODE, own, operation="UPDATE", old=own, user=NODE, subresource="status"))


async def test_a_kubelet_writes_the_status_of_its_pods_only(chain: Chain) -> None:
    mine, other = pod(nodeName="node1"), pod(nodeName="node2")
    await run(chain, write(kinds.POD, mine, operation="UPDATE", old=mine, user=NODE, subresource="status"))
    await run(chain, write(kinds.POD, None, operation="DELETE", old=mine, user=NODE))
    assert 'node "node1" can only update status for pods with spec.nodeName set to itself' in await refusal(
        chain, write(kinds.POD, other, operation="UPDATE", old=other, user=NODE, subresource="status")
    )
    assert "can only delete pods with spec.nodeName set to itself" in await refusal(
        chain, write(kinds.POD, None, operation="DELETE", old=other, user=NODE)
    )
    assert "can only create mirror pods" in await refusal(chain, write(kinds.POD, pod(nodeName="node1"), user=NODE))


@pytest.mark.parametrize(
    ("spec", "resource"),
    [
        ({"imagePullSecrets": [{"name": "s"}]}, "secrets"),
        ({"containers": [{"name": "c", "envFrom": [{"secretRef": {"name": "s"}}]}]}, "secrets"),
        (
            {"initContainers": [{"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]},
            "secrets",
        ),
        ({"containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "m"}}]}]}, "configmaps"),
        ({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, "secrets"),
        ({"volumes": [{"name": "v", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "s"}}}]}, "secrets"),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}, "persistentvolumeclaims"),
        ({"volumes": [{"name": "v", "ephemeral": {}}]}, "persistentvolumeclaims"),
        ({"resourceClaims": [{"name": "r", "resourceClaimName": "c"}]}, "resourceclaims"),
    ],
)
async def test_a_kubelet_makes_no_pod_that_would_let_it_read_more(chain: Chain, spec: JSON, resource: str) -> None:
    mirror = pod(nodeName="node1", **spec)
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert f'node "node1" can not create pods that reference {resource}' in await refusal(
        chain, write(kinds.POD, mirror, user=NODE)
    )


def directory_of(node: str, **metadata: Any) -> JSON:
    """A deleted volume that is a directory of a node."""
    metadata = {
        "labels": {"mini-kubernetes.io/node": node},
        "annotations": {"pv.kubernetes.io/provisioned-by": "mini-kubernetes.io/node-local"},
        "finalizers": ["mini-kubernetes.io/node-local", "example.com/other"],
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        **metadata,
    }
    return obj("v1", "PersistentVolume", "pvc-1", spec={"local": {"path": "/x"}}, metadata=metadata)


async def test_a_kubelet_says_that_a_directory_of_its_own_is_removed_and_nothing_else(chain: Chain) -> None:
    left = ["example.com/other"]

    def update(old: JSON, new: JSON) -> Attributes:
        return write(kinds.PERSISTENT_VOLUME, new, operation="UPDATE", old=old, user=NODE)

    await run(chain, update(directory_of("node1"), directory_of("node1", finalizers=left)))
    for old, new in (
        (directory_of("node2"), directory_of("node2", finalizers=left)),
        (directory_of("node1", deletionTimestamp=None), directory_of("node1", deletionTimestamp=None, finalizers=left)),
        (directory_of("node1", annotations={}), directory_of("node1", annotations={}, finalizers=left)),
        (directory_of("node1"), directory_of("node1", finalizers=[])),
        (directory_of("node1"), directory_of("node1", finalizers=left, labels={})),
        (directory_of("node1"), directory_of("node1", finalizers=left) | {"spec": {"local": {"path": "/y"}}}),
    ):
        assert 'node "node1" can only' in await refusal(chain, update(old, new))


async def test_new_claims_and_volumes_are_protected(chain: Chain) -> None:
    claim = obj("v1", "PersistentVolumeClaim", "data", namespace="team", spec={})
    assert (await run(chain, write(kinds.PERSISTENT_VOLUME_CLAIM, claim)))["metadata"]["finalizers"] == [
        "kubernetes.io/pvc-protection"
    ]
    volume = obj("v1", "PersistentVolume", "v", spec={}, metadata={"finalizers": ["example.com/x"]})
    assert (await run(chain, write(kinds.PERSISTENT_VOLUME, volume)))["metadata"]["finalizers"] == [
        "example.com/x",
        "kubernetes.io/pv-protection",
    ]


def sized(size: str, phase: str = "Bound", klass: str = "fast") -> JSON:
    spec = {"storageClassName": klass, "resources": {"requests": {"storage": size}}}
    return obj("v1", "PersistentVolumeClaim", "data", namespace="team", spec=spec, status={"phase": phase})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (sized("1Gi"), sized("2Gi"), None),
        (sized("1Gi"), sized("1Gi"), None),
        (sized("1Gi", klass="standard"), sized("2Gi", klass="standard"), "only dynamically provisioned pvc can be"),
        (sized("1Gi", klass=""), sized("2Gi", klass=""), "only dynamically provisioned pvc can be"),
        (sized("1Gi", "Pending"), sized("2Gi", "Pending"), "Only bound persistent volume claims can be expanded"),
    ],
)
async def test_a_claim_grows_where_its_class_lets_it(
    chain: Chain, storage: FakeStorage, old: JSON, new: JSON, message: str | None
) -> None:
    storage.put(obj("storage.k8s.io/v1", "StorageClass", "fast", allowVolumeExpansion=True))
    storage.put(obj("storage.k8s.io/v1", "StorageClass", "standard"))
    a = write(kinds.PERSISTENT_VOLUME_CLAIM, new, operation="UPDATE", old=old)
    if message is None:
        await run(chain, a)
    else:
        assert message in await refusal(chain, a)


@pytest.mark.parametrize(
    ("node", "reference", "message"),
    [
        ("node1", {"kind": "Pod", "name": "web", "uid": "uid-web"}, None),
        ("node2", {"kind": "Pod", "name": "web", "uid": "uid-web"}, "pod scheduled on a different node"),
        ("node1", {"kind": "Pod", "name": "web", "uid": "old"}, "does not match the UID in record"),
        ("node1", {"kind": "Secret", "name": "s", "uid": "x"}, "not bound to a pod"),
    ],
)
async def test_a_kubelet_asks_for_tokens_of_its_pods_only(
    chain: Chain, storage: FakeStorage, node: str, reference: JSON, message: str | None
) -> None:
    storage.put(pod(nodeName=node))
    request = {"metadata": {"name": "default", "namespace": "team"}, "spec": {"boundObjectRef": reference}}
    a = write(kinds.SERVICE_ACCOUNT, request, user=NODE, subresource="token")
    if message is None:
        await run(chain, a)
    else:
        assert message in await refusal(chain, a)


# -- escalation


def grant(storage: FakeStorage, *rules: JSON) -> None:
    storage.put(obj(RBAC, "ClusterRole", "held", rules=list(rules)))
    storage.put(
        obj(
            RBAC,
            "ClusterRoleBinding",
            "held",
            subjects=[{"kind": "User", "name": "jane"}],
            roleRef={"kind": "ClusterRole", "name": "held"},
        )
    )


PODS = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}


async def test_nobody_grants_more_than_they_hold(chain: Chain, storage: FakeStorage) -> None:
    grant(storage, {**PODS, "verbs": ["get"]})
    role = obj(RBAC, "ClusterRole", "r", rules=[PODS])
    assert await refusal(chain, write(kinds.CLUSTER_ROLE, role)) == (
        'clusterroles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["devs"]) is attempting to '
        'grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["list"]}'
    )
    await run(chain, write(kinds.CLUSTER_ROLE, role, operation="UPDATE", old=role))
    await run(chain, write(kinds.CLUSTER_ROLE, role, user=User("root", "", ("system:masters",))))
    grant(storage, {"verbs": ["escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"]})
    await run(chain, write(kinds.CLUSTER_ROLE, role))


async def test_binding_needs_what_the_role_grants_or_the_right_to_bind(chain: Chain, storage: FakeStorage) -> None:
    storage.put(obj(RBAC, "ClusterRole", "reader", rules=[PODS]))
    binding = obj(
        RBAC,
        "RoleBinding",
        "b",
        namespace="team",
        subjects=[{"kind": "User", "name": "bob"}],
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
    )
    assert "not currently held" in await refusal(chain, write(kinds.ROLE_BINDING, binding))
    grant(
        storage,
        {
            "verbs": ["bind"],
            "apiGroups": ["rbac.authorization.k8s.io"],
            "resources": ["clusterroles"],
            "resourceNames": ["reader"],
        },
    )
    await run(chain, write(kinds.ROLE_BINDING, binding))
    grant(storage, PODS)
    await run(chain, write(kinds.ROLE_BINDING, binding))
    binding["roleRef"]["name"] = "absent"
    assert 'clusterroles.rbac.authorization.k8s.io "absent" not found' in await refusal(
        chain, write(kinds.ROLE_BINDING, binding)
    )


async def test_blocking_an_owner_needs_its_finalizers(chain: Chain, storage: FakeStorage) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "1", "blockOwnerDeletion": True}
    owned = obj("v1", "ConfigMap", "c", namespace="team", metadata={"ownerReferences": [owner]})
    assert "cannot set blockOwnerDeletion" in await refusal(chain, write(kinds.CONFIG_MAP, owned))
    grant(storage, {"verbs": ["update"], "apiGroups": ["apps"], "resources": ["replicasets/finalizers"]})
    await run(chain, write(kinds.CONFIG_MAP, owned))


# -- certificates


def signing_request(signer: str, **fields: Any) -> JSON:
    return obj("certificates.k8s.io/v1", "CertificateSigningRequest", "csr", spec={"signerName": signer}, **fields)


@pytest.mark.parametrize(("verb", "subresource"), [("approve", "approval"), ("sign", "status")])
async def test_approving_and_signing_need_a_right_on_the_signer(
    chain: Chain, storage: FakeStorage, verb: str, subresource: str
) -> None:
    old = signing_request("example.com/a")
    new = signing_request("example.com/a", status={"certificate": "x"})
    a = write(kinds.CERTIFICATE_SIGNING_REQUEST, new, operation="UPDATE", old=old, subresource=subresource)
    assert f'user not permitted to {verb} requests with signerName "example.com/a"' in await refusal(chain, a)
    grant(
        storage,
        {
            "verbs": [verb],
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["signers"],
            "resourceNames": ["example.com/*"],
        },
    )
    await run(chain, a)


def test_unknown_plugins_are_refused_at_start(storage: FakeStorage) -> None:
    made: Any = storage
    with pytest.raises(ValueError, match="NoSuchPlugin"):
        build_chain(made, build_authorizer(made, ["RBAC"]), enabled=("NoSuchPlugin",))
