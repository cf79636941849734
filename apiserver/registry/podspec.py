"""Defaults of a PodSpec, for pods and for every template of pods.

Plain assignments in the order of upstream's defaulting, since this runs on each pod that is made: no tree is walked
that isn't there.
"""

from __future__ import annotations

from apimachinery.meta import JSON

DEFAULT_MODE = 0o644
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("postStart", "preStop")
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
# Volume sources whose files get a mode.
_MODED = ("secret", "configMap", "downwardAPI", "projected")
_SOURCE_DEFAULTS: dict[str, JSON] = {
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def default_template(template: JSON) -> None:
    """Fills in a PodTemplateSpec."""
    template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
    default_spec(template.setdefault("spec", {}))


def default_spec(spec: JSON) -> None:
    """Fills in a PodSpec in place; idempotent."""
    for name in _CONTAINER_LISTS:
        for container in spec.get(name) or ():
            _default_container(container)
            if spec.get("hostNetwork"):
                for port in container.get("ports") or ():
                    port.setdefault("hostPort", port.get("containerPort"))
    spec.setdefault("restartPolicy", "Always")
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    spec.setdefault("dnsPolicy", "ClusterFirst")
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    spec.setdefault("schedulerName", "default-scheduler")
    for volume in spec.get("volumes") or ():
        _default_volume(volume)
    for constraint in spec.get("topologySpreadConstraints") or ():
        constraint.setdefault("whenUnsatisfiable", "DoNotSchedule")


def _default_container(container: JSON) -> None:
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image") or "")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    resources = container.get("resources")
    if resources is None:
        container["resources"] = {}
    elif resources.get("limits"):
        requests = resources.setdefault("requests", {})
        for name, value in resources["limits"].items():
            requests.setdefault(name, value)
    for port in container.get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for variable in container.get("env") or ():
        if "valueFrom" in variable:
            _default_field_ref((variable["valueFrom"] or {}).get("fieldRef"))
    for name in _PROBES:
        if container.get(name):
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


def _default_field_ref(reference: JSON | None) -> None:
    if reference is not None:
        reference.setdefault("apiVersion", "v1")


def _default_volume(volume: JSON) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for name in _MODED:
        source = volume.get(name)
        if source is not None:
            if source.get("defaultMode") is None:
                source["defaultMode"] = DEFAULT_MODE
            for item in source.get("items") or ():
                _default_field_ref(item.get("fieldRef"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        token = source.get("serviceAccountToken")
        if token is not None and not token.get("expirationSeconds"):
            token["expirationSeconds"] = 3600
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            _default_field_ref(item.get("fieldRef"))
    for name, defaults in _SOURCE_DEFAULTS.items():
        if volume.get(name) is not None:
            for key, value in defaults.items():
                volume[name].setdefault(key, value)
    template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if template:
        template.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
