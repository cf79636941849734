"""Rows, as kubectl shows them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apimachinery import kinds, printers
from apimachinery.kinds import KINDS, Kind
from apimachinery.printers import human_duration

JSON = dict[str, Any]
NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
META = {"name": "x", "namespace": "default", "creationTimestamp": "2026-01-02T11:55:00Z"}


def shown(kind: Kind, obj: JSON) -> JSON:
    """The row by column name."""
    cells = printers.row(kind, {"metadata": META, **obj}, now=NOW)
    return {column["name"]: cell for column, cell in zip(printers.columns(kind), cells, strict=True)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda each: each.resource)
def test_every_kind_prints_even_when_empty(kind: Kind) -> None:
    row = shown(kind, {})
    assert row["Name"] == "x"
    assert all(isinstance(cell, str | int | bool) for cell in row.values())
    assert all(isinstance(cell, str | int | bool) for cell in printers.row(kind, {"metadata": {}}, now=NOW))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (119, "119s"),
        (120, "2m"),
        (330, "5m30s"),
        (3600, "60m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (50 * 3600, "2d2h"),
        (9 * 86400, "9d"),
        (800 * 86400, "2y70d"),
        (730 * 86400, "2y"),
        (4000 * 86400, "10y"),
    ],
)
def test_durations_have_two_units_at_most(seconds: int, text: str) -> None:
    assert human_duration(timedelta(seconds=seconds)) == text


def running(**more: Any) -> JSON:
    return {"name": "c", "ready": True, "restartCount": 0, "state": {"running": {}}, **more}


def waiting(reason: str, **more: Any) -> JSON:
    return {"name": "c", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": reason}}, **more}


def ended(**terminated: Any) -> JSON:
    return {"name": "c", "ready": False, "restartCount": 0, "state": {"terminated": terminated}}


def pod(phase: str, *statuses: JSON, init: tuple[JSON, ...] = (), spec: JSON | None = None, **more: Any) -> JSON:
    return {
        "spec": spec
        or {"containers": [{"name": "c"}] * max(1, len(statuses)), "initContainers": [{"name": "i"}] * len(init)},
        "status": {"phase": phase, "containerStatuses": list(statuses), "initContainerStatuses": list(init), **more},
    }


READY = [{"type": "Ready", "status": "True"}]
FINISHED = {"terminated": {"finishedAt": "2026-01-02T11:59:00Z"}}
PODS = [
    (pod("Pending"), "0/1", "Pending", "0"),
    (pod("Running", running()), "1/1", "Running", "0"),
    (pod("Running", running(), waiting("CrashLoopBackOff")), "1/2", "CrashLoopBackOff", "0"),
    (pod("Running", running(restartCount=2, lastState=FINISHED)), "1/1", "Running", "2 (60s ago)"),
    (pod("Succeeded", ended(exitCode=0, reason="Completed")), "0/1", "Completed", "0"),
    (pod("Running", running(), ended(exitCode=0, reason="Completed"), conditions=READY), "1/2", "Running", "0"),
    (pod("Running", ended(exitCode=0, reason="Completed"), running()), "1/2", "NotReady", "0"),
    (pod("Failed", ended(exitCode=3)), "0/1", "ExitCode:3", "0"),
    (pod("Failed", ended(exitCode=137, signal=9)), "0/1", "Signal:9", "0"),
    (pod("Failed", reason="Evicted"), "0/1", "Evicted", "0"),
    (pod("Pending", init=(waiting("PodInitializing"),)), "0/1", "Init:0/1", "0"),
    (pod("Pending", init=(ended(exitCode=0), running())), "0/1", "Init:1/2", "0"),
    (pod("Pending", init=(waiting("ImagePullBackOff"),)), "0/1", "Init:ImagePullBackOff", "0"),
    (pod("Pending", init=(ended(exitCode=1, reason="Error"),)), "0/1", "Init:Error", "0"),
    (pod("Pending", init=(ended(exitCode=1, signal=9),)), "0/1", "Init:Signal:9", "0"),
    (pod("Pending", waiting("PodInitializing"), init=(ended(exitCode=0),)), "0/1", "PodInitializing", "0"),
    (
        pod("Pending", conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]),
        *("0/1", "SchedulingGated", "0"),
    ),
    (
        pod(
            "Running",
            running(restartCount=1),
            init=(running(name="s", started=True, restartCount=2),),
            spec={"containers": [{"name": "c"}], "initContainers": [{"name": "s", "restartPolicy": "Always"}]},
        ),
        *("2/2", "Running", "3"),
    ),
]


@pytest.mark.parametrize(("obj", "ready", "status", "restarts"), PODS)
def test_a_pods_status_is_what_its_containers_amount_to(obj: JSON, ready: str, status: str, restarts: str) -> None:
    row = shown(kinds.POD, obj)
    assert (row["Ready"], row["Status"], row["Restarts"], row["Age"]) == (ready, status, restarts, "5m")


def test_a_deleted_pod_is_terminating_until_it_has_ended() -> None:
    deleted = {**META, "deletionTimestamp": "2026-01-02T11:59:00Z"}
    assert shown(kinds.POD, {**pod("Running", running()), "metadata": deleted})["Status"] == "Terminating"
    assert shown(kinds.POD, {**pod("Succeeded"), "metadata": deleted})["Status"] == "Succeeded"
    assert shown(kinds.POD, {**pod("Running", reason="NodeLost"), "metadata": deleted})["Status"] == "Unknown"


def test_pods_wide_columns_have_priority_one() -> None:
    obj = pod("Running", running(), podIPs=[{"ip": "10.244.0.2"}])
    obj["spec"]["nodeName"] = "node"
    obj["spec"]["readinessGates"] = [{"conditionType": "Ready"}]
    assert printers.row(kinds.POD, {"metadata": META, **obj}, now=NOW)[5:] == ["10.244.0.2", "node", "<none>", "0/1"]
    assert [each["priority"] for each in printers.columns(kinds.POD)] == [0] * 5 + [1] * 4


def condition(type_: str, status: str = "True") -> JSON:
    return {"type": type_, "status": status}


ROWS: list[tuple[Kind, JSON, JSON]] = [
    (
        kinds.DEPLOYMENT,
        {
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y"}]}},
            },
            "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2},
        },
        {
            "Ready": "2/3",
            "Up-to-date": 3,
            "Available": 2,
            "Containers": "a,b",
            "Images": "x:1,y",
            "Selector": "app=web",
        },
    ),
    (
        kinds.NODE,
        {
            "metadata": {**META, "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/os": "linux"}},
            "spec": {"unschedulable": True},
            "status": {
                "conditions": [condition("Ready")],
                "nodeInfo": {"kubeletVersion": "v1.37.0"},
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            },
        },
        {
            "Status": "Ready,SchedulingDisabled",
            "Roles": "control-plane",
            "Version": "v1.37.0",
            "Internal-IP": "10.0.0.1",
            "External-IP": "<none>",
            "OS-Image": "<unknown>",
        },
    ),
    (
        kinds.NODE,
        {"status": {"conditions": [condition("Ready", "Unknown")]}},
        {"Status": "NotReady", "Roles": "<none>"},
    ),
    (
        kinds.SERVICE,
        {
            "spec": {
                "type": "NodePort",
                "clusterIPs": ["10.96.0.1"],
                "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
            }
        },
        {"Cluster-IP": "10.96.0.1", "External-IP": "<none>", "Port(s)": "80:30080/TCP,53/UDP", "Selector": "<none>"},
    ),
    (kinds.SERVICE, {"spec": {"type": "LoadBalancer"}}, {"External-IP": "<pending>", "Cluster-IP": "<none>"}),
    (kinds.SERVICE, {"spec": {"type": "ExternalName", "externalName": "a.b"}}, {"External-IP": "a.b"}),
    (
        kinds.ENDPOINTS,
        {"subsets": [{"addresses": [{"ip": f"10.0.0.{n}"} for n in range(5)], "ports": [{"port": 80}]}]},
        {"Endpoints": "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."},
    ),
    (
        kinds.ENDPOINT_SLICE,
        {"addressType": "IPv4", "ports": [{"port": 80}, {"name": "x"}], "endpoints": [{"addresses": ["10.0.0.1"]}]},
        {"AddressType": "IPv4", "Ports": "80,x", "Endpoints": "10.0.0.1"},
    ),
    (kinds.ENDPOINT_SLICE, {"addressType": "IPv4"}, {"Ports": "<unset>", "Endpoints": "<unset>"}),
    (
        kinds.JOB,
        {
            "spec": {"completions": 2},
            "status": {
                "succeeded": 2,
                "startTime": "2026-01-02T11:00:00Z",
                "completionTime": "2026-01-02T11:00:12Z",
                "conditions": [condition("Complete")],
            },
        },
        {"Status": "Complete", "Completions": "2/2", "Duration": "12s"},
    ),
    (kinds.JOB, {"spec": {"parallelism": 3}}, {"Status": "Running", "Completions": "0/1 of 3", "Duration": ""}),
    (
        kinds.CRON_JOB,
        {
            "spec": {"schedule": "* * * * *", "suspend": False},
            "status": {"active": [{}], "lastScheduleTime": "2026-01-02T11:59:00Z"},
        },
        {"Suspend": "False", "Active": 1, "Last Schedule": "60s", "Timezone": "<none>"},
    ),
    (
        kinds.HORIZONTAL_POD_AUTOSCALER,
        {
            "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": "web"},
                "maxReplicas": 5,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}],
            }
        },
        {
            "Reference": "Deployment/web",
            "Targets": "cpu: <unknown>/80%",
            "MinPods": "<unset>",
            "MaxPods": 5,
            "Replicas": 0,
        },
    ),
    (kinds.POD_DISRUPTION_BUDGET, {"spec": {"minAvailable": 0}}, {"Min Available": "0", "Max Unavailable": "N/A"}),
    (
        kinds.CORE_EVENT,
        {
            "involvedObject": {"kind": "Pod", "name": "a", "fieldPath": "spec"},
            "lastTimestamp": "2026-01-02T11:59:30Z",
            "firstTimestamp": "2026-01-02T11:59:00Z",
            "source": {"component": "kubelet", "host": "n"},
            "message": "hi\n",
        },
        {
            "Last Seen": "30s",
            "First Seen": "60s",
            "Object": "pod/a",
            "Source": "kubelet, n",
            "Message": "hi",
            "Count": 1,
        },
    ),
    (
        kinds.CERTIFICATE_SIGNING_REQUEST,
        {
            "spec": {"signerName": "s", "username": "u", "expirationSeconds": 86400},
            "status": {"conditions": [condition("Approved")], "certificate": "x"},
        },
        {"Condition": "Approved,Issued", "Requestor": "u", "RequestedDuration": "24h"},
    ),
    (
        kinds.PERSISTENT_VOLUME_CLAIM,
        {
            "spec": {"volumeName": "pv", "storageClassName": "std"},
            "status": {
                "phase": "Bound",
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
            },
        },
        {"Status": "Bound", "Volume": "pv", "Capacity": "1Gi", "Access Modes": "RWO,RWX", "StorageClass": "std"},
    ),
    (
        kinds.STORAGE_CLASS,
        {
            "metadata": {**META, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "p",
        },
        {"Name": "x (default)", "ReclaimPolicy": "Delete", "AllowVolumeExpansion": False},
    ),
    (
        kinds.RESOURCE_QUOTA,
        {"status": {"hard": {"pods": "4", "limits.cpu": "2", "requests.cpu": "1"}, "used": {"pods": "1"}}},
        {"Request": "pods: 1/4, requests.cpu: 0/1", "Limit": "limits.cpu: 0/2"},
    ),
    (
        kinds.ROLE_BINDING,
        {
            "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "namespace": "n", "name": "s"}],
        },
        {"Role": "Role/r", "Users": "u", "Groups": "", "ServiceAccounts": "n/s"},
    ),
    (
        kinds.INGRESS,
        {"spec": {"tls": [{}], "rules": [{"host": "a"}]}},
        {"Hosts": "a", "Ports": "80, 443", "Class": "<none>"},
    ),
    (kinds.NETWORK_POLICY, {"spec": {"podSelector": {}}}, {"Pod-Selector": "<none>"}),
    (kinds.CONFIG_MAP, {"data": {"a": "b"}, "binaryData": {"c": ""}}, {"Data": 2, "Age": "5m"}),
    (kinds.ROLE, {}, {"Created At": "2026-01-02T11:55:00Z"}),
]


@pytest.mark.parametrize(
    ("kind", "obj", "expected"), ROWS, ids=lambda each: each.resource if isinstance(each, Kind) else ""
)
def test_rows_read_as_kubectl_users_know_them(kind: Kind, obj: JSON, expected: JSON) -> None:
    row = shown(kind, obj)
    assert {name: row[name] for name in expected} == expected
