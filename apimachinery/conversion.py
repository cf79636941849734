"""Between the versions of a kind: HorizontalPodAutoscaler v2 and v1, and the two shapes of an Event.

Everything is stored in one version and converted on its way in and out. What the older version can't say goes along in
the annotations that upstream uses for it, so nothing is lost on the way there and back.
"""

from collections.abc import Callable
from typing import Any, Final

import orjson

from apimachinery.kinds import GVK

JSON = dict[str, Any]
_ANNOTATION: Final = "autoscaling.alpha.kubernetes.io/"
_V2: Final = GVK("autoscaling", "v2", "HorizontalPodAutoscaler")
_V1: Final = GVK("autoscaling", "v1", "HorizontalPodAutoscaler")
_CORE_EVENT: Final = GVK("", "v1", "Event")
_EVENT: Final = GVK("events.k8s.io", "v1", "Event")


def convert(obj: JSON, to_version: str) -> JSON:
    """The object in another apiVersion ("autoscaling/v1"), the same object where it has that one.

    Raises ValueError for a conversion there isn't. The result shares what is equal with `obj`.
    """
    if obj.get("apiVersion") == to_version:
        return obj
    source = GVK.of(obj["apiVersion"], obj["kind"])
    converter = _CONVERTERS.get((source, GVK.of(to_version, obj["kind"])))
    if converter is None:
        raise ValueError(f"{obj['kind']} can't be converted from {obj['apiVersion']} to {to_version}")
    return converter(obj)


def _split(source: JSON, *names: str) -> tuple[JSON, JSON]:
    """(what isn't named, what is) of a dict."""
    return (
        {key: value for key, value in source.items() if key not in names},
        {key: value for key, value in source.items() if key in names},
    )


def _is_plain_cpu(metric: JSON) -> bool:
    """A metric that v1 says with targetCPUUtilizationPercentage."""
    resource = metric.get("resource") or {}
    return (
        metric.get("type") == "Resource"
        and resource.get("name") == "cpu"
        and (resource.get("target") or {}).get("type") == "Utilization"
    )


def _annotated(obj: JSON, extra: dict[str, Any]) -> JSON:
    """The metadata with each non-empty extra as a JSON annotation."""
    added = {_ANNOTATION + key: orjson.dumps(value).decode() for key, value in extra.items() if value}
    metadata: JSON = obj.get("metadata") or {}
    return {**metadata, "annotations": {**(metadata.get("annotations") or {}), **added}} if added else metadata


def _autoscaler_to_v1(obj: JSON) -> JSON:
    spec, beyond = _split(obj.get("spec") or {}, "metrics", "behavior")
    status, measured = _split(obj.get("status") or {}, "currentMetrics", "conditions")
    others = []
    for metric in beyond.get("metrics") or ():
        if _is_plain_cpu(metric) and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"].get("averageUtilization")
        else:
            others.append(metric)
    for metric in measured.get("currentMetrics") or ():
        resource = metric.get("resource") or {}
        if resource.get("name") == "cpu" and "averageUtilization" in (resource.get("current") or {}):
            status["currentCPUUtilizationPercentage"] = resource["current"]["averageUtilization"]
    extra = {
        "metrics": others,
        "behavior": beyond.get("behavior"),
        "current-metrics": measured.get("currentMetrics"),
        "conditions": measured.get("conditions"),
    }
    return {
        **obj,
        "apiVersion": _V1.api_version,
        "metadata": _annotated(obj, extra),
        "spec": spec,
        "status": {"currentReplicas": 0, "desiredReplicas": 0, **status},
    }


def _autoscaler_to_v2(obj: JSON) -> JSON:
    metadata: JSON = obj.get("metadata") or {}
    annotations = dict(metadata.get("annotations") or {})

    def unpacked(key: str) -> Any:
        try:
            return orjson.loads(annotations.pop(_ANNOTATION + key, "null"))
        except orjson.JSONDecodeError:
            return None

    spec, cpu = _split(obj.get("spec") or {}, "targetCPUUtilizationPercentage")
    status, measured = _split(obj.get("status") or {}, "currentCPUUtilizationPercentage")
    metrics = unpacked("metrics") or []
    if cpu.get("targetCPUUtilizationPercentage") is not None:
        metrics.append(
            _cpu("target", {"type": "Utilization", "averageUtilization": cpu["targetCPUUtilizationPercentage"]})
        )
    current = unpacked("current-metrics") or []
    if not current and measured.get("currentCPUUtilizationPercentage") is not None:
        current = [_cpu("current", {"averageUtilization": measured["currentCPUUtilizationPercentage"]})]
    more = {"metrics": metrics, "behavior": unpacked("behavior")}
    seen = {"currentMetrics": current, "conditions": unpacked("conditions")}
    if "annotations" in metadata:
        metadata = {**metadata, "annotations": annotations}
        if not annotations:
            del metadata["annotations"]
    return {
        **obj,
        "apiVersion": _V2.api_version,
        "metadata": metadata,
        "spec": spec | {key: value for key, value in more.items() if value},
        "status": status | {key: value for key, value in seen.items() if value},
    }


def _cpu(key: str, value: JSON) -> JSON:
    return {"type": "Resource", "resource": {"name": "cpu", key: value}}


# an Event's fields: in the core group, in events.k8s.io
_EVENT_FIELDS: Final = (
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("reportingInstance", "reportingInstance"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
)


def _renamer(target: GVK, names: dict[str, str]) -> Callable[[JSON], JSON]:
    def rename(obj: JSON) -> JSON:
        renamed = {names.get(key, key): value for key, value in obj.items()}
        return {**renamed, "apiVersion": target.api_version}

    return rename


_CONVERTERS: Final[dict[tuple[GVK, GVK], Callable[[JSON], JSON]]] = {
    (_V2, _V1): _autoscaler_to_v1,
    (_V1, _V2): _autoscaler_to_v2,
    (_CORE_EVENT, _EVENT): _renamer(_EVENT, dict(_EVENT_FIELDS)),
    (_EVENT, _CORE_EVENT): _renamer(_CORE_EVENT, {new: old for old, new in _EVENT_FIELDS}),
}
