"""`create -f`, `create TYPE`, `create token`, `run`, `expose`, `autoscale`: what isn't there yet."""

from collections.abc import Callable
from typing import Any, Final

import click

from apimachinery import kinds, meta
from apimachinery.errors import StatusError
from apimachinery.kinds import GVK, Kind, by_gvk
from minikubectl.applying import annotated, prepared
from minikubectl.cli import cli
from minikubectl.durations import parse_duration
from minikubectl.executing import attach_to
from minikubectl.generating import GENERATORS, split_values
from minikubectl.getting import Found
from minikubectl.mutating import each, find, pod_spec
from minikubectl.options import FILES, RESOURCES, SENDING, Sending, together
from minikubectl.session import Failed, Session, command, command_group
from minikubectl.setting import amounts

JSON = dict[str, Any]

_SAVE: Final = click.option("--save-config", is_flag=True, help="Keep what was sent, for a later apply.")
_SAID_BY_SERVER: Final = ("namespace", "role", "clusterrole")
_GROUPS: Final = {"secret": "Keep a secret.", "service": "Give pods one address."}


async def _create(
    session: Session,
    made: Found,
    sending: Sending,
    *,
    verb: str = "created",
    save: bool = False,
    source: str = "",
    failing: str = "",
) -> int:
    async def act(kind: Kind, obj: JSON) -> tuple[JSON, str]:
        if kind.namespaced and not meta.namespace(obj):
            obj["metadata"]["namespace"] = session.namespace
        obj = annotated(obj) if save else obj
        if sending.dry_run == "client":
            return obj, verb
        try:
            return await session.client.create(kind, obj, params=sending.params("kubectl-create")), verb
        except StatusError as error:
            if failing:
                raise Failed(f"{failing}{error.message}") from error
            if source:
                error.status["message"] = f'error when creating "{source}": {error.message}'
            raise

    return await each(session, made, act, sending=sending)


def _whole(kind: Kind, name: str, made: JSON) -> JSON:
    """What a generator made, with what every object has."""
    metadata = {**(made.get("metadata") or {}), "name": name}
    return {"apiVersion": kind.api_version, "kind": kind.kind, **made, "metadata": metadata}


@command_group(cli, "create", invoke_without_command=True)
@FILES
@SENDING
@_SAVE
async def create(session: Session, files: tuple[str, ...], recursive: bool, save_config: bool, **flags: Any) -> int:
    """Create objects, from manifests or by TYPE. It is an error if one is there already: see apply.

    \b
    minikubectl create -f pod.yaml
    minikubectl create deployment web --image=shop/web:1
    """
    sending = Sending.taken(flags)
    for kind, manifest in await prepared(session, files, recursive=recursive, generated=True):
        source = manifest.source.replace("stdin", "STDIN")
        await _create(session, [(kind, manifest.object)], sending, save=save_config, source=source)
    return session.code


def _register(words: str) -> None:
    """The command of one generator; `secret generic` is within a group `secret`."""
    gvk, make, options, summary = GENERATORS[words]
    group: Any = create
    create.aliases |= dict.fromkeys(by_gvk(gvk).short_names, words)
    *outer, word = words.split()
    for each_ in outer:
        group = group.commands.get(each_) or group.group(each_, help=_GROUPS[each_])(lambda: None)

    @click.argument("name")
    @together(*options, SENDING, _SAVE)
    async def run(session: Session, name: str, save_config: bool, **flags: Any) -> int:
        sending = Sending.taken(flags)
        kind = by_gvk(gvk)
        if "resources_" in flags:
            flags["resources_"] = [await _rbac_name(session, each) for each in split_values(flags["resources_"])]
        if flags.get("source"):
            found = await find(session, (flags["source"],))
            if not found:
                return session.code
            flags["source"] = found[0][1]
        made: Found = [(kind, _whole(kind, name, make(name, **flags)))]
        what = " ".join(reversed(words.split())) if outer == ["service"] else words.split()[0]
        colon = "" if outer == ["secret"] else ":"
        failing = "" if words in _SAID_BY_SERVER else f"failed to create {what}{colon} "
        return await _create(session, made, sending, save=save_config, failing=failing)

    run.__doc__ = summary
    command(group, word)(run)


async def _rbac_name(session: Session, text: str) -> str:
    word, slash, subresource = text.partition("/")
    if word == "*":
        return text
    try:
        return (await session.catalog.find(word)).resource + slash + subresource
    except ValueError as error:
        raise Failed(str(error)) from error


for _words in GENERATORS:
    _register(_words)


@command(create, "token")
@click.argument("account")
@click.option("--duration", default="", help="How long it holds, such as 1h.")
@click.option("--audience", "audiences", multiple=True, help="Whom it is for.")
async def token(session: Session, account: str, duration: str, audiences: tuple[str, ...]) -> int:
    """A token of a service account.

    \b
    minikubectl create token robot --duration=10m
    """
    spec: JSON = {"audiences": list(audiences)} if audiences else {}
    if duration:
        spec["expirationSeconds"] = int(parse_duration(duration))
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    try:
        answer = await session.client.create(
            kinds.SERVICE_ACCOUNT, body, namespace=session.namespace, name=account, subresource="token"
        )
    except StatusError as error:
        raise Failed(f"failed to create token: {error.message}") from error
    click.echo(answer["status"]["token"])
    return 0


@command(cli, "run")
@click.argument("name")
@click.argument("line", nargs=-1, type=click.UNPROCESSED)
@click.option("--image", required=True, help="Image of the container.")
@click.option("--port", type=int, default=0, help="The port that the container offers.")
@click.option("--expose", is_flag=True, help="With a Service for that port.")
@click.option("--env", "variables", multiple=True, help="NAME=VALUE.")
@click.option("-l", "--labels", default="", help="KEY=VALUE,...: instead of run=NAME.")
@click.option("--annotations", multiple=True, help="KEY=VALUE.")
@click.option("--restart", type=click.Choice(["Always", "OnFailure", "Never"]), default="Always")
@click.option("--image-pull-policy", "policy", default="", help="Always, IfNotPresent, Never.")
@click.option("--command", "is_command", is_flag=True, help="The words are the command, not its arguments.")
@click.option("-i", "--stdin", is_flag=True, help="Keep standard input open, and attach.")
@click.option("-t", "--tty", "terminal", is_flag=True, help="Standard input is a terminal.")
@click.option("--attach", is_flag=True, help="Show what it prints.")
@click.option("--rm", "remove", is_flag=True, help="Delete the pod when it ends (with --attach or -i).")
@click.option("-q", "--quiet", is_flag=True, help="Print only what the container prints.")
@SENDING
async def run(
    session: Session, name: str, stdin: bool, terminal: bool, attach: bool, remove: bool, quiet: bool, expose: bool,
    port: int, form: str, dry_run: str, manager: str, **flags: Any,
) -> int:  # fmt: skip
    """Run an image as a pod: NAME --image=IMAGE [-- ARGS...].

    \b
    minikubectl run web --image=shop/web:1 --port=8080 --expose
    minikubectl run -it --rm debug --image=busybox --restart=Never -- sh
    """
    attach = attach or stdin
    if remove and not attach:
        raise Failed("--rm should only be used for attached containers")
    if expose and not port:
        raise Failed("--port must be set when exposing a service")
    sending = Sending(dry_run, form, manager or "kubectl-run")
    pod = _whole(kinds.POD, name, pod_of(name, stdin=stdin, terminal=terminal, once=remove, port=port, **flags))
    made: Found = [(kinds.POD, pod)]
    if expose:
        labels, ports = pod["metadata"]["labels"], [{"port": port, "protocol": "TCP", "targetPort": port}]
        service = _whole(kinds.SERVICE, name, {"spec": {"selector": labels, "ports": ports}})
        made.insert(0, (kinds.SERVICE, service))
    if not attach or dry_run != "none":
        return await _create(session, made, sending)
    await session.client.create(kinds.POD, pod, namespace=session.namespace, params=sending.params())
    try:
        return await attach_to(session, name, stdin=stdin, terminal=terminal, quiet=quiet)
    finally:
        if remove:
            await session.client.delete(kinds.POD, name, namespace=session.namespace)
            if not quiet:
                click.echo(f'pod "{name}" deleted')


def pod_of(
    name: str, *, line: tuple[str, ...], image: str, port: int, variables: tuple[str, ...], labels: str,
    annotations: tuple[str, ...], restart: str, policy: str, is_command: bool, stdin: bool, terminal: bool, once: bool,
) -> JSON:  # fmt: skip
    """The pod that `run` makes of its flags, without name."""
    more: JSON = {
        "ports": [{"containerPort": port}] if port else None,
        "env": [{"name": key, "value": value} for key, _, value in (each.partition("=") for each in variables)] or None,
        "imagePullPolicy": policy or None,
        "command" if is_command else "args": list(line) or None,
        "stdin": stdin or None,
        "stdinOnce": (stdin and once) or None,
        "tty": terminal or None,
    }
    container = {"name": name, "image": image, **{key: each for key, each in more.items() if each}}
    metadata: JSON = {"labels": amounts(labels) if labels else {"run": name}}
    if annotations:
        metadata["annotations"] = dict(each.split("=", 1) for each in annotations if "=" in each)
    return {
        "metadata": metadata,
        "spec": {"containers": [container], "restartPolicy": restart, "dnsPolicy": "ClusterFirst"},
    }


def _over(name: str, verb: str, kind: Kind, *options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Register a command that makes one object of `kind` for each object that it names."""

    def register(make: Callable[..., JSON]) -> Callable[..., JSON]:
        @RESOURCES
        @together(FILES, *options, SENDING)
        @click.option("--name", default="", help="Instead of the name of what it is for.")
        async def run(
            session: Session,
            resources: tuple[str, ...],
            files: tuple[str, ...],
            recursive: bool,
            name: str,
            **flags: Any,
        ) -> int:
            sending = Sending.taken(flags)
            found = await find(session, resources, files=files, recursive=recursive)
            made = [(kind, _whole(kind, name or meta.name(obj), make(obj, **flags))) for _, obj in found]
            return await _create(session, made, sending, verb=verb)

        run.__doc__ = make.__doc__
        command(cli, name)(run)
        return make

    return register


@_over(
    "expose", "exposed", kinds.SERVICE,
    click.option("--port", default="", help="The Service's port, by default those of the containers."),
    click.option("--target-port", default="", help="Number or name of the containers' port."),
    click.option("--protocol", default="", help="TCP, UDP or SCTP."),
    click.option("--type", "type_", default="", help="ClusterIP, NodePort, LoadBalancer."),
    click.option("--selector", default="", help="Pods by label, instead of the object's own selector."),
    click.option("-l", "--labels", default="", help="Labels of the Service."),
    click.option("--cluster-ip", default="", help="The address, or None."),
    click.option("--external-ip", default="", help="One more address."),
    click.option("--session-affinity", default="", help="None or ClientIP."),
)  # fmt: skip
def service_for(
    obj: JSON, *, port: str, target_port: str, protocol: str, selector: str, labels: str, **more: str
) -> JSON:
    """Make a Service for the pods of a Deployment, ReplicaSet, Service or Pod.

    \b
    minikubectl expose deployment web --port=80 --target-port=8080
    """
    spec: JSON = obj.get("spec") or {}
    held = spec.get("selector") or {}
    chosen = amounts(selector) if selector else held.get("matchLabels", held if obj["kind"] != "Deployment" else {})
    if obj["kind"] == "Pod" and not selector:
        chosen = meta.labels(obj)
    if not chosen:
        raise Failed("couldn't retrieve selectors via --selector flag or introspection: no pod selector to expose")
    ports = [{"port": int(each), "protocol": protocol or "TCP"} for each in port.split(",") if each]
    if not ports:
        listed = spec.get("ports") if obj["kind"] == "Service" else [
            {"port": each["containerPort"], "protocol": each.get("protocol", "TCP")}
            for container in pod_spec(obj).get("containers") or () for each in container.get("ports") or ()
        ]  # fmt: skip
        ports = [{key: each[key] for key in ("port", "protocol")} for each in listed or ()]
    if not ports:
        raise Failed("couldn't find port via --port flag or introspection")
    for at, each_ in enumerate(ports):
        each_["targetPort"] = (int(target_port) if target_port.isdigit() else target_port) or each_["port"]
        if len(ports) > 1:
            each_["name"] = f"port-{at + 1}"
    fields = {"type": "type_", "clusterIP": "cluster_ip", "sessionAffinity": "session_affinity"}
    extra: JSON = {field: more[flag] for field, flag in fields.items() if more[flag]}
    if more["external_ip"]:
        extra["externalIPs"] = [more["external_ip"]]
    own = amounts(labels) if labels else meta.labels(obj)
    return {"metadata": {"labels": own} if own else {}, "spec": {"selector": chosen, "ports": ports, **extra}}


@_over(
    "autoscale", "autoscaled", by_gvk(GVK("autoscaling", "v2", "HorizontalPodAutoscaler")),
    click.option("--min", "least", type=int, default=-1, help="At least so many pods."),
    click.option("--max", "most", type=int, required=True, help="At most so many pods."),
    click.option("--cpu-percent", type=int, default=-1, help="The use of requested CPU to aim at."),
)  # fmt: skip
def autoscaler_for(obj: JSON, *, least: int, most: int, cpu_percent: int) -> JSON:
    """Let the number of pods follow their use of CPU.

    \b
    minikubectl autoscale deployment web --min=2 --max=10 --cpu-percent=80
    """
    if most < 1:
        raise Failed(f"--max=MAXPODS is required and must be at least 1, max: {most}")
    spec: JSON = {"scaleTargetRef": {key: obj[key] for key in ("apiVersion", "kind")} | {"name": meta.name(obj)}}
    target = {"type": "Utilization", "averageUtilization": cpu_percent}
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    spec |= {"maxReplicas": most, **({"minReplicas": least} if least > 0 else {})}
    return {"spec": {**spec, **({"metrics": metrics} if cpu_percent > 0 else {})}}
