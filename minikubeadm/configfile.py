"""`--config`: kubeadm's configuration file (v1beta4), as far as we honour it, as values of the commands' options.

One table says which field is which option. A field that isn't in it is refused by name, with all the others: what is
silently passed over would only be found when the cluster isn't as it was meant.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from componentbase import defaults
from minikubeadm.configuration import API_VERSION, CONTROL_PLANE_TAINT, LOAD_BALANCER_POOL

INIT, JOIN = ("InitConfiguration", "ClusterConfiguration"), ("JoinConfiguration",)
Convert = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {value!r}")
    return value


def _commas(value: Any) -> str:
    return ",".join(_list(value))


def _list(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list, not {value!r}")
    return [_text(one) for one in value]


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _untainted(value: Any) -> bool:
    """`[]` lets pods run on a control plane; the taint that it has anyway may be written out."""
    if value == []:
        return True
    if value == [{"key": CONTROL_PLANE_TAINT, "effect": "NoSchedule"}]:
        return False
    raise ValueError(f"must be [], or the taint {CONTROL_PLANE_TAINT}:NoSchedule alone")


def _only(wanted: Any) -> Convert:
    def check(value: Any) -> Any:
        if value != wanted:
            raise ValueError(f"can only be {wanted!r}, not {value!r}")
        return value

    return check


_NODE: Mapping[str, tuple[str, Convert]] = {
    "nodeRegistration.name": ("node_name", _text),
    "nodeRegistration.taints": ("no_taint", _untainted),
    "nodeRegistration.ignorePreflightErrors": ("ignore_preflight_errors", _commas),
    "nodeRegistration.kubeletExtraArgs[node-ip]": ("node_ip", _text),
    "nodeRegistration.kubeletExtraArgs[pod-infra-container-image]": ("pause_image", _text),
}
# kind -> field -> (option, conversion); an option "" is checked only.
FIELDS: Mapping[str, Mapping[str, tuple[str, Convert]]] = {
    "InitConfiguration": {
        **_NODE,
        "bootstrapTokens[0].token": ("token", _text),
        "bootstrapTokens[0].ttl": ("token_ttl", _text),
        "localAPIEndpoint.advertiseAddress": ("node_ip", _text),
        "localAPIEndpoint.bindPort": ("", _only(defaults.API_PORT)),
        "certificateKey": ("certificate_key", _text),
        "skipPhases": ("skip_phases", _commas),
        "dryRun": ("dry_run", _flag),
    },
    "ClusterConfiguration": {
        "clusterName": ("cluster_name", _text),
        "controlPlaneEndpoint": ("control_plane_endpoint", _text),
        "kubernetesVersion": ("", _only(defaults.GIT_VERSION)),
        "certificatesDir": ("", _only(defaults.PKI_DIRECTORY)),
        "networking.dnsDomain": ("service_dns_domain", _text),
        "networking.podSubnet": ("pod_network_cidr", _text),
        "networking.serviceSubnet": ("service_cidr", _text),
        "apiServer.certSANs": ("apiserver_cert_extra_sans", _commas),
        f"controllerManager.extraArgs[{LOAD_BALANCER_POOL}]": ("load_balancer_pool", _text),
    },
    "JoinConfiguration": {
        **_NODE,
        "discovery.bootstrapToken.apiServerEndpoint": ("endpoint", _text),
        "discovery.bootstrapToken.token": ("token", _text),
        "discovery.bootstrapToken.caCertHashes": ("pins", _list),
        "discovery.bootstrapToken.unsafeSkipCAVerification": ("unsafe", _flag),
        "controlPlane.localAPIEndpoint.advertiseAddress": ("node_ip", _text),
        "controlPlane.localAPIEndpoint.bindPort": ("", _only(defaults.API_PORT)),
        "controlPlane.certificateKey": ("certificate_key", _text),
    },
}


def options(text: str, kinds: tuple[str, ...]) -> dict[str, Any]:
    """The options that a file of documents of these kinds gives; ValueError with everything that is wrong with it."""
    found: dict[str, Any] = {}
    problems: list[str] = []
    try:
        documents = [one for one in yaml.safe_load_all(text) if one is not None]
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    for document in documents:
        kind = document.get("kind") if isinstance(document, dict) else None
        if kind not in kinds or document.get("apiVersion") != API_VERSION:
            shown = f"{document.get('apiVersion')}/{kind}" if isinstance(document, dict) else repr(document)
            problems.append(f"{shown}: only {API_VERSION} {' and '.join(kinds)} are read")
            continue
        if "controlPlane" in document:
            found["control_plane"] = True
        for path, value in _leaves({key: one for key, one in document.items() if key not in ("apiVersion", "kind")}):
            if path not in FIELDS[kind]:
                problems.append(f"{kind}: {path} is not honoured; take it out")
                continue
            option, convert = FIELDS[kind][path]
            try:
                converted = convert(value)
            except ValueError as error:
                problems.append(f"{kind}: {path}: {error}")
                continue
            if option:
                found[option] = converted
    if not documents:
        problems.append("it holds no document")
    if problems:
        raise ValueError("\n".join(problems))
    return found


_WHOLE = {"taints", "certSANs", "caCertHashes", "ignorePreflightErrors", "skipPhases"}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of every field. Arguments with a name are `args[name]`, items of other lists `list[number]`."""
    if isinstance(value, dict):
        for key, one in value.items():
            below = f"{path}.{key}" if path else str(key)
            yield from [(below, one)] if key in _WHOLE else _leaves(one, below)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            if isinstance(one, dict) and set(one) == {"name", "value"}:
                yield f"{path}[{one['name']}]", one["value"]
            else:
                yield from _leaves(one, f"{path}[{number}]")
    elif value is not None:
        yield path, value


def read(path: str) -> str:
    """A file's text, `-` for standard input; click.BadParameter if it can't be read."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}") from error


def config_option(kinds: tuple[str, ...]) -> Callable[[Any], Any]:
    """`--config FILE`: its values are the defaults of the other options, so a flag beside it wins."""

    def load(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None:
            try:
                given = options(read(value), kinds)
            except ValueError as error:
                raise click.BadParameter(f"{value}:\n{error}") from error
            ctx.default_map = {**(ctx.default_map or {}), **given}

    text = f"{API_VERSION} {' and '.join(kinds)}; - is standard input"
    return click.option("--config", is_eager=True, expose_value=False, callback=load, metavar="FILE", help=text)


def _load_token(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.default_map = {**(ctx.default_map or {}), "token": read(value).strip()}


token_file_option = click.option(
    "--token-file",
    is_eager=True,
    expose_value=False,
    callback=_load_token,
    metavar="FILE",
    help="Read the token from a file, or - from standard input: a command line is seen by every user",
)
