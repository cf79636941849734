"""The faults, as data: what each does to a node container, and what undoes it.

A fault is two shell scripts. Most run inside the node; those that take the node itself away run on this machine. Every
`undo` may run at any time, twice, and after the fault has ended by itself: it is what Ctrl-C relies on.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from minikubeadm import process
from minikubeadm.cluster.nodes import CONTROL_PLANE, WORKER

ANY = (CONTROL_PLANE, WORKER)
AGENTS = ("mini-kubelet", "mini-proxy", "docker")
SERVICES = {
    CONTROL_PLANE: ("mini-apiserver", "mini-etcd", "mini-scheduler", "mini-controller-manager", *AGENTS),
    WORKER: AGENTS,
}
_SIGNAL = "systemctl kill --kill-who=main --signal={} {}"
# Packets vanish, as on a cut cable. An interface that is taken away breaks connections, which is kinder.
_CUT = [
    f"iptables -w -t mangle -{{}} {where} -m comment --comment chaos -j DROP"
    for where in ("PREROUTING -i eth0", "POSTROUTING -o eth0")
]
_HEAL = "; ".join(f"while {cut.format('D')} 2>/dev/null; do :; done" for cut in _CUT)
# A small file system takes the place of a service's directory and is filled: the machine's own disk stays out of it.
# What the service must find again (`keep`) is taken along, and back.
_FILL = """
set -e
rm -rf /run/chaos; mkdir /run/chaos
systemctl stop {unit}
cd {path}; cp -a {keep} /run/chaos/; cd /
mount -t tmpfs -o size=$(($(du -sm /run/chaos | cut -f1) + {free}))m tmpfs {path}
cp -a /run/chaos/. {path}/
systemctl start {unit}
dd if=/dev/zero of={path}/chaos-filler bs=4k 2>/dev/null || true
"""
_EMPTY = """
set -e
if findmnt -n -t tmpfs {path} >/dev/null; then
    rm -f {path}/chaos-filler
    systemctl stop {unit}
    rm -rf /run/chaos; mkdir /run/chaos
    cd {path}; cp -a {keep} /run/chaos/; cd /
    umount -R {path} 2>/dev/null || umount -lR {path}
    cd {path}; rm -rf {keep}; cp -a /run/chaos/. .
fi
systemctl start {unit}
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault. Scripts know `$NODE` (its name) and `$UNIT` (the service, where one is meant)."""

    name: str
    does: str  # for --help and for the timeline
    roles: tuple[str, ...]  # of the nodes that it is for
    inject: str
    undo: str = ""  # nothing to undo: it ends by itself
    on_host: bool = False
    silences: bool = False  # the node's kubelet is not heard of meanwhile


def _full_disk(path: str, unit: str, *, keep: str, free: int) -> tuple[str, str]:
    """The two scripts of a full disk: `free` MiB are left when the service starts on it, none when it runs."""
    fill = _FILL.format(path=path, unit=unit, keep=keep, free=free)
    return fill, _EMPTY.format(path=path, unit=unit, keep=keep)


FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "kill-node", "the node's container is killed, and started again at the end", (WORKER,),
            'docker kill "$NODE"', 'docker start "$NODE"', on_host=True, silences=True,
        ),
        Fault(
            "partition", "no packet reaches the node or leaves it", (WORKER,),
            " && ".join(cut.format("I") for cut in _CUT), _HEAL, silences=True,
        ),
        Fault(
            "kill-service", "a service of the node gets kill -9; systemd starts it again", ANY,
            _SIGNAL.format("KILL", '"$UNIT"'),
        ),
        Fault(
            "hang-docker", "the node's Docker is stopped: it takes connections and never answers", ANY,
            _SIGNAL.format("STOP", "docker"), _SIGNAL.format("CONT", "docker"),
        ),
        Fault(
            "slow-etcd", "etcd stands still for 0.4 s of every 0.5 s", (CONTROL_PLANE,),
            f"systemd-run --quiet --unit=chaos-slow-etcd sh -c 'while :; do {_SIGNAL.format('STOP', 'mini-etcd')};"
            f" sleep 0.4; {_SIGNAL.format('CONT', 'mini-etcd')}; sleep 0.1; done'",
            f"systemctl stop chaos-slow-etcd 2>/dev/null; {_SIGNAL.format('CONT', 'mini-etcd')}",
        ),
        Fault(
            "fill-disk", "the disk under the node's pods is full", (WORKER,),
            *_full_disk("/var/lib/kubelet", "mini-kubelet", keep="pki cni", free=64),
        ),
        Fault(
            "fill-etcd", "the disk under etcd is full", (CONTROL_PLANE,),
            *_full_disk("/var/lib/etcd", "mini-etcd", keep="member", free=72),
        ),
    )
}  # fmt: skip


async def inject(fault: Fault, node: str, *, unit: str = "") -> None:
    """Make a fault happen on a node. StepFailed if the node does not take it."""
    await _run(fault, fault.inject, node, unit)


async def undo(fault: Fault, node: str, *, unit: str = "") -> None:
    """End a fault on a node; no error if there is none."""
    if fault.undo:
        await _run(fault, fault.undo, node, unit)


@contextlib.asynccontextmanager
async def during(fault: Fault, node: str, *, unit: str = "") -> AsyncIterator[None]:
    """A fault for as long as the block runs, ended however the block ends."""
    try:
        await inject(fault, node, unit=unit)
        yield
    finally:
        await asyncio.shield(undo(fault, node, unit=unit))


async def _run(fault: Fault, script: str, node: str, unit: str) -> None:
    variables = {"NODE": node, "UNIT": unit}
    if fault.on_host:
        argv = ["env", *(f"{key}={value}" for key, value in variables.items())]
    else:
        argv = [
            "docker",
            "exec",
            *(part for key, value in variables.items() for part in ("-e", f"{key}={value}")),
            node,
        ]
    await process.run(*argv, "sh", "-c", script, what=f"{fault.name} on {node}")
