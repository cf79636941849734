"""Defaults of a PodSpec, for pods and for every template of pods.

Plain assignments in the order of upstream's defaulting, since this runs on each pod that is made: no tree is walked
that isn't there. `default_pod` adds what only pods get, never their templates: requests that follow from limits, host
ports of the host's network, service links.
"""

from __future__ import annotations

from apimachinery.meta import JSON
from apiserver.registry.quantities import canonical_list, canonical_of

DEFAULT_MODE = 0o644
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("postStart", "preStop")
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
# Volume sources whose files get a mode.
_MODED = ("secret", "configMap", "downwardAPI", "projected")
_SPEC_DEFAULTS = (
    ("restartPolicy", "Always"),
    ("terminationGracePeriodSeconds", 30),
    ("dnsPolicy", "ClusterFirst"),
    ("schedulerName", "default-scheduler"),
)
_SOURCE_DEFAULTS: dict[str, JSON] = {
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def default_template(template: JSON) -> None:
    """Fills in a PodTemplateSpec."""
    template.setdefault("metadata", {})
    default_spec(template.setdefault("spec", {}))


def default_pod(spec: JSON) -> None:
    """Fills in the spec of a pod in place; idempotent."""
    default_spec(spec)
    host_network = spec.get("hostNetwork")
    for name in ("containers", "initContainers"):
        for container in spec.get(name) or ():
            limits = container["resources"].get("limits")
            if limits:
                container["resources"]["requests"] = {**limits, **(container["resources"].get("requests") or {})}
            if host_network:
                for port in container.get("ports") or ():
                    if not port.get("hostPort"):
                        port["hostPort"] = port.get("containerPort")
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True


def default_spec(spec: JSON) -> None:
    """Fills in a PodSpec in place; idempotent."""
    for name in _CONTAINER_LISTS:
        for container in spec.get(name) or ():
            _default_container(container)
    for name, value in _SPEC_DEFAULTS:
        if spec.get(name) is None or spec[name] == "":
            spec[name] = value
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    for volume in spec.get("volumes") or ():
        _default_volume(volume)
    if spec.get("overhead"):
        canonical_list(spec, "overhead")


def _default_container(container: JSON) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image") or "")
    if not container.get("terminationMessagePath"):
        container["terminationMessagePath"] = "/dev/termination-log"
    if not container.get("terminationMessagePolicy"):
        container["terminationMessagePolicy"] = "File"
    resources = container.get("resources")
    if resources is None:
        container["resources"] = {}
    else:
        if resources.get("requests"):
            canonical_list(resources, "requests")
        if resources.get("limits"):
            canonical_list(resources, "limits")
    for port in container.get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for variable in container.get("env") or ():
        if "valueFrom" in variable:
            _default_refs(variable["valueFrom"] or {})
    for name in _PROBES:
        if container.get(name) is not None:
            _default_probe(container[name])
    if container.get("lifecycle"):
        for name in _HANDLERS:
            _default_http((container["lifecycle"].get(name) or {}).get("httpGet"))


def pull_policy(image: str) -> str:
    """Always for `latest`, said or meant; IfNotPresent for every other tag, and for digests."""
    if "@" in image:
        return "IfNotPresent"
    _, _, tag = image.rpartition("/")[2].partition(":")
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _default_probe(probe: JSON) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(name):
            probe[name] = value
    _default_http(probe.get("httpGet"))
    if probe.get("grpc") is not None:
        probe["grpc"].setdefault("service", "")


def _default_http(action: JSON | None) -> None:
    if action is not None:
        if not action.get("path"):
            action["path"] = "/"
        if not action.get("scheme"):
            action["scheme"] = "HTTP"


def _default_refs(source: JSON) -> None:
    if source.get("fieldRef") is not None and not source["fieldRef"].get("apiVersion"):
        source["fieldRef"]["apiVersion"] = "v1"
    if source.get("resourceFieldRef") is not None:
        source["resourceFieldRef"]["divisor"] = canonical_of(source["resourceFieldRef"].get("divisor") or "0")


def _default_volume(volume: JSON) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for name in _MODED:
        source = volume.get(name)
        if source is not None:
            if source.get("defaultMode") is None:
                source["defaultMode"] = DEFAULT_MODE
            for item in source.get("items") or ():
                _default_refs(item)
    for source in (volume.get("projected") or {}).get("sources") or ():
        token = source.get("serviceAccountToken")
        if token is not None and not token.get("expirationSeconds"):
            token["expirationSeconds"] = 3600
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            _default_refs(item)
    if (volume.get("emptyDir") or {}).get("sizeLimit") is not None:
        volume["emptyDir"]["sizeLimit"] = canonical_of(volume["emptyDir"]["sizeLimit"])
    if volume.get("image") is not None and not volume["image"].get("pullPolicy"):
        volume["image"]["pullPolicy"] = pull_policy(volume["image"].get("reference") or "")
    for name, defaults in _SOURCE_DEFAULTS.items():
        if volume.get(name) is not None:
            for key, value in defaults.items():
                volume[name].setdefault(key, value)
    template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if template:
        template.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
