"""The members of a stacked etcd, one on each control plane. A new one is a learner, and votes once it has the data.

A learner doesn't count for the quorum: while it copies the data, or if it never comes up, the others go on as before.
`etcdctl` does the talking, with the certificate that kubeadm has for this.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from componentbase import defaults
from minikubeadm import api, process
from minikubeadm.process import StepFailed

JOIN_TIMEOUT_SECONDS = 120.0
_PKI = f"{defaults.PKI_DIRECTORY}/etcd"
_PASSING = (  # what etcd says while it is about to be able to: another member joins, an election, a member catches up
    "too many learner members", "unhealthy cluster", "in sync with leader", "no leader", "leader changed", "timed out",
    "deadline exceeded", "not healthy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """One member; a name is missing until it has started."""

    id: int
    name: str
    peer: str
    learner: bool = False
    client: str = ""


def client_url(ip: str) -> str:
    """Where a member answers clients."""
    return f"https://{ip}:{defaults.ETCD_CLIENT_PORT}"


def peer_url(ip: str) -> str:
    """Where a member answers the other members."""
    return f"https://{ip}:{defaults.ETCD_PEER_PORT}"


async def etcdctl(endpoints: Sequence[str], *arguments: str, what: str, hint: str = "") -> str:
    """Run etcdctl as the health check's user; what it printed."""
    files = {"cacert": "ca.crt", "cert": "healthcheck-client.crt", "key": "healthcheck-client.key"}
    flags = [f"--{flag}={_PKI}/{file}" for flag, file in files.items()]
    return await process.run(
        *("env", "ETCDCTL_API=3", "etcdctl", f"--endpoints={','.join(endpoints)}", *flags, *arguments),
        what=what,
        hint=hint,
    )


def parsed(text: str) -> list[Member]:
    """The members in `etcdctl member list --write-out=json`."""
    return [
        Member(
            one["ID"],
            one.get("name", ""),
            (one.get("peerURLs") or [""])[0],
            one.get("isLearner", False),
            (one.get("clientURLs") or [""])[0],
        )
        for one in json.loads(text)["members"]
    ]


async def listed(endpoints: Sequence[str]) -> list[Member]:
    """The members that there are."""
    return parsed(await _list(endpoints))


async def own(endpoints: Sequence[str]) -> tuple[Member, list[Member]]:
    """The member that answers at an endpoint, and all of them."""
    text = await _list(endpoints)
    members = parsed(text)
    return next(one for one in members if one.id == json.loads(text)["header"]["member_id"]), members


async def _list(endpoints: Sequence[str]) -> str:
    return await etcdctl(endpoints, "member", "list", "--write-out=json", what="listing etcd's members")


async def remove(endpoints: Sequence[str], member: Member) -> None:
    """Take a member out for good."""
    what = f"removing etcd member {member.name or member.peer}"
    await _until_taken([*endpoints], "member", "remove", f"{member.id:x}", what=what)


async def add(endpoints: Sequence[str], name: str, ip: str) -> str:
    """Add the member of a node as a learner; the value of its `--initial-cluster`.

    One with the same address is of an earlier attempt, or had data that are no longer there: it is removed before.
    """
    for member in await listed(endpoints):
        if member.peer == peer_url(ip):
            await remove(endpoints, member)
    await _until_taken(
        [*endpoints],
        "member",
        "add",
        name,
        f"--peer-urls={peer_url(ip)}",
        "--learner",
        what=f"adding etcd member {name}",
    )
    others = [f"{one.name}={one.peer}" for one in await listed(endpoints) if one.name]
    return ",".join([*others, f"{name}={peer_url(ip)}"])


async def promote(endpoints: Sequence[str], ip: str) -> None:
    """Let a learner vote, as soon as it has caught up."""
    member = next(one for one in await listed(endpoints) if one.peer == peer_url(ip))
    if member.learner:
        await _until_taken(
            [*endpoints], "member", "promote", f"{member.id:x}", what="promoting this node's etcd member"
        )


async def _until_taken(endpoints: list[str], *arguments: str, what: str) -> None:
    async def refused() -> str:
        try:
            await etcdctl(endpoints, *arguments, what=what)
        except StepFailed as failure:
            if any(words in failure.output for words in _PASSING):
                return failure.output
            raise
        return ""

    hint = "look at `journalctl -u mini-etcd` here and on the other control planes"
    await api.until(refused, what=what, timeout_seconds=JOIN_TIMEOUT_SECONDS, hint=hint)
