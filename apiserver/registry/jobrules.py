"""What a Job's spec may say beyond its schema: completion modes, limits by index, and the two policies."""

from __future__ import annotations

from collections.abc import Iterator

from apimachinery import field
from apimachinery.field import FieldError
from apimachinery.meta import JSON
from apiserver.registry import rulewords

_COUNTS = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
    "backoffLimitPerIndex", "maxFailedIndexes",
)  # fmt: skip
_MODES = ("NonIndexed", "Indexed")
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")
_MAX_PARALLELISM = 100_000  # of an Indexed Job
_MAX_RULES = 20
_MAX_EXIT_CODES = 255


def faults(spec: JSON, path: str) -> Iterator[FieldError]:
    """Every fault of a Job's spec but those of its template. What a CronJob leaves out, its Jobs get."""
    mode, completions = spec.get("completionMode"), spec.get("completions")
    yield from rulewords.not_negative(f"{path}.", spec, *_COUNTS)
    if mode not in (None, *_MODES):
        yield field.not_supported(f"{path}.completionMode", mode, _MODES)
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        yield field.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if mode == "Indexed":
        yield from _indexed(spec, path)
    else:
        for name in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"):
            if spec.get(name) is not None:
                yield field.invalid(f"{path}.{name}", spec[name], "requires indexed completion mode")
    if (policy := spec.get("podFailurePolicy")) is not None:
        yield from _failure_policy(spec, policy.get("rules") or [], f"{path}.podFailurePolicy.rules")
    if mode == "Indexed" and completions is not None and (policy := spec.get("successPolicy")) is not None:
        yield from _success_policy(completions, policy.get("rules") or [], f"{path}.successPolicy.rules")
    replacement = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
    if spec.get("podReplacementPolicy") not in (None, *replacement):
        yield field.not_supported(f"{path}.podReplacementPolicy", spec["podReplacementPolicy"], replacement)
    if spec.get("podFailurePolicy") is not None and spec["template"]["spec"].get("restartPolicy") == "OnFailure":
        text = 'only "Never" is supported when podFailurePolicy is specified'
        yield field.invalid(f"{path}.template.spec.restartPolicy", "OnFailure", text)


def _indexed(spec: JSON, path: str) -> Iterator[FieldError]:
    completions, most = spec.get("completions"), spec.get("maxFailedIndexes")
    if completions is None:
        yield field.required(f"{path}.completions", "when completion mode is Indexed")
    if (spec.get("parallelism") or 0) > _MAX_PARALLELISM:
        text = f"must be less than or equal to {_MAX_PARALLELISM} when completion mode is Indexed"
        yield field.invalid(f"{path}.parallelism", spec["parallelism"], text)
    if completions is not None and most is not None and most > completions:
        yield field.invalid(f"{path}.maxFailedIndexes", most, "must be less than or equal to completions")


def _failure_policy(spec: JSON, rules: list[JSON], path: str) -> Iterator[FieldError]:
    pod = spec["template"]["spec"]
    names = {each.get("name") for group in ("containers", "initContainers") for each in pod.get(group) or ()}
    if len(rules) > _MAX_RULES:
        yield field.too_many(path, len(rules), _MAX_RULES)
    for number, rule in enumerate(rules):
        where, action = f"{path}[{number}]", rule.get("action")
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or []
        if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            yield field.invalid(f"{where}.action", action, "requires the backoffLimitPerIndex to be set")
        else:
            yield from rulewords.one_of(f"{where}.action", action, _ACTIONS)
        if codes is not None:
            yield from _exit_codes(codes, names, f"{where}.onExitCodes")
        for index, each in enumerate(conditions):
            yield from rulewords.one_of(f"{where}.onPodConditions[{index}].status", each.get("status"), _STATUSES)
        if (codes is not None) == bool(conditions):
            both = "both OnExitCodes and OnPodConditions is not supported"
            neither = "one of OnExitCodes and OnPodConditions is required"
            yield field.invalid(where, rule, f"specifying {both if conditions else neither}")


def _exit_codes(codes: JSON, names: set[str | None], path: str) -> Iterator[FieldError]:
    operator, values, name = codes.get("operator"), codes.get("values") or [], codes.get("containerName")
    yield from rulewords.one_of(f"{path}.operator", operator, _OPERATORS)
    if name is not None and name not in names:
        text = "must be one of the container or initContainer names in the pod template"
        yield field.invalid(f"{path}.containerName", name, text)
    if not values:
        yield field.invalid(f"{path}.values", values, "at least one value is required")
    if len(values) > _MAX_EXIT_CODES:
        yield field.too_many(f"{path}.values", len(values), _MAX_EXIT_CODES)
    for number, value in enumerate(values):
        if operator == "In" and value == 0:
            yield field.invalid(f"{path}.values[{number}]", value, "must not be 0 for the In operator")
        if value in values[:number]:
            yield field.duplicate(f"{path}.values[{number}]", value)
    if values != sorted(values):
        yield field.invalid(f"{path}.values", values, "must be ordered")


def _success_policy(completions: int, rules: list[JSON], path: str) -> Iterator[FieldError]:
    if not rules:
        yield field.required(path, "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > _MAX_RULES:
        yield field.too_many(path, len(rules), _MAX_RULES)
    for number, rule in enumerate(rules):
        count = rule.get("succeededCount")
        if count is None and rule.get("succeededIndexes") is None:
            text = "at least one of succeededCount or succeededIndexes must be specified"
            yield field.required(f"{path}[{number}]", text)
        if count is not None and count > completions:
            text = f"must be less than or equal to {completions} (the number of specified completions)"
            yield field.invalid(f"{path}[{number}].succeededCount", count, text)
