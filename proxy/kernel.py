"""Putting rules into the kernel, and noticing when somebody else changed them.

What the kernel shows right after a write is remembered (`fingerprint`); when it shows something else later, all rules
are written anew. Rules are compared as the kernel prints them, so no rule of ours needs to be spelled its way.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection

from componentbase.host import CommandError, run
from proxy.iptables import JUMPS

log = logging.getLogger(__name__)
LOCK_WAIT_SECONDS = 5
TABLES = ("nat", "filter")
_CHAINS = (
    r"(KUBE-(?:SERVICES|NODEPORTS|POSTROUTING|MARK-MASQ|FORWARD|FIREWALL|PROXY-FIREWALL|SVC-|SVL-|SEP-|EXT-|FW-)\S*) "
)
_OURS, _OUR_CHAIN = re.compile(f"-A {_CHAINS}"), re.compile(f":{_CHAINS}")
# The proxy lets node ports answer on 127.0.0.1, as upstream's does; KUBE-FIREWALL keeps others from using that.
SYSCTLS = {
    "net/ipv4/conf/all/route_localnet": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/ipv4/ip_forward": "1",
}


async def restore(text: str) -> None:
    """Applies an input of `iptables-restore` as a whole. Raises CommandError; then nothing has changed."""
    await run("iptables-restore", "--noflush", "--wait", str(LOCK_WAIT_SECONDS), text=text)


async def save() -> dict[str, str]:
    """The present rules of each table."""
    return {table: await run("iptables-save", "-t", table) for table in TABLES}


def our_chains(saved: str) -> set[str]:
    """The chains of ours in a table as `iptables-save` prints it."""
    return {match[1] for line in saved.splitlines() if (match := _OUR_CHAIN.match(line))}


def fingerprint(saved: dict[str, str]) -> str:
    """A digest of our rules, and of the jumps to them, in what `save` gave."""
    digest = hashlib.sha256()
    for table in TABLES:
        for line in saved[table].splitlines():
            if _OURS.match(line) or (line.startswith("-A") and " -j KUBE-" in line):
                digest.update(line.encode())
    return digest.hexdigest()


def missing_jumps(saved: dict[str, str]) -> list[tuple[str, str, str]]:
    """The jumps into our chains that the kernel's chains lack."""
    return [
        (table, chain, rule)
        for table, chain, rule in JUMPS
        if not any(
            line.startswith(f"-A {chain} ") and line.endswith(f"-j {rule.rpartition(' ')[2]}")
            for line in saved[table].splitlines()
        )
    ]


async def add_jumps(jumps: Collection[tuple[str, str, str]]) -> None:
    """Puts jumps first in the kernel's chains, before what others (Docker, say) have there."""
    for table, chain, rule in reversed(list(jumps)):
        await restore(f"*{table}\n-I {chain} 1 {rule}\nCOMMIT\n")


async def forget_connections(address: str, port: int) -> None:
    """Ends tracked UDP flows to a Service address, so that they find the endpoints of now."""
    try:
        await run("conntrack", "-D", "--orig-dst", address, "-p", "udp", "--dport", str(port))
    except CommandError as error:
        if "0 flow entries" not in str(error):
            log.warning("stale UDP flows to %s:%d may remain: %s", address, port, error)
    except FileNotFoundError:
        log.warning("conntrack is not installed: stale UDP flows to %s:%d may remain", address, port)
