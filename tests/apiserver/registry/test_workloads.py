"""Workloads: their defaults, what they refuse, and what never changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from apimachinery import kinds
from apimachinery.kinds import Kind
from apiserver.registry.table import strategy_for
from tests.apiserver.registry.objects import changed, made, refused, template

SELECTOR = {"matchLabels": {"app": "a"}}
DEFAULTS: list[tuple[Kind, dict[str, Any], dict[str, Any]]] = [
    (
        kinds.DEPLOYMENT,
        {"selector": SELECTOR},
        {
            "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        },
    ),
    (kinds.DEPLOYMENT, {"selector": SELECTOR, "replicas": 0, "strategy": {"type": "Recreate"}},
     {"replicas": 0, "strategy": {"type": "Recreate"}}),
    (
        kinds.DEPLOYMENT,
        {"selector": SELECTOR, "strategy": {"rollingUpdate": {"maxSurge": 0}}},
        {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "25%"}}},
    ),
    (kinds.REPLICA_SET, {"selector": SELECTOR}, {"replicas": 1}),
    (kinds.REPLICATION_CONTROLLER, {}, {"replicas": 1, "selector": {"app": "a"}}),
    (
        kinds.DAEMON_SET,
        {"selector": SELECTOR},
        {
            "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        },
    ),
    (
        kinds.STATEFUL_SET,
        {"selector": SELECTOR},
        {
            "replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady",
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        },
    ),
    (
        kinds.JOB,
        {},
        {
            "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False,
            "manualSelector": False, "podReplacementPolicy": "TerminatingOrFailed",
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "uid-x"}},
        },
    ),
    (kinds.JOB, {"parallelism": 3}, {"parallelism": 3, "completions": None}),
    (kinds.JOB, {"backoffLimitPerIndex": 1}, {"backoffLimit": 2147483647}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spec", "wanted"), DEFAULTS)
def test_defaults(kind: Kind, spec: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = made(kind, {"spec": {"template": template(), **spec}})["spec"]
    assert {name: found.get(name) for name in wanted} == wanted
    assert found["template"]["spec"]["restartPolicy"] == "Always"


def test_a_cron_job_defaults_itself_and_its_pods_but_not_its_jobs() -> None:
    found = made(kinds.CRON_JOB, {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template()}}}})
    job = found["spec"].pop("jobTemplate")["spec"]
    assert found["spec"] == {
        "schedule": "* * * * *", "concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    }  # fmt: skip
    assert list(job) == ["template"]
    assert job["template"]["spec"]["dnsPolicy"] == "ClusterFirst"


def test_a_job_labels_its_pods_and_itself() -> None:
    job = made(kinds.JOB, {"metadata": {"name": "j"}, "spec": {"template": {"spec": template()["spec"]}}})
    wanted = {
        "batch.kubernetes.io/controller-uid": "uid-x", "controller-uid": "uid-x",
        "batch.kubernetes.io/job-name": "j", "job-name": "j",
    }  # fmt: skip
    assert job["spec"]["template"]["metadata"]["labels"] == wanted
    assert job["metadata"]["labels"] == wanted


MISMATCH = 'spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`'
RESTART = 'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'
ROLLING = "spec.updateStrategy.rollingUpdate"
REFUSED: list[tuple[Kind, dict[str, Any], list[str]]] = [
    (kinds.DEPLOYMENT, {"selector": SELECTOR}, []),
    (kinds.DEPLOYMENT, {}, ["spec.selector: Required value", MISMATCH]),
    (
        kinds.DEPLOYMENT,
        {"selector": {}},
        ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    ),
    (
        kinds.DEPLOYMENT,
        {"selector": {"matchLabels": {"app": "b"}}},
        [MISMATCH],
    ),
    (
        kinds.DEPLOYMENT,
        {"selector": SELECTOR, "replicas": -1},
        ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (kinds.DEPLOYMENT, {"selector": SELECTOR, "template": template(restartPolicy="Never")}, [RESTART]),
    (
        kinds.DEPLOYMENT,
        {"selector": SELECTOR, "strategy": {"type": "Recreate", "rollingUpdate": {}}},
        ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    ),
    (
        kinds.DEPLOYMENT,
        {"selector": SELECTOR, "strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}},
        ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0'],
    ),
    (
        kinds.DEPLOYMENT,
        {"selector": SELECTOR, "minReadySeconds": 600},
        ["spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"],
    ),
    (
        kinds.REPLICA_SET,
        {"selector": SELECTOR, "template": template(activeDeadlineSeconds=1)},
        ["spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"],
    ),
    (
        kinds.DAEMON_SET,
        {"selector": SELECTOR, "updateStrategy": {"type": "x"}},
        ['spec.updateStrategy: Unsupported value: {"type":"x"}: supported values: "RollingUpdate", "OnDelete"'],
    ),
    (
        kinds.DAEMON_SET,
        {"selector": SELECTOR, "updateStrategy": {"rollingUpdate": {"maxSurge": 1}}},
        [f"{ROLLING}.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"],
    ),
    (
        kinds.DAEMON_SET,
        {"selector": SELECTOR, "updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}},
        [],
    ),
    (
        kinds.DAEMON_SET,
        {"selector": SELECTOR, "updateStrategy": {"rollingUpdate": {"maxUnavailable": "0%"}}},
        [f"{ROLLING}.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
    ),
    (
        kinds.DAEMON_SET,
        {"selector": SELECTOR, "updateStrategy": {"rollingUpdate": {"maxUnavailable": "101%"}}},
        [f'{ROLLING}.maxUnavailable: Invalid value: "101%": must not be greater than 100%'],
    ),
    (
        kinds.STATEFUL_SET,
        {"selector": SELECTOR, "updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}},
        [f"{ROLLING}: Invalid value: {{\"partition\":1}}: only allowed for updateStrategy 'RollingUpdate'"],
    ),
    (
        kinds.STATEFUL_SET,
        {"selector": SELECTOR, "updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}, "ordinals": {"start": -1}},
        [
            f"{ROLLING}.maxUnavailable: Invalid value: 0: cannot be 0",
            "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
        ],
    ),
    (
        kinds.STATEFUL_SET,
        {"selector": SELECTOR, "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Keep"}},
        [
            'spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: '
            '"Retain", "Delete"'
        ],
    ),
    (
        kinds.JOB,
        {},
        ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ),
    (kinds.JOB, {"template": template(restartPolicy="Never")}, []),
]


@pytest.mark.parametrize(("kind", "spec", "wanted"), REFUSED)
def test_refused(kind: Kind, spec: dict[str, Any], wanted: list[str]) -> None:
    assert refused(kind, {"spec": {"template": template(), **spec}}) == wanted


def test_the_claims_of_a_stateful_set_are_volumes_of_its_pods() -> None:
    pod = template()
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    spec = {"selector": SELECTOR, "template": pod, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}
    assert refused(kinds.STATEFUL_SET, {"spec": spec}) == []
    del spec["volumeClaimTemplates"]
    assert refused(kinds.STATEFUL_SET, {"spec": spec})[0].endswith('volumeMounts[0].name: Not found: "data"')


def test_a_cron_jobs_schedule_and_name() -> None:
    spec = {"schedule": "often", "jobTemplate": {"spec": {"template": template(restartPolicy="Never")}}}
    assert refused(kinds.CRON_JOB, {"spec": spec}) == [
        'spec.schedule: Invalid value: "often": expected exactly 5 fields, found 1: [often]'
    ]
    for name, value, why in (
        ("schedule", "61 * * * *", "failed to parse 61 * * * *: Bad minute"),
        ("schedule", "TZ=UTC 0 0 * * *", "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
        ("timeZone", "Mars/Olympus", "unknown time zone Mars/Olympus"),
        ("timeZone", "", "timeZone must be nil or non-empty string"),
    ):
        found = refused(kinds.CRON_JOB, {"spec": {**spec, "schedule": "@daily", name: value}})
        assert found == [f'spec.{name}: Invalid value: "{value}": {why}']
    assert strategy_for(kinds.CRON_JOB).check_name("a" * 53) == ["must be no more than 52 characters"]


STATEFUL = (
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' "
    "are forbidden"
)
STEPS: list[tuple[Kind, dict[str, Any], list[str]]] = [
    (kinds.DEPLOYMENT, {"replicas": 5}, []),
    (
        kinds.DEPLOYMENT,
        {"selector": {"matchLabels": {"app": "a", "b": "c"}}},
        ["spec.selector"],
    ),
    (kinds.STATEFUL_SET, {"replicas": 5}, []),
    (kinds.STATEFUL_SET, {"serviceName": "other"}, [STATEFUL]),
]


@pytest.mark.parametrize(("kind", "change", "wanted"), STEPS)
def test_what_never_changes(kind: Kind, change: dict[str, Any], wanted: list[str]) -> None:
    labelled = template()
    labelled["metadata"]["labels"]["b"] = "c"
    old = made(kind, {"spec": {"selector": SELECTOR, "template": labelled}})
    new = copy.deepcopy(old)
    new["spec"] |= change
    _, faults = changed(strategy_for(kind), old, new)
    assert [text[: len(each)] for text, each in zip(faults, wanted, strict=True)] == wanted


def test_a_selector_is_immutable_in_these_words() -> None:
    old = made(kinds.REPLICA_SET, {"spec": {"selector": SELECTOR, "template": template()}})
    new = copy.deepcopy(old)
    new["spec"]["selector"] = {"matchExpressions": [{"key": "app", "operator": "Exists"}]}
    _, faults = changed(strategy_for(kinds.REPLICA_SET), old, new)
    assert faults == [
        'spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"Exists"}]}: field is immutable'
    ]


def test_a_daemon_set_says_how_many_templates_it_has_had() -> None:
    name = "deprecated.daemonset.template.generation"
    body = {"metadata": {"annotations": {name: "7"}}, "spec": {"selector": SELECTOR, "template": template()}}
    old = made(kinds.DAEMON_SET, body)
    assert old["metadata"]["annotations"] == {name: "1"}
    new = copy.deepcopy(old)
    del new["metadata"]["annotations"]
    new["spec"]["minReadySeconds"] = 5
    kept, _ = changed(strategy_for(kinds.DAEMON_SET), old, new)
    assert kept["metadata"]["annotations"] == {name: "1"}
    new["spec"]["template"]["spec"]["hostname"] = "h"
    counted, _ = changed(strategy_for(kinds.DAEMON_SET), old, new)
    assert counted["metadata"]["annotations"] == {name: "2"}


def test_what_a_controller_revision_holds_never_changes() -> None:
    assert refused(kinds.CONTROLLER_REVISION, {"revision": -1}) == [
        "data: Required value: data is mandatory",
        "revision: Invalid value: -1: must be greater than or equal to 0",
    ]
    old = made(kinds.CONTROLLER_REVISION, {"revision": 1, "data": {"a": 1}})
    strategy = strategy_for(kinds.CONTROLLER_REVISION)
    assert changed(strategy, old, {**old, "revision": 2})[1] == []
    assert changed(strategy, old, {**old, "data": {}})[1] == ["data: Invalid value: {}: field is immutable"]
