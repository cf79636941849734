"""The Pod Security Standards, check by check, as a table: what `baseline` and `restricted` forbid.

A check looks at a pod's spec and says what is wrong, or None: (what is forbidden, where it was seen). The standards:
https://kubernetes.io/docs/concepts/security/pod-security-standards/. The wording is what upstream's plugin says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from apimachinery.meta import JSON

Fault = tuple[str, str]
Check = Callable[[JSON], Fault | None]

_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    }
)  # fmt: skip
_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
     "secret"}
)  # fmt: skip
_SECCOMP = frozenset({"RuntimeDefault", "Localhost"})


def containers(spec: JSON) -> Iterator[JSON]:
    """Every container of whatever sort."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def _context(holder: JSON) -> JSON:
    return holder.get("securityContext") or {}


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _named(noun: str, names: list[str]) -> str:
    return f"{noun}{'s' if len(names) > 1 else ''} {_quoted(names)}"


def _where(spec: JSON, wrong: Callable[[JSON], bool]) -> list[str]:
    return [each.get("name", "") for each in containers(spec) if wrong(each)]


def _who(spec: JSON, wrong: Callable[[JSON], bool], *, pod: bool = True) -> str:
    """Where something is wrong: in the pod's own security context (if that has such a field), in containers."""
    found = _where(spec, wrong)
    return " and ".join((["pod"] if pod and wrong(spec) else []) + ([_named("container", found)] if found else []))


def _check(what: str, wrong: Callable[[JSON], bool], text: str, *, pod: bool = True) -> Check:
    """The check of a field that a pod and each of its containers may have."""

    def check(spec: JSON) -> Fault | None:
        who = _who(spec, wrong, pod=pod)
        return (what, f"{who} {text}") if who else None

    return check


def _host_namespaces(spec: JSON) -> Fault | None:
    set_ = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return ("host namespaces", ", ".join(set_)) if set_ else None


_privileged = _check(
    "privileged",
    lambda each: bool(_context(each).get("privileged")),
    "must not set securityContext.privileged=true",
    pod=False,
)


def _added(container: JSON) -> list[str]:
    return list((_context(container).get("capabilities") or {}).get("add") or ())


def _default_capabilities(spec: JSON) -> Fault | None:
    found = _where(spec, lambda each: any(name not in _CAPABILITIES for name in _added(each)))
    if not found:
        return None
    names = sorted({name for each in containers(spec) for name in _added(each)} - _CAPABILITIES)
    return (
        "non-default capabilities",
        f"{_named('container', found)} must not include {_quoted(names)} in securityContext.capabilities.add",
    )


def _host_paths(spec: JSON) -> Fault | None:
    found = [each.get("name", "") for each in spec.get("volumes") or () if each.get("hostPath") is not None]
    return ("hostPath volumes", _named("volume", found)) if found else None


def _host_ports(spec: JSON) -> Fault | None:
    found = _where(spec, lambda each: any(port.get("hostPort") for port in each.get("ports") or ()))
    if not found:
        return None
    ports = sorted(
        {port["hostPort"] for each in containers(spec) for port in each.get("ports") or () if port.get("hostPort")}
    )
    uses, noun = ("use", "hostPorts") if len(found) > 1 else ("uses", "hostPorts" if len(ports) > 1 else "hostPort")
    return "hostPort", f"{_named('container', found)} {uses} {noun} {', '.join(map(str, ports))}"


_apparmor = _check(
    "forbidden AppArmor profile",
    lambda each: (_context(each).get("appArmorProfile") or {}).get("type") == "Unconfined",
    'must not set securityContext.appArmorProfile.type to "Unconfined"',
)


def _selinux(spec: JSON) -> Fault | None:
    holders = [("pod", spec), *((f'container "{each.get("name")}"', each) for each in containers(spec))]
    seen = []
    for who, holder in holders:
        options = _context(holder).get("seLinuxOptions") or {}
        if options.get("type", "") not in _SELINUX_TYPES or options.get("user") or options.get("role"):
            seen.append(who)
    if not seen:
        return None
    return "seLinuxOptions", f"{' and '.join(seen)} set forbidden securityContext.seLinuxOptions"


_proc_mount = _check(
    "procMount",
    lambda each: (_context(each).get("procMount") or "Default") != "Default",
    'must not set securityContext.procMount to "Unmasked"',
    pod=False,
)


def _seccomp(holder: JSON) -> str:
    return str((_context(holder).get("seccompProfile") or {}).get("type") or "")


_seccomp_confined = _check(
    "seccompProfile",
    lambda each: _seccomp(each) == "Unconfined",
    'must not set securityContext.seccompProfile.type to "Unconfined"',
)


def _sysctls(spec: JSON) -> Fault | None:
    found = [each.get("name", "") for each in _context(spec).get("sysctls") or () if each.get("name") not in _SYSCTLS]
    return ("forbidden sysctls", ", ".join(found)) if found else None


_host_process = _check(
    "hostProcess",
    lambda each: bool((_context(each).get("windowsOptions") or {}).get("hostProcess")),
    "must not set securityContext.windowsOptions.hostProcess=true",
)


def _volume_types(spec: JSON) -> Fault | None:
    wrong = {
        volume.get("name", ""): next((each for each in volume if each != "name"), "")
        for volume in spec.get("volumes") or ()
        if not any(each in _VOLUMES for each in volume)
    }
    if not wrong:
        return None
    kinds = sorted(set(wrong.values()))
    uses = "use restricted volume types" if len(wrong) > 1 else "uses restricted volume type"
    return "restricted volume types", f"{_named('volume', list(wrong))} {uses} {_quoted(kinds)}"


_escalation = _check(
    "allowPrivilegeEscalation != false",
    lambda each: _context(each).get("allowPrivilegeEscalation") is not False,
    "must set securityContext.allowPrivilegeEscalation=false",
    pod=False,
)


def _non_root(spec: JSON) -> Fault | None:
    if who := _who(spec, lambda each: _context(each).get("runAsNonRoot") is False):
        return "runAsNonRoot != true", f"{who} must not set securityContext.runAsNonRoot=false"
    unset = _where(spec, lambda each: _context(each).get("runAsNonRoot") is None)
    if _context(spec).get("runAsNonRoot") or not unset:
        return None
    return "runAsNonRoot != true", f"pod or {_named('container', unset)} must set securityContext.runAsNonRoot=true"


_root_user = _check("runAsUser=0", lambda each: _context(each).get("runAsUser") == 0, "must not set runAsUser=0")


def _seccomp_set(spec: JSON) -> Fault | None:
    wrong = _where(spec, lambda each: _seccomp(each) not in _SECCOMP and bool(_seccomp(each)))
    if wrong or (_seccomp(spec) and _seccomp(spec) not in _SECCOMP):
        return _seccomp_confined(spec)
    unset = _where(spec, lambda each: not _seccomp(each))
    if _seccomp(spec) or not unset:
        return None
    return (
        "seccompProfile",
        f"pod or {_named('container', unset)} must set securityContext.seccompProfile.type to "
        '"RuntimeDefault" or "Localhost"',
    )


def _dropped_capabilities(spec: JSON) -> Fault | None:
    def keeps(container: JSON) -> bool:
        return "ALL" not in ((_context(container).get("capabilities") or {}).get("drop") or ())

    keeping = _where(spec, keeps)
    adding = _where(spec, lambda each: any(name != "NET_BIND_SERVICE" for name in _added(each)))
    told = [f'{_named("container", keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        names = sorted({name for each in containers(spec) for name in _added(each)} - {"NET_BIND_SERVICE"})
        told.append(
            f"{_named('container', adding)} must not include {_quoted(names)} in securityContext.capabilities.add"
        )
    return ("unrestricted capabilities", "; ".join(told)) if told else None


BASELINE: tuple[Check, ...] = (
    _apparmor, _default_capabilities, _host_namespaces, _host_paths, _host_ports, _host_process, _privileged,
    _proc_mount, _seccomp_confined, _selinux, _sysctls,
)  # fmt: skip
RESTRICTED: tuple[Check, ...] = (
    _escalation, _apparmor, _dropped_capabilities, _host_namespaces, _host_ports, _host_process, _privileged,
    _proc_mount, _volume_types, _non_root, _root_user, _seccomp_set, _selinux, _sysctls,
)  # fmt: skip
LEVELS: dict[str, tuple[Check, ...]] = {"privileged": (), "baseline": BASELINE, "restricted": RESTRICTED}


def violations(level: str, spec: JSON) -> list[Fault]:
    """What a pod's spec has against a level."""
    found = (check(spec) for check in LEVELS[level])
    return [fault for fault in found if fault is not None]
