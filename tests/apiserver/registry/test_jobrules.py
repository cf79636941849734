"""What a Job's spec is told, in upstream's words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from apimachinery import kinds
from apiserver.registry.table import strategy_for
from tests.apiserver.registry.objects import changed, made, refused, template

INDEXED: dict[str, Any] = {"completionMode": "Indexed", "completions": 2}
CODES = {"operator": "In", "values": [1]}
RULES = "spec.podFailurePolicy.rules"


def policy(**rule: Any) -> dict[str, Any]:
    return {"podFailurePolicy": {"rules": [{"action": "FailJob", **rule}]}}


CASES: list[tuple[dict[str, Any], list[str]]] = [
    (INDEXED | {"backoffLimitPerIndex": 1, "maxFailedIndexes": 1}, []),
    ({"completionMode": "Indexed", "parallelism": 2},
     ["spec.completions: Required value: when completion mode is Indexed"]),
    ({"completionMode": "Often"},
     ['spec.completionMode: Unsupported value: "Often": supported values: "NonIndexed", "Indexed"']),
    ({"backoffLimitPerIndex": 1},
     ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"]),
    (INDEXED | {"maxFailedIndexes": 3}, [
        "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
        "spec.maxFailedIndexes: Invalid value: 3: must be less than or equal to completions",
    ]),
    ({"backoffLimitPerIndex": -1, **INDEXED},
     ["spec.backoffLimitPerIndex: Invalid value: -1: must be greater than or equal to 0"]),
    (policy(onExitCodes=CODES), []),
    (policy(onExitCodes=CODES) | {"podReplacementPolicy": "TerminatingOrFailed"},
     ['spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"']),
    (policy(onExitCodes=CODES, action="FailIndex"), [
        f'{RULES}[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
    ]),
    (policy(onExitCodes={"operator": "In", "values": [2, 0, 2], "containerName": "x"}), [
        f'{RULES}[0].onExitCodes.containerName: Invalid value: "x": must be one of the container or initContainer '
        "names in the pod template",
        f"{RULES}[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
        f"{RULES}[0].onExitCodes.values[2]: Duplicate value: 2",
        f"{RULES}[0].onExitCodes.values: Invalid value: [2,0,2]: must be ordered",
    ]),
    (INDEXED | {"successPolicy": {"rules": [{"succeededCount": 3}]}}, [
        "spec.successPolicy.rules[0].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of "
        "specified completions)",
    ]),
    (policy(onExitCodes=CODES) | {"restart": "OnFailure"}, [
        'spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy '
        "is specified",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "wanted"), CASES)
def test_refused(spec: dict[str, Any], wanted: list[str]) -> None:
    spec = dict(spec)
    restart = spec.pop("restart", "Never")
    assert refused(kinds.JOB, {"spec": {"template": template(restartPolicy=restart), **spec}}) == wanted


@pytest.mark.parametrize(
    ("mode", "change", "wanted"),
    [
        ("Indexed", {"completions": 3, "parallelism": 3}, []),
        ("Indexed", {"completions": 3}, [
            "spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism",
        ]),
        ("NonIndexed", {"completions": 3, "parallelism": 3}, [
            "spec.completions: Invalid value: 3: field is immutable",
        ]),
    ],
)  # fmt: skip
def test_an_indexed_job_grows_as_a_whole(mode: str, change: dict[str, Any], wanted: list[str]) -> None:
    spec = {"completionMode": mode, "completions": 2, "template": template(restartPolicy="Never")}
    old = made(kinds.JOB, {"spec": spec})
    new = {**old, "spec": {**old["spec"], **change}}
    assert changed(strategy_for(kinds.JOB), old, new)[1] == wanted


@pytest.mark.parametrize(
    ("suspend", "started", "change", "allowed"),
    [
        (True, None, {"nodeSelector": {"a": "b"}}, True),
        (True, None, {"affinity": {"nodeAffinity": {}}}, True),
        (True, None, {"affinity": {"podAffinity": {}}}, False),
        (True, None, {"hostname": "h"}, False),
        (True, "2026-01-01T00:00:00Z", {"nodeSelector": {"a": "b"}}, False),
        (False, None, {"nodeSelector": {"a": "b"}}, False),
    ],
)
def test_where_pods_may_go_changes_until_a_job_starts(
    suspend: bool, started: str | None, change: dict[str, Any], allowed: bool
) -> None:
    old = made(kinds.JOB, {"spec": {"suspend": suspend, "template": template(restartPolicy="Never")}})
    old["status"] = {"startTime": started}
    new = copy.deepcopy(old)
    new["spec"]["template"]["spec"] |= change
    faults = changed(strategy_for(kinds.JOB), old, new)[1]
    assert (not faults) == allowed
    assert all(each.startswith("spec.template: Invalid value: ") for each in faults)


def test_a_cron_job_is_told_of_its_jobs() -> None:
    job = {"spec": {"template": template(restartPolicy="Never"), "completionMode": "Indexed", "parallelism": 2}}
    assert refused(kinds.CRON_JOB, {"spec": {"schedule": "@daily", "jobTemplate": job}}) == [
        "spec.jobTemplate.spec.completions: Required value: when completion mode is Indexed"
    ]
