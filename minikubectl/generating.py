"""What `create TYPE` makes of its flags: objects, without I/O beyond the files that are named.

Each generator is a function of a name and of click's options; its own decorators are its command line, and `GENERATORS`
is the list that `create` offers. What a generator leaves out the server defaults.
"""

import base64
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click
import orjson

from apimachinery.kinds import GVK
from minikubectl.session import Failed
from minikubectl.setting import amounts

JSON = dict[str, Any]
Generator = Callable[..., JSON]


def _many(flag: str, name: str, help_: str) -> Callable[[Any], Any]:
    return click.option(flag, name, multiple=True, help=help_)


_FROM: Final = (
    _many("--from-literal", "literals", "KEY=VALUE."),
    _many("--from-file", "from_files", "[KEY=]FILE, or a directory of such."),
    _many("--from-env-file", "env_files", "A file of lines KEY=VALUE."),
)
_ROLE_RULES: Final = (
    _many("--verb", "verbs", "get, list, ... or *."),
    _many("--resource", "resources_", "RESOURCE[.GROUP][/SUBRESOURCE]."),
    _many("--resource-name", "names", "Only the objects of these names."),
)
_SUBJECTS: Final = (
    _many("--user", "users", "Who gets the role."),
    _many("--group", "groups", "Who gets the role."),
    _many("--serviceaccount", "accounts", "NAMESPACE:NAME."),
)
_IMAGE: Final = click.option("--image", required=True, help="Image of the container.")
_COMMAND: Final = click.argument("command_", nargs=-1, type=click.UNPROCESSED)

# command → (kind, generator, its options, summary)
GENERATORS: Final[dict[str, tuple[GVK, Generator, tuple[Callable[[Any], Any], ...], str]]] = {}


def generator(
    words: str, api_version: str, kind: str, *options: Callable[[Any], Any]
) -> Callable[[Generator], Generator]:
    def register(function: Generator) -> Generator:
        GENERATORS[words] = (GVK.of(api_version, kind), function, options, function.__doc__ or "")
        return function

    return register


def split_values(values: Iterable[str]) -> list[str]:
    """Every element of flags that may be repeated, or have commas."""
    return [part for value in values for part in value.split(",") if part]


@generator("namespace", "v1", "Namespace")
def _namespace(name: str) -> JSON:
    """A namespace."""
    return {}


@generator("serviceaccount", "v1", "ServiceAccount")
def _serviceaccount(name: str) -> JSON:
    """A service account."""
    return {}


@generator("configmap", "v1", "ConfigMap", *_FROM)
def _configmap(name: str, **sources: Any) -> JSON:
    """A ConfigMap from values, files or directories.

    \b
    minikubectl create configmap settings --from-literal=level=debug --from-file=nginx.conf
    """
    text: dict[str, str] = {}
    binary: dict[str, str] = {}
    for key, data in read_data(**sources).items():
        try:
            text[key] = data.decode()
        except UnicodeDecodeError:
            binary[key] = base64.b64encode(data).decode()
    return {key: each for key, each in (("data", text), ("binaryData", binary)) if each}


def _secret(type_: str, data: dict[str, bytes]) -> JSON:
    encoded = {key: base64.b64encode(each).decode() for key, each in data.items()}
    return {**({"data": encoded} if encoded else {}), **({"type": type_} if type_ else {})}


@generator(
    "secret generic", "v1", "Secret", *_FROM, click.option("--type", "type_", default="", help="Type of secret.")
)
def _generic(name: str, type_: str, **sources: Any) -> JSON:
    """A Secret from values, files or directories.

    \b
    minikubectl create secret generic db --from-literal=password=swordfish
    """
    return _secret(type_, read_data(**sources))


@generator(
    "secret tls", "v1", "Secret",
    click.option("--cert", required=True, help="PEM file of the certificate."),
    click.option("--key", required=True, help="PEM file of its private key."),
)  # fmt: skip
def _tls(name: str, cert: str, key: str) -> JSON:
    """A Secret with a certificate and its key."""
    return _secret("kubernetes.io/tls", {"tls.crt": _read(cert), "tls.key": _read(key)})


@generator(
    "secret docker-registry", "v1", "Secret",
    click.option("--docker-server", "server", default="https://index.docker.io/v1/", help="Address of the registry."),
    click.option("--docker-username", "username", default="", help="User there."),
    click.option("--docker-password", "password", default="", help="Password."),
    click.option("--docker-email", "email", default="", help="E-mail address."),
    _FROM[1],
)  # fmt: skip
def _registry(name: str, server: str, username: str, password: str, email: str, from_files: tuple[str, ...]) -> JSON:
    """A Secret with what a registry asks for, to be named in imagePullSecrets."""
    if from_files:
        data = read_data(from_files=tuple(each if "=" in each else f".dockerconfigjson={each}" for each in from_files))
        return _secret("kubernetes.io/dockerconfigjson", data)
    if not (username and password):
        raise Failed(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server is "
            "required"
        )
    entry = {"username": username, "password": password, **({"email": email} if email else {})}
    entry["auth"] = base64.b64encode(f"{username}:{password}".encode()).decode()
    return _secret("kubernetes.io/dockerconfigjson", {".dockerconfigjson": orjson.dumps({"auths": {server: entry}})})


@generator(
    "deployment", "apps/v1", "Deployment",
    _many("--image", "images", "Image of a container; may be repeated."),
    click.option("--replicas", "-r", type=int, default=1, help="How many pods."),
    click.option("--port", type=int, default=-1, help="The port that the container offers."),
    _COMMAND,
)  # fmt: skip
def _deployment(name: str, images: tuple[str, ...], replicas: int, port: int, command_: tuple[str, ...]) -> JSON:
    """A Deployment.

    \b
    minikubectl create deployment web --image=shop/web:1 --replicas=3 --port=8080
    """
    if not images:
        raise Failed('required flag(s) "image" not set')
    if len(images) > 1 and command_:
        raise Failed("cannot specify multiple --image options and command")
    labels = {"app": name}
    containers = [_container(_container_name(image), image) for image in images]
    if command_:
        containers[0]["command"] = list(command_)
    if port >= 0:
        containers[0]["ports"] = [{"containerPort": port}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"labels": labels}, "spec": spec}


def _container(name: str, image: str) -> JSON:
    return {"name": name, "image": image}


def _container_name(image: str) -> str:
    last = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return re.sub(r"[^a-z0-9-]", "-", last.lower()).strip("-")


def _service(type_: str) -> Generator:
    def make(name: str, tcp: tuple[str, ...], clusterip: str = "", node_port: int = 0) -> JSON:
        ports = [_service_port(each) for each in split_values(tcp)]
        if not ports and clusterip != "None":
            raise Failed("at least one tcp port specifier must be provided")
        if node_port:
            ports = [{**each, "nodePort": node_port} for each in ports]
        labels = {"app": name}
        spec = {"type": type_, "selector": labels, **({"ports": ports} if ports else {})}
        return {"metadata": {"labels": labels}, "spec": {**spec, **({"clusterIP": clusterip} if clusterip else {})}}

    make.__doc__ = f"A Service of type {type_} for pods with the label app=NAME."
    return make


def _service_port(text: str) -> JSON:
    port, _, target = text.partition(":")
    if not port.isdigit():
        raise Failed(f"{text!r} is not a port: PORT[:TARGETPORT]".replace("'", '"'))
    where: Any = int(target) if target.isdigit() else target or int(port)
    return {"name": text.replace(":", "-"), "port": int(port), "protocol": "TCP", "targetPort": where}


_TCP: Final = _many("--tcp", "tcp", "PORT[:TARGETPORT].")
generator(
    "service clusterip", "v1", "Service", _TCP, click.option("--clusterip", default="", help="The address, or None.")
)(_service("ClusterIP"))
generator(
    "service nodeport", "v1", "Service", _TCP, click.option("--node-port", type=int, default=0, help="Port on nodes.")
)(_service("NodePort"))
generator("service loadbalancer", "v1", "Service", _TCP)(_service("LoadBalancer"))


@generator(
    "service externalname", "v1", "Service", _TCP,
    click.option("--external-name", required=True, help="The DNS name that it stands for."),
)  # fmt: skip
def _external(name: str, tcp: tuple[str, ...], external_name: str) -> JSON:
    """A Service that is another name."""
    ports = [_service_port(each) for each in split_values(tcp)]
    spec = {"type": "ExternalName", "externalName": external_name, "selector": {"app": name}}
    return {"metadata": {"labels": {"app": name}}, "spec": {**spec, **({"ports": ports} if ports else {})}}


@generator(
    "job", "batch/v1", "Job",
    click.option("--image", default="", help="Image of the container."),
    click.option("--from", "source", default="", help="cronjob/NAME: what it would start."),
    _COMMAND,
)  # fmt: skip
def _job(name: str, image: str, command_: tuple[str, ...], source: JSON | None) -> JSON:
    """A Job, of an image or from a CronJob.

    \b
    minikubectl create job hello --image=busybox -- echo hello
    minikubectl create job now --from=cronjob/nightly
    """
    if bool(image) == bool(source):
        raise Failed("either --image or --from must be specified")
    if source:
        template = source["spec"]["jobTemplate"]
        metadata = template.get("metadata") or {}
        owner = {key: source["metadata"].get(key) for key in ("name", "uid")}
        reference = {"apiVersion": "batch/v1", "kind": "CronJob", "controller": True, **owner}
        marks = {"cronjob.kubernetes.io/instantiate": "manual", **(metadata.get("annotations") or {})}
        kept = {"labels": metadata["labels"]} if metadata.get("labels") else {}
        return {"metadata": {**kept, "annotations": marks, "ownerReferences": [reference]}, "spec": template["spec"]}
    return {"spec": {"template": {"spec": _once(name, image, command_)}}}


def _once(name: str, image: str, command_: tuple[str, ...], restart: str = "Never") -> JSON:
    container = _container(name, image) | ({"command": list(command_)} if command_ else {})
    return {"containers": [container], "restartPolicy": restart}


@generator(
    "cronjob", "batch/v1", "CronJob", _IMAGE,
    click.option("--schedule", required=True, help='"*/5 * * * *"'),
    click.option("--restart", default="OnFailure", help="OnFailure or Never."),
    _COMMAND,
)  # fmt: skip
def _cronjob(name: str, image: str, schedule: str, restart: str, command_: tuple[str, ...]) -> JSON:
    """A CronJob."""
    job = {"metadata": {"name": name}, "spec": {"template": {"spec": _once(name, image, command_, restart)}}}
    return {"spec": {"schedule": schedule, "jobTemplate": job}}


def role_rules(verbs: Iterable[str], resources: Iterable[str], names: Iterable[str]) -> list[JSON]:
    """RBAC rules, one for each API group. Raises Failed."""
    listed = list(dict.fromkeys(split_values(verbs)))
    if not listed:
        raise Failed("at least one verb must be specified")
    by_group: dict[str, list[str]] = {}
    for text in split_values(resources):
        word, slash, subresource = text.partition("/")
        plural, _, group = word.partition(".")
        by_group.setdefault(group, []).append(plural + slash + subresource)
    kept = {"resourceNames": list(names)} if names else {}
    return [{"apiGroups": [group], "resources": each, **kept, "verbs": listed} for group, each in by_group.items()]


@generator("role", "rbac.authorization.k8s.io/v1", "Role", *_ROLE_RULES)
def _role(name: str, verbs: tuple[str, ...], resources_: tuple[str, ...], names: tuple[str, ...]) -> JSON:
    """What may be done in a namespace.

    \b
    minikubectl create role reader --verb=get,list,watch --resource=pods,deployments.apps
    """
    if not resources_:
        raise Failed("at least one resource must be specified")
    return {"rules": role_rules(verbs, resources_, names)}


@generator(
    "clusterrole", "rbac.authorization.k8s.io/v1", "ClusterRole", *_ROLE_RULES,
    _many("--non-resource-url", "urls", "Paths that are no resources."),
)  # fmt: skip
def _clusterrole(
    name: str, verbs: tuple[str, ...], resources_: tuple[str, ...], names: tuple[str, ...], urls: tuple[str, ...]
) -> JSON:
    """What may be done anywhere."""
    rules = role_rules(verbs, resources_, names)
    if urls:
        rules.append({"nonResourceURLs": split_values(urls), "verbs": split_values(verbs)})
    if not rules:
        raise Failed("one of resource or nonResourceURL must be specified")
    return {"rules": rules}


def _binding(name: str, role: str, clusterrole: str, **who: tuple[str, ...]) -> JSON:
    """Give a role to users, groups or service accounts.

    \b
    minikubectl create rolebinding jane --clusterrole=view --user=jane
    """
    if bool(role) == bool(clusterrole):
        raise Failed("exactly one of clusterrole or role must be specified")
    group = "rbac.authorization.k8s.io"
    subjects: list[JSON] = [{"kind": "User", "apiGroup": group, "name": each} for each in split_values(who["users"])]
    subjects += [{"kind": "Group", "apiGroup": group, "name": each} for each in split_values(who["groups"])]
    for each in split_values(who["accounts"]):
        space, _, account = each.partition(":")
        if not (space and account):
            raise Failed("serviceaccount must be <namespace>:<name>")
        subjects.append({"kind": "ServiceAccount", "name": account, "namespace": space})
    reference = {"apiGroup": group, "kind": "Role" if role else "ClusterRole", "name": role or clusterrole}
    return {"roleRef": reference, **({"subjects": subjects} if subjects else {})}


_CLUSTER_ROLE: Final = click.option("--clusterrole", default="", help="The ClusterRole.")
generator(
    "rolebinding", "rbac.authorization.k8s.io/v1", "RoleBinding", *_SUBJECTS, _CLUSTER_ROLE,
    click.option("--role", default="", help="The Role."),
)(_binding)  # fmt: skip


@generator("clusterrolebinding", "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", *_SUBJECTS, _CLUSTER_ROLE)
def _cluster_binding(name: str, clusterrole: str, **who: tuple[str, ...]) -> JSON:
    """Give a ClusterRole to users, groups or service accounts, everywhere."""
    return _binding(name, "", clusterrole, **who)


@generator("quota", "v1", "ResourceQuota", click.option("--hard", default="", help="pods=3,cpu=2"))
def _quota(name: str, hard: str) -> JSON:
    """A ResourceQuota."""
    return {"spec": {"hard": amounts(hard)} if hard else {}}


@generator(
    "poddisruptionbudget", "policy/v1", "PodDisruptionBudget",
    click.option("--selector", required=True, help="Which pods: KEY=VALUE[,...]."),
    click.option("--min-available", default="", help="How many or % must stay."),
    click.option("--max-unavailable", default="", help="How many or % may be away."),
)  # fmt: skip
def _budget(name: str, selector: str, min_available: str, max_unavailable: str) -> JSON:
    """How many of some pods may be evicted at a time."""
    bounds = {"minAvailable": min_available, "maxUnavailable": max_unavailable}
    numbers = {key: int(each) if each.isdigit() else each for key, each in bounds.items() if each}
    if len(numbers) != 1:
        raise Failed("one of min-available or max-unavailable must be specified")
    return {"spec": {"selector": {"matchLabels": amounts(selector)}, **numbers}}


@generator(
    "priorityclass", "scheduling.k8s.io/v1", "PriorityClass",
    click.option("--value", type=int, default=0, help="Higher goes first."),
    click.option("--global-default", is_flag=True, help="For pods that name no class."),
    click.option("--description", default="", help="What it is for."),
)  # fmt: skip
def _priority(name: str, value: int, global_default: bool, description: str) -> JSON:
    """A class of priority for pods."""
    return {"value": value, "globalDefault": global_default, "description": description}


@generator(
    "ingress", "networking.k8s.io/v1", "Ingress",
    _many("--rule", "rules", "HOST/PATH=SERVICE:PORT; PATH* for all below it."),
    click.option("--class", "class_", default="", help="The IngressClass."),
)  # fmt: skip
def _ingress(name: str, rules: tuple[str, ...], class_: str) -> JSON:
    """An Ingress."""
    hosts: dict[str, list[JSON]] = {}
    for rule in rules:
        match = re.fullmatch(r"([^/=]*)(/[^=*]*)(\*?)=([^:]+):([^,]+)", rule)
        if not match:
            raise Failed(f"rule {rule} is invalid and should be in format host/path=svcname:svcport")
        host, path, star, service, port = match.groups()
        target = {"number": int(port)} if port.isdigit() else {"name": port}
        backend = {"service": {"name": service, "port": target}}
        entry = {"path": path, "pathType": "Prefix" if star else "Exact", "backend": backend}
        hosts.setdefault(host, []).append(entry)
    listed = [{**({"host": host} if host else {}), "http": {"paths": paths}} for host, paths in hosts.items()]
    return {"spec": {**({"ingressClassName": class_} if class_ else {}), "rules": listed}}


def read_data(
    literals: Iterable[str] = (), from_files: Iterable[str] = (), env_files: Iterable[str] = ()
) -> dict[str, bytes]:
    """The keys and values that --from-literal, --from-file and --from-env-file name. Raises Failed."""
    if env_files and (literals or from_files):
        raise Failed("from-env-file cannot be combined with from-file or from-literal")
    pairs: list[tuple[str, bytes]] = []
    for text in literals:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise Failed(f"invalid literal source {text}, expected key=value")
        pairs.append((key, value.strip("'\"").encode()))
    for text in from_files:
        key, equals, file = text.partition("=") if "=" in text else ("", "", text)
        if not equals and Path(file).is_dir():
            pairs += [(each.name, each.read_bytes()) for each in sorted(Path(file).iterdir()) if each.is_file()]
        else:
            pairs.append((key or Path(file).name, _read(file)))
    for file in env_files:
        for line in _read(file).decode().splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                key, _, value = line.lstrip().partition("=")
                pairs.append((key, value.encode()))
    data: dict[str, bytes] = {}
    for key, each in pairs:
        if key in data:
            raise Failed(f'cannot add key "{key}", another key by that name already exists in Data')
        data[key] = each
    return data


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Failed(f"error reading {file}: {(error.strerror or '').lower()}") from error
