"""Why a node won't do: each verdict of `minikubectl why` beside the scheduler's own filters, over random clusters."""

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from minikubectl.placing import FILTERS, Refusal, World, refusals
from scheduler.cluster import Cluster
from scheduler.configuration import DEFAULT_PROFILES, profiles
from scheduler.podinfo import pod_info

JSON = dict[str, Any]

ZONES, APPS, SPACES = ("a", "b"), ("web", "db"), ("one", "two")
app_labels = st.fixed_dictionaries({}, optional={"app": st.sampled_from(APPS), "v": st.sampled_from(("1", "2"))})
effects = st.sampled_from(("NoSchedule", "NoExecute", "PreferNoSchedule"))
taints = st.fixed_dictionaries(
    {"key": st.sampled_from(("k", "l")), "effect": effects}, optional={"value": st.sampled_from(("x", "y"))}
)
tolerations = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from(("k", "l")), "effect": effects, "value": st.sampled_from(("x", "y")),
        "operator": st.sampled_from(("Exists", "Equal")),
    },
)  # fmt: skip
quantities = st.sampled_from(("250m", "1", "1500m", "2"))
memories = st.sampled_from(("64Mi", "1Gi", "1G", "3Gi"))
requests = st.fixed_dictionaries({}, optional={"cpu": quantities, "memory": memories, "x.io/gpu": st.just("1")})
ports = st.fixed_dictionaries(
    {"containerPort": st.just(80)},
    optional={
        "hostPort": st.sampled_from((80, 81)), "hostIP": st.sampled_from(("10.0.0.1", "0.0.0.0")),
        "protocol": st.sampled_from(("TCP", "UDP")),
    },
)  # fmt: skip
selectors = st.one_of(
    st.none(),
    st.fixed_dictionaries({"matchLabels": app_labels}),
    st.builds(
        lambda operator, values: {
            "matchExpressions": [
                {"key": "app", "operator": operator, **({"values": values} if operator.endswith("In") else {})}
            ]
        },
        st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")),
        st.lists(st.sampled_from(APPS), min_size=1, max_size=2, unique=True),
    ),
)
expressions = st.one_of(
    st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        st.sampled_from(("zone", "disk")), st.sampled_from(("In", "NotIn")),
        st.lists(st.sampled_from(("a", "b", "ssd")), min_size=1, max_size=2),
    ),
    st.builds(lambda operator: {"key": "disk", "operator": operator}, st.sampled_from(("Exists", "DoesNotExist"))),
    st.builds(
        lambda operator, bound: {"key": "cores", "operator": operator, "values": [bound]},
        st.sampled_from(("Gt", "Lt")), st.sampled_from(("2", "4", "x")),
    ),
)  # fmt: skip
fields = st.builds(
    lambda name: {"key": "metadata.name", "operator": "In", "values": [name]}, st.sampled_from(("n0", "n1"))
)
node_terms = st.fixed_dictionaries(
    {}, optional={"matchExpressions": st.lists(expressions, max_size=2), "matchFields": st.lists(fields, max_size=1)}
)
keys = st.sampled_from(("zone", "host"))
pod_terms = st.fixed_dictionaries(
    {"topologyKey": keys, "labelSelector": selectors},
    optional={
        "namespaces": st.lists(st.sampled_from(SPACES), max_size=2, unique=True),
        "namespaceSelector": st.sampled_from(({}, {"matchLabels": {"team": "t"}})),
        "matchLabelKeys": st.just(["v"]),
    },
)
constraints = st.fixed_dictionaries(
    {"topologyKey": keys, "maxSkew": st.integers(1, 2), "labelSelector": selectors,
     "whenUnsatisfiable": st.sampled_from(("DoNotSchedule", "ScheduleAnyway"))},
    optional={
        "minDomains": st.integers(1, 3), "nodeAffinityPolicy": st.sampled_from(("Honor", "Ignore")),
        "nodeTaintsPolicy": st.sampled_from(("Honor", "Ignore")), "matchLabelKeys": st.just(["v"]),
    },
)  # fmt: skip


@st.composite
def nodes(draw: st.DrawFn) -> list[JSON]:
    made = []
    for at in range(draw(st.integers(1, 4))):
        labels = draw(st.fixed_dictionaries({}, optional={
            "zone": st.sampled_from(ZONES), "disk": st.just("ssd"), "cores": st.sampled_from(("3", "5")),
        }))  # fmt: skip
        listed = {"cpu": draw(quantities), "memory": "4Gi", "pods": draw(st.sampled_from(("1", "3", "110")))}
        spec = {"unschedulable": draw(st.booleans()), "taints": draw(st.lists(taints, max_size=2))}
        labels["host"] = f"n{at}"
        made.append({"metadata": {"name": f"n{at}", "labels": labels}, "spec": spec, "status": {"allocatable": listed}})
    return made


def affinities(kind: str) -> st.SearchStrategy[JSON]:
    return st.fixed_dictionaries(
        {}, optional={"requiredDuringSchedulingIgnoredDuringExecution": st.lists(pod_terms, max_size=2)}
    )


@st.composite
def pods(draw: st.DrawFn, uid: str, on: str = "") -> JSON:
    container = {"name": "c", "resources": {"requests": draw(requests)}, "ports": draw(st.lists(ports, max_size=1))}
    affinity = draw(st.fixed_dictionaries({}, optional={
        "podAffinity": affinities("podAffinity"), "podAntiAffinity": affinities("podAntiAffinity"),
        "nodeAffinity": st.builds(
            lambda terms: {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}},
            st.lists(node_terms, min_size=1, max_size=2),
        ),
    }))  # fmt: skip
    spec = {
        "containers": [container],
        "tolerations": draw(st.lists(tolerations, max_size=2)),
        "nodeSelector": draw(st.fixed_dictionaries({}, optional={"disk": st.just("ssd")})),
        "affinity": affinity,
        "topologySpreadConstraints": draw(st.lists(constraints, max_size=2)),
        **({"nodeName": on} if on else {}),
    }
    init = draw(st.lists(st.builds(lambda amounts, policy: {
        "name": "i", "resources": {"requests": amounts}, **({"restartPolicy": "Always"} if policy else {}),
    }, requests, st.booleans()), max_size=2))  # fmt: skip
    metadata = {"name": uid, "uid": uid, "namespace": draw(st.sampled_from(SPACES)), "labels": draw(app_labels)}
    return {"metadata": metadata, "spec": {**spec, "initContainers": init}}


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_every_filter_refuses_the_nodes_that_the_schedulers_own_refuses(data: st.DataObject) -> None:
    present = data.draw(nodes())
    running = [
        data.draw(pods(f"r{at}", on=data.draw(st.sampled_from(present))["metadata"]["name"]))
        for at in range(data.draw(st.integers(0, 4)))
    ]
    pod = data.draw(pods("new"))
    spaces = {"one": {"team": "t"}, "two": {}}
    cluster = Cluster()
    cluster.namespaces = dict(spaces)
    for node in present:
        cluster.set_node(node)
    for other in running:
        cluster.add_pod(pod_info(other), other["spec"]["nodeName"])
    theirs: dict[str, set[str]] = {node["metadata"]["name"]: set() for node in present}
    for plugin in profiles(DEFAULT_PROFILES)["default-scheduler"].filters:
        info = pod_info(pod)
        allowed = plugin.filter(cluster, info) if plugin.concerns(info, cluster) else None
        for name, row in cluster.index.items():
            if allowed is not None and not allowed[row]:
                theirs[name].add(plugin.name)
    world = World(present, running, spaces)
    ours = {node["metadata"]["name"]: {each.plugin for each in refusals(pod, node, world)} for node in present}
    for plugin_name in set().union(*ours.values()):
        event(plugin_name)
    assert ours == theirs


def test_there_is_a_rule_for_every_filter_of_the_default_profile() -> None:
    filters = profiles(DEFAULT_PROFILES)["default-scheduler"].filters
    assert {each.name for each in filters if each.name in FILTERS} == set(FILTERS)


NODE: JSON = {
    "metadata": {"name": "n1", "labels": {"disk": "hdd", "zone": "a"}},
    "spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]},
    "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
}


def pod(name: str = "p", *, cpu: str = "", **spec: Any) -> JSON:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu} if cpu else {}}}
    metadata = {"name": name, "uid": name, "namespace": "ns", "labels": {"app": "web"}}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {"cpu": "2", "tolerations": [{"operator": "Exists"}]},
            Refusal(
                "NodeResourcesFit",
                "cpu: the pod requests 2, 500m of 4 are free",
                "request less, or free 1500m there",
            ),
        ),
        (
            {"cpu": "5", "tolerations": [{"operator": "Exists"}]},
            Refusal(
                "NodeResourcesFit",
                "cpu: the pod requests 5, 500m of 4 are free",
                "more than the whole node has: request less, or add a larger node",
            ),
        ),
        (
            {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]},
            Refusal(
                "NodeAffinity",
                "nodeSelector asks for disk=ssd, the node has disk=hdd",
                "`minikubectl label node n1 disk=ssd --overwrite`, or change nodeSelector",
            ),
        ),
        (
            {},
            Refusal(
                "TaintToleration",
                "the pod doesn't tolerate the node's taint gpu=yes:NoSchedule",
                "give the pod a toleration for it, or `minikubectl taint node n1 gpu:NoSchedule-`",
            ),
        ),
    ],
)
def test_a_refusal_says_what_is_so_and_what_would_have_to_change(spec: JSON, said: Refusal) -> None:
    running = pod("big", cpu="3500m", nodeName="n1")
    assert refusals(pod(**spec), NODE, World([NODE], [running])) == [said]


def test_claims_that_are_missing_lost_or_unbound_are_told_apart() -> None:
    node = {**NODE, "spec": {}}
    names = ("missing", "lost", "slow", "later")
    claims = {
        "ns/lost": {"spec": {"accessModes": [], "volumeName": "v"}, "status": {"phase": "Lost"}},
        "ns/slow": {"spec": {"accessModes": [], "storageClassName": "immediate"}},
        "ns/later": {"spec": {"accessModes": [], "storageClassName": "waits"}},
    }
    for key, claim in claims.items():
        claim["metadata"] = {"namespace": "ns", "name": key.partition("/")[2]}
    classes = {
        "immediate": {"volumeBindingMode": "Immediate", "provisioner": "x"},
        "waits": {"volumeBindingMode": "WaitForFirstConsumer", "provisioner": "x"},
    }
    mounted = pod(volumes=[{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names])
    found = refusals(mounted, node, World([node], [], claims=claims, classes=classes))
    assert [each.what for each in found] == [
        "claim ns/missing doesn't exist",
        "claim ns/lost has lost its volume v",
        "claim ns/slow is not bound: no volume fits, or none has been made yet",
    ]
