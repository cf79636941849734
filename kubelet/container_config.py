"""A pod's sandbox and containers as the bodies of Docker's create call.

Pure: every value that has to be looked up (environment, image, mounts) is handed in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apimachinery import meta
from apimachinery.meta import JSON

from . import observed, resources
from .environment import ConfigError, expand

HOSTNAME_LENGTH_MAX = 63
FQDN_LENGTH_MAX = 64  # of what the kernel takes as a host name
UNCONFINED = ["seccomp=unconfined"]
ALL_DEVICES_RULE = "a *:* rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAbilities:
    """What this node's own confinement lets its containers have."""

    capabilities: tuple[str, ...]  # that a privileged container gets where the node itself is not fully privileged
    fully_privileged: bool
    oom_scores_lowerable: bool
    memory_bytes: int
    apparmor: bool = False  # the kernel enforces profiles
    log_max_size: str
    log_max_files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """One mount: a path of the node at a path of the container."""

    source: str
    target: str
    read_only: bool = False
    propagation: str = ""


# "" leaves it to Docker: rprivate, but rslave for what holds its own mounts (the root of a node, for `kubectl debug`).
PROPAGATION = {"None": "", "HostToContainer": "rslave", "Bidirectional": "rshared"}


def docker_name(pod: JSON, container: str, attempt: int) -> str:
    """k8s_<container>_<pod>_<namespace>_<uid>_<attempt>."""
    return f"k8s_{container}_{meta.name(pod)}_{meta.namespace(pod)}_{meta.uid(pod)}_{attempt}"


def hostname(pod: JSON) -> str:
    """The pod's host name: as asked for, else its name, cut to what the kernel takes."""
    name = str(pod["spec"].get("hostnameOverride") or pod["spec"].get("hostname") or meta.name(pod))
    return name[:HOSTNAME_LENGTH_MAX].rstrip("-.")


def fqdn(pod: JSON, cluster_domain: str) -> str:
    """hostname.subdomain.namespace.svc.domain for a pod with a subdomain, else ""."""
    subdomain = pod["spec"].get("subdomain")
    return f"{hostname(pod)}.{subdomain}.{meta.namespace(pod)}.svc.{cluster_domain}" if subdomain else ""


def sandbox_hostname(pod: JSON, cluster_domain: str) -> str:
    """What `hostname` says inside the pod. Raises ConfigError for a full name that the kernel does not take."""
    full = fqdn(pod, cluster_domain) if pod["spec"].get("setHostnameAsFQDN") else ""
    if len(full) > FQDN_LENGTH_MAX:
        raise ConfigError(
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too long "
            f"({FQDN_LENGTH_MAX} characters is the max, {len(full)} characters requested)"
        )
    return full or hostname(pod)


def labels_of(pod: JSON, container: str, attempt: int) -> dict[str, str]:
    """The labels by which a container is found again."""
    sandbox = container == "POD"
    return {
        observed.LABEL_POD_NAME: meta.name(pod),
        observed.LABEL_POD_NAMESPACE: meta.namespace(pod),
        observed.LABEL_POD_UID: meta.uid(pod),
        observed.LABEL_CONTAINER: container,
        observed.LABEL_TYPE: observed.TYPE_SANDBOX if sandbox else observed.TYPE_CONTAINER,
        observed.LABEL_ATTEMPT: str(attempt),
    }


def sandbox_body(
    pod: JSON, *, image: str, attempt: int, node: NodeAbilities, cluster_domain: str, cgroup_parent: str = ""
) -> JSON:
    """The pause container: it holds the network, IPC and (when shared) process namespaces. Raises ConfigError."""
    spec = pod["spec"]
    if spec.get("hostUsers") is False:
        raise ConfigError("can't set `spec.hostUsers: false`, runtime does not support user namespaces")
    security = spec.get("securityContext") or {}
    host: JSON = {
        "NetworkMode": "host" if spec.get("hostNetwork") else "none",
        "IpcMode": "host" if spec.get("hostIPC") else "shareable",
        "CgroupParent": cgroup_parent,
        "CpuShares": resources.CPU_SHARES_MIN,
        "ReadonlyRootfs": True,
        "LogConfig": {"Type": "none"},
        "SecurityOpt": UNCONFINED,
    }
    if node.oom_scores_lowerable:
        host["OomScoreAdj"] = -998
    if spec.get("hostPID"):
        host["PidMode"] = "host"
    if spec.get("hostNetwork"):
        host["UTSMode"] = "host"
    if sysctls := security.get("sysctls"):
        host["Sysctls"] = {entry["name"]: entry["value"] for entry in sysctls}
    body: JSON = {"Image": image, "Labels": labels_of(pod, "POD", attempt), "HostConfig": host}
    if not spec.get("hostNetwork"):
        # Docker would run a hook (its own big binary, 100 ms) to prepare a namespace that CNI prepares anyway.
        body |= {"Hostname": sandbox_hostname(pod, cluster_domain), "NetworkDisabled": True}
    return body


def container_body(
    pod: JSON,
    container: JSON,
    *,
    sandbox: str,
    attempt: int,
    environment: Mapping[str, str],
    binds: Sequence[Bind],
    image: JSON,
    message_file: str,
    node: NodeAbilities,
    devices: Sequence[str],
    cgroup_parent: str = "",
    seccomp: str = "",
) -> JSON:
    """One run of a container, in the sandbox's namespaces; `seccomp` is the content of its Localhost profile."""
    labels = labels_of(pod, container["name"], attempt)
    labels |= {observed.LABEL_SANDBOX: sandbox, observed.LABEL_MESSAGE_FILE: message_file}
    body: JSON = {
        "Image": container["image"],
        "Labels": labels,
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Tty": bool(container.get("tty")),
        "OpenStdin": bool(container.get("stdin")),
        "StdinOnce": bool(container.get("stdinOnce")),
        "User": user(pod, container, image),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            **_host_config(pod, container, sandbox=sandbox, binds=binds, node=node, devices=devices, seccomp=seccomp),
            "CgroupParent": cgroup_parent,
        },
    }
    if container.get("command"):
        body["Entrypoint"] = [expand(word, environment) for word in container["command"]]
    if container.get("args"):
        body["Cmd"] = [expand(word, environment) for word in container["args"]]
    if container.get("workingDir"):
        body["WorkingDir"] = container["workingDir"]
    if signal := (container.get("lifecycle") or {}).get("stopSignal"):
        body["StopSignal"] = signal
    return body


def effective_security(pod: JSON, container: JSON) -> JSON:
    """The security context of a container: the pod's, and what its own says otherwise."""
    return {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}


def _host_config(
    pod: JSON,
    container: JSON,
    *,
    sandbox: str,
    binds: Sequence[Bind],
    node: NodeAbilities,
    devices: Sequence[str],
    seccomp: str,
) -> JSON:
    spec = pod["spec"]
    security = effective_security(pod, container)
    host: JSON = {
        "NetworkMode": f"container:{sandbox}",
        "IpcMode": "host" if spec.get("hostIPC") else f"container:{sandbox}",
        "ReadonlyRootfs": bool(security.get("readOnlyRootFilesystem")),
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": node.log_max_size, "max-file": str(node.log_max_files)},
        },
        "Mounts": [
            {
                "Type": "bind",
                "Source": bind.source,
                "Target": bind.target,
                "ReadOnly": bind.read_only,
                **({"BindOptions": {"Propagation": bind.propagation}} if bind.propagation else {}),
            }
            for bind in binds
        ],
        "SecurityOpt": security_options(security, seccomp=seccomp),
        **resources.cgroup(container),
    }
    if spec.get("hostPID"):
        host["PidMode"] = "host"
    elif spec.get("shareProcessNamespace"):
        host["PidMode"] = f"container:{sandbox}"
    if spec.get("hostNetwork"):
        host["UTSMode"] = "host"
    score = resources.oom_score_adj(spec, container, node_memory_bytes=node.memory_bytes)
    if score >= 0 or node.oom_scores_lowerable:
        host["OomScoreAdj"] = score
    groups = [*(security.get("supplementalGroups") or [])]
    if security.get("fsGroup") is not None:
        groups.append(security["fsGroup"])
    if groups:
        host["GroupAdd"] = [str(group) for group in groups]
    capabilities = security.get("capabilities") or {}
    host["CapAdd"] = [_capability(name) for name in capabilities.get("add") or []]
    host["CapDrop"] = [_capability(name) for name in capabilities.get("drop") or []]
    if security.get("privileged"):
        host |= _privileged(node, devices)
    return host


def _privileged(node: NodeAbilities, devices: Sequence[str]) -> JSON:
    if node.fully_privileged:
        return {"Privileged": True, "CapAdd": [], "CapDrop": []}
    return {
        "CapAdd": list(node.capabilities),
        "CapDrop": [],
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "DeviceCgroupRules": [ALL_DEVICES_RULE],
        "Devices": [{"PathOnHost": d, "PathInContainer": d, "CgroupPermissions": "rwm"} for d in devices],
    }


def security_options(security: JSON, *, seccomp: str = "") -> list[str]:
    """Docker's SecurityOpt for a container's effective security context; RuntimeDefault is Docker's own default."""
    options = []
    profile = (security.get("seccompProfile") or {}).get("type", "Unconfined")
    if profile != "RuntimeDefault":
        options += [f"seccomp={seccomp}"] if profile == "Localhost" else UNCONFINED
    armor = security.get("appArmorProfile") or {}
    if armor.get("type") in ("Unconfined", "Localhost"):
        options.append(f"apparmor={armor.get('localhostProfile') or 'unconfined'}")
    if security.get("allowPrivilegeEscalation") is False:
        options.append("no-new-privileges")
    for field, value in (security.get("seLinuxOptions") or {}).items():
        options.append(f"label={field}:{value}")
    return options


def user(pod: JSON, container: JSON, image: JSON) -> str:
    """ "uid:gid" as asked for; "" leaves it to the image. Raises ConfigError where root is forbidden and would run."""
    security = effective_security(pod, container)
    uid, gid = security.get("runAsUser"), security.get("runAsGroup")
    image_user = str((image.get("Config") or {}).get("User") or "")
    if security.get("runAsNonRoot"):
        name = image_user.split(":")[0]
        where = f'(pod: "{meta.name(pod)}_{meta.namespace(pod)}({meta.uid(pod)})", container: {container["name"]})'
        if uid == 0:
            raise ConfigError(f"container's runAsUser breaks non-root policy {where}")
        if uid is None and name in ("", "0", "root"):
            raise ConfigError(f"container has runAsNonRoot and image will run as root {where}")
        if uid is None and not name.isdigit():
            raise ConfigError(
                f"container has runAsNonRoot and image has non-numeric user ({name}), "
                f"cannot verify user is non-root {where}"
            )
    if uid is None and gid is None:
        return ""
    return f"{uid if uid is not None else image_user.split(':')[0] or 0}" + (f":{gid}" if gid is not None else "")


def _capability(name: str) -> str:
    return name.upper().removeprefix("CAP_")
