"""What is refused in where a pod may run."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.registry import placementrules

NODE = "spec.affinity.nodeAffinity"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def node_term(**expression: Any) -> dict[str, Any]:
    terms = [{"matchExpressions": [expression]}]
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}}


AT = f"{NODE}.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0]"
CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"tolerations": [{"operator": "Exists"}]}, []),
    (
        {"tolerations": [{"value": "x"}]},
        [
            'spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, which means '
            '"match all values and all keys"'
        ],
    ),
    (
        {"tolerations": [{"key": "a", "effect": "Never"}]},
        [
            'spec.tolerations[0].effect: Unsupported value: "Never": supported values: "NoSchedule", '
            '"PreferNoSchedule", "NoExecute"'
        ],
    ),
    (node_term(key="a", operator="In", values=["b"]), []),
    (
        node_term(key="a", operator="In"),
        [f"{AT}.values: Required value: must be specified when `operator` is 'In' or 'NotIn'"],
    ),
    (
        node_term(key="a", operator="Exists", values=["b"]),
        [f"{AT}.values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"],
    ),
    (node_term(key="a", operator="Is"), [f'{AT}.operator: Invalid value: "Is": not a valid selector operator']),
    (
        {"affinity": {"nodeAffinity": {PREFERRED: [{"weight": 0, "preference": {}}]}}},
        [f"{NODE}.{PREFERRED}[0].weight: Invalid value: 0: must be in the range 1-100"],
    ),
    (
        {
            "affinity": {
                "podAntiAffinity": {
                    REQUIRED: [{"topologyKey": "a", "labelSelector": {"matchExpressions": [{"key": "a"}]}}]
                }
            }
        },
        [
            f"spec.affinity.podAntiAffinity.{REQUIRED}[0].labelSelector.matchExpressions[0].operator: Invalid value: "
            '"": not a valid selector operator'
        ],
    ),
    (
        {"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "x"}]},
        [
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            'spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "x": supported values: '
            '"DoNotSchedule", "ScheduleAnyway"',
        ],
    ),
]


@pytest.mark.parametrize(("spec", "wanted"), CASES)
def test_placement(spec: dict[str, Any], wanted: list[str]) -> None:
    assert [fault.message() for fault in placementrules.faults(spec, "spec")] == wanted
