"""The page of a pod: where it is, what its containers do and why, what they may use."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from apimachinery import meta
from minikubectl.pages import NONE, Page, mapping

JSON = dict[str, Any]

_GROUPS: Final = (
    ("Init Containers", "initContainers", "initContainerStatuses"),
    ("Containers", "containers", "containerStatuses"),
    ("Ephemeral Containers", "ephemeralContainers", "ephemeralContainerStatuses"),
)
_RUNNING: Final = ("Container ID", "Image ID", "State", "Ready", "Restart Count")


def describe_pod(pod: JSON, page: Page) -> None:
    """Write the page."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    owner = meta.controller_of(pod)
    node = spec.get("nodeName")
    head = [
        ("Name", meta.name(pod)),
        ("Namespace", meta.namespace(pod)),
        ("Priority", str(spec.get("priority", 0))),
        ("Service Account", str(spec.get("serviceAccountName") or "default")),
        ("Node", f"{node}/{status.get('hostIP', '')}" if node else NONE),
        ("Start Time", str(status.get("startTime") or "")),
        ("Labels", mapping(meta.labels(pod))),
        ("Annotations", mapping(meta.annotations(pod), ": ")),
        ("Status", _phase(pod)),
        *_present(status, str, Reason="reason", Message="message"),
        ("IP", str(status.get("podIP") or "")),
    ]
    page.block([each for each in head if each[1] or each[0] in ("IP", "Namespace")])
    page.add("IPs:" if status.get("podIPs") else f"IPs:  {NONE}")
    for each in status.get("podIPs") or ():
        page.add(f"IP:  {each.get('ip')}", depth=1)
    if owner:
        page.add(f"Controlled By:  {owner['kind']}/{owner['name']}")
    for title, group, statuses in _GROUPS:
        if spec.get(group):
            page.add(f"{title}:")
            known = {each.get("name"): each for each in status.get(statuses) or ()}
            for container in spec[group]:
                page.add(f"{container['name']}:", depth=1)
                page.block(_container(container, known.get(container["name"]) or {}), depth=2)
    conditions = [["Type", "Status"]] + [[each["type"], each["status"]] for each in status.get("conditions") or ()]
    page.table("Conditions", conditions)
    page.add("Volumes:" if spec.get("volumes") else f"Volumes:  {NONE}")
    for volume in spec.get("volumes") or ():
        page.add(f"{volume['name']}:", depth=1)
        page.fields({key: each or "{}" for key, each in volume.items() if key != "name"}, depth=2)
    page.block(
        [
            ("QoS Class", str(status.get("qosClass") or "")),
            ("Node-Selectors", mapping(spec.get("nodeSelector"))),
            ("Tolerations", "\n".join(map(_toleration, spec.get("tolerations") or ())) or NONE),
        ]
    )


def describe_template(template: JSON, page: Page) -> None:
    """Write a pod template's part of a page."""
    page.add("Pod Template:")
    page.block([("Labels", mapping(meta.labels(template)))], depth=1)
    for title, group, _ in _GROUPS:
        if containers := (template.get("spec") or {}).get(group):
            page.add(f"{title}:", depth=1)
            for container in containers:
                page.add(f"{container['name']}:", depth=2)
                page.block([pair for pair in _container(container, {}) if pair[0] not in _RUNNING], depth=3)


def _phase(pod: JSON) -> str:
    phase = str((pod.get("status") or {}).get("phase") or "")
    deleted = meta.metadata(pod).get("deletionTimestamp")
    return f"Terminating (since {deleted})" if deleted else phase


def _container(container: JSON, status: JSON) -> list[tuple[str, str]]:
    ports = container.get("ports") or ()
    resources = container.get("resources") or {}
    return [
        ("Container ID", str(status.get("containerID") or "")),
        ("Image", str(container.get("image") or "")),
        ("Image ID", str(status.get("imageID") or "")),
        ("Port", ", ".join(f"{each['containerPort']}/{each.get('protocol', 'TCP')}" for each in ports) or NONE),
        *_present(container, "\n".join, Command="command", Args="args"),
        *_state("State", status.get("state") or {"waiting": {}}),
        *(_state("Last State", status["lastState"]) if status.get("lastState") else []),
        ("Ready", str(bool(status.get("ready")))),
        ("Restart Count", str(status.get("restartCount", 0))),
        *_present(resources, lambda each: mapping(each, ": "), Limits="limits", Requests="requests"),
        *_present(container, _probe, Liveness="livenessProbe", Readiness="readinessProbe", Startup="startupProbe"),
        ("Environment", "\n".join(_variables(container)) or NONE),
        ("Mounts", "\n".join(_mount(each) for each in container.get("volumeMounts") or ()) or NONE),
    ]


def _present(obj: JSON, said: Callable[[Any], str], **titles: str) -> list[tuple[str, str]]:
    """(title, what is said of the field) for the fields that are set."""
    return [(title, said(obj[key])) for title, key in titles.items() if obj.get(key)]


def _state(title: str, state: JSON) -> list[tuple[str, str]]:
    for kind in ("running", "waiting", "terminated"):
        if kind in state:
            details = state[kind] or {}
            said = [("Reason", "reason"), ("Message", "message"), ("Signal", "signal"), ("Exit Code", "exitCode")]
            times = [("Started", "startedAt"), ("Finished", "finishedAt")]
            more = [(f"  {name}", str(details[key])) for name, key in said + times if details.get(key) is not None]
            return [(title, kind.capitalize()), *more]
    return []


def _probe(probe: JSON) -> str:
    get, tcp, command = probe.get("httpGet"), probe.get("tcpSocket"), (probe.get("exec") or {}).get("command")
    if get:
        scheme = str(get.get("scheme") or "HTTP").lower()
        what = f"http-get {scheme}://{get.get('host') or ''}:{get.get('port')}{get.get('path') or '/'}"
    elif tcp:
        what = f"tcp-socket {tcp.get('host') or ''}:{tcp.get('port')}"
    else:
        what = f"exec {command}" if command else "grpc" if probe.get("grpc") else "unknown"
    numbers = (
        ("delay", "initialDelaySeconds", "0"),
        ("timeout", "timeoutSeconds", "1"),
        ("period", "periodSeconds", "10"),
    )
    said = [f"{name}={probe.get(key) or default}s" for name, key, default in numbers]
    counts = f"#success={probe.get('successThreshold', 1)} #failure={probe.get('failureThreshold', 3)}"
    return " ".join([what, *said, counts])


def _variables(container: JSON) -> Iterable[str]:
    for each in container.get("env") or ():
        source = each.get("valueFrom") or {}
        for kind, words in (("secretKeyRef", "secret"), ("configMapKeyRef", "config map")):
            if reference := source.get(kind):
                yield f"{each['name']}: <set to the key '{reference.get('key')}' in {words} '{reference.get('name')}'>"
                break
        else:
            field = (source.get("fieldRef") or {}).get("fieldPath")
            yield f"{each['name']}: {f'({field})' if field else each.get('value') or ''}"
    for each in container.get("envFrom") or ():
        for kind, words in (("secretRef", "secret"), ("configMapRef", "config map")):
            if reference := each.get(kind):
                yield f"all keys of {words} '{reference.get('name')}'"


def _mount(mount: JSON) -> str:
    return f"{mount.get('mountPath')} from {mount.get('name')} ({'ro' if mount.get('readOnly') else 'rw'})"


def _toleration(toleration: JSON) -> str:
    text = str(toleration.get("key") or "")
    if toleration.get("value"):
        text += f"={toleration['value']}"
    if toleration.get("effect"):
        text += f":{toleration['effect']}"
    if toleration.get("operator") == "Exists":
        text += " op=Exists"
    seconds = toleration.get("tolerationSeconds")
    return f"{text} for {seconds}s" if seconds is not None else text
