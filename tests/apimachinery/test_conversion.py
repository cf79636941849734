"""Conversion keeps what the other version can't say."""

from typing import Any

import pytest

from apimachinery import conversion, kinds, schemas

AUTOSCALER: dict[str, Any] = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "annotations": {"own": "x"}},
    "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": "web"},
        "maxReplicas": 5,
        "metrics": [
            {
                "type": "Pods",
                "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "5"}},
            },
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
            },
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
    },
    "status": {
        "currentReplicas": 2,
        "desiredReplicas": 2,
        "currentMetrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "current": {"averageUtilization": 40, "averageValue": "1"}},
            }
        ],
        "conditions": [{"type": "AbleToScale", "status": "True"}],
    },
}


def test_an_autoscaler_survives_the_older_version() -> None:
    older = conversion.convert(AUTOSCALER, "autoscaling/v1")
    assert older["spec"]["targetCPUUtilizationPercentage"] == 80
    assert older["status"]["currentCPUUtilizationPercentage"] == 40
    assert schemas.quick(kinds.GVK("autoscaling", "v1", "HorizontalPodAutoscaler"), older)
    assert conversion.convert(older, "autoscaling/v2") == AUTOSCALER


def test_an_event_has_two_shapes() -> None:
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "a"},
        "message": "hello",
        "count": 2,
        "firstTimestamp": "2026-01-02T03:04:05Z",
        "type": "Normal",
    }
    newer = conversion.convert(event, "events.k8s.io/v1")
    assert (newer["regarding"], newer["note"], newer["deprecatedCount"]) == ({"kind": "Pod", "name": "a"}, "hello", 2)
    assert schemas.examine(kinds.EVENT.gvk, newer).unknown == []
    assert conversion.convert(newer, "v1") == event


def test_the_same_version_is_the_same_object_and_others_are_refused() -> None:
    assert conversion.convert(AUTOSCALER, "autoscaling/v2") is AUTOSCALER
    with pytest.raises(ValueError, match="can't be converted"):
        conversion.convert(AUTOSCALER, "autoscaling/v9")
