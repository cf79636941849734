"""Resource versions: an etcd revision and the place within its commit, as one integer.

Writes that wait together share one etcd transaction, and so one revision; `revision × 128 + place` keeps every
version unique and increasing, and lets a watch resume in the middle of a commit. Only the storage and this module know
how a version is made: everyone else compares integers.

etcd's revisions go back when a snapshot is restored, versions must not: a client would resume its watch from a version
that now means something else, and never hear of what differs. So whoever restores stores a shift beyond every revision
that can have been given out (`minikubeadm etcd snapshot restore`), and it is added here. What is older than the shift
is of the time before: Expired, and clients list anew.
"""

from typing import Final

from apimachinery.errors import BadRequest, Expired

PLACES: Final = 128
LAST_PLACE: Final = PLACES - 1  # of a value some other program wrote
LARGEST: Final = 2**64 - 1

_shift = 0  # revisions; the same for all servers of an etcd


def shift(revisions: int) -> None:
    """Set what is added to every revision, before the first version is made."""
    global _shift
    _shift = revisions


def encode(revision: int, place: int) -> int:
    if not 0 <= place < PLACES:
        raise ValueError(f"place {place} is not within 0..{LAST_PLACE}")
    return (revision + _shift) * PLACES + place


def decode(version: int) -> tuple[int, int]:
    """(revision, place); 0 is "not there yet", whatever the shift. Raises Expired for one of before a restore."""
    if not version or not _shift:
        return divmod(version, PLACES)
    revision, place = divmod(version, PLACES)
    if revision <= _shift:
        raise Expired(f"resourceVersion {version} is of the time before etcd was restored from a snapshot")
    return revision - _shift, place


def parse(text: str) -> int:
    """The integer of a resourceVersion from the wire; "" is 0. Raises BadRequest."""
    if not text:
        return 0
    if text.isascii() and text.isdigit() and len(text) <= 20 and (version := int(text)) <= LARGEST:
        return version
    raise BadRequest(f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
