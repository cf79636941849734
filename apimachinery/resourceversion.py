"""Resource versions: an etcd revision and the place within its commit, as one integer.

Writes that wait together share one etcd transaction, and so one revision; `revision × 128 + place` keeps every
version unique and increasing, and lets a watch resume in the middle of a commit. Only the storage and this module know
how a version is made: everyone else compares integers.
"""

from typing import Final

from apimachinery.errors import BadRequest

PLACES: Final = 128
LAST_PLACE: Final = PLACES - 1  # of a value some other program wrote
LARGEST: Final = 2**64 - 1


def encode(revision: int, place: int) -> int:
    if not 0 <= place < PLACES:
        raise ValueError(f"place {place} is not within 0..{LAST_PLACE}")
    return revision * PLACES + place


def decode(version: int) -> tuple[int, int]:
    """(revision, place)."""
    return divmod(version, PLACES)


def parse(text: str) -> int:
    """The integer of a resourceVersion from the wire; "" is 0. Raises BadRequest."""
    if not text:
        return 0
    if text.isascii() and text.isdigit() and len(text) <= 20 and (version := int(text)) <= LARGEST:
        return version
    raise BadRequest(f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
