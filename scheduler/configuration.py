"""KubeSchedulerConfiguration: profiles, their plugins and weights, and the arguments of plugins.

The default profile packs bins (NodeResourcesFit with MostAllocated): fewer nodes in use, room for large pods. The
profile `spreading-scheduler` does what upstream's default does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from apimachinery.meta import JSON
from scheduler.framework import Plugin, Profile
from scheduler.plugins import PLUGINS

DEFAULT_SCHEDULER_NAME = "default-scheduler"
DEFAULT_WEIGHTS: dict[str, float] = {
    "NodeUnschedulable": 0,
    "TaintToleration": 3,
    "NodeAffinity": 2,
    "NodePorts": 0,
    "NodeResourcesFit": 1,
    "VolumeRestrictions": 0,
    "VolumeBinding": 0,
    "PodTopologySpread": 2,
    "InterPodAffinity": 2,
    "ImageLocality": 1,
}
_SPREADING: JSON = {
    "schedulerName": "spreading-scheduler",
    "plugins": {"score": {"enabled": [{"name": "NodeResourcesBalancedAllocation", "weight": 1}]}},
    "pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "LeastAllocated"}}}],
}
DEFAULT_PROFILES: list[JSON] = [{"schedulerName": DEFAULT_SCHEDULER_NAME}, _SPREADING]


class ConfigurationError(ValueError):
    """The configuration can't be used; the text lists every problem."""


def load(path: str | None) -> dict[str, Profile]:
    """Reads a KubeSchedulerConfiguration file; without one, the default profiles. Raises ConfigurationError."""
    if path is None:
        return profiles(DEFAULT_PROFILES)
    try:
        document = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != "KubeSchedulerConfiguration":
        raise ConfigurationError(f"{path}: expected a document of kind KubeSchedulerConfiguration")
    return profiles(document.get("profiles") or DEFAULT_PROFILES)


def profiles(documents: Sequence[JSON]) -> dict[str, Profile]:
    """Profiles by scheduler name. Raises ConfigurationError naming every unknown plugin and bad argument."""
    problems: list[str] = []
    made: dict[str, Profile] = {}
    for i, document in enumerate(documents):
        name = document.get("schedulerName") or DEFAULT_SCHEDULER_NAME
        if name in made:
            problems.append(f"profiles[{i}].schedulerName: Duplicate value: {name!r}")
        made[name] = _profile(document, f"profiles[{i}]", problems)
    if problems:
        raise ConfigurationError("; ".join(problems))
    return made


def _profile(document: JSON, where: str, problems: list[str]) -> Profile:
    sets: Mapping[str, Any] = document.get("plugins") or {}
    arguments = {entry["name"]: entry.get("args") or {} for entry in document.get("pluginConfig") or ()}
    plugins: dict[str, Plugin] = {}
    for plugin_name, plugin_type in PLUGINS.items():
        try:
            plugins[plugin_name] = plugin_type(arguments.get(plugin_name))
        except ValueError as error:
            problems.append(f"{where}.pluginConfig: {error}")
    chosen = {phase: _chosen(sets, phase, f"{where}.plugins.{phase}", problems) for phase in ("filter", "score")}
    filters = [plugin for plugin_name, plugin in plugins.items() if plugin_name in chosen["filter"]]
    scores = [(plugin, weight) for n, plugin in plugins.items() if (weight := chosen["score"].get(n, 0.0)) > 0]
    return Profile(filters, scores)


def _chosen(sets: Mapping[str, Any], phase: str, where: str, problems: list[str]) -> dict[str, float]:
    """The plugins of a phase with their weights: the defaults, less what is disabled, and what is enabled."""
    chosen = dict(DEFAULT_WEIGHTS)
    for point in ("multiPoint", phase):
        entries = sets.get(point) or {}
        for entry in entries.get("disabled") or ():
            if entry["name"] == "*":
                chosen.clear()
            chosen.pop(entry["name"], None)
        for entry in entries.get("enabled") or ():
            if entry["name"] not in PLUGINS:
                problems.append(f"{where}: plugin {entry['name']!r} does not exist (there are {', '.join(PLUGINS)})")
            chosen[entry["name"]] = float(entry.get("weight") or 1)
    return chosen
