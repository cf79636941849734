"""Continue tokens: where a list goes on, and at which version, for any server at any time.

The shape is upstream's. A version of -1 says that the page may be of another version than those before: what a client
gets along with 410 when the version it was paging through is compacted.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

import orjson

from apimachinery.errors import BadRequest, Expired
from apimachinery.resourceversion import LARGEST

LATEST: Final = -1
_KIND: Final = "meta.k8s.io/v1"
_TOO_OLD: Final = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Continue:
    """`start`: the first key that may come, below the list's prefix."""

    version: int
    start: str

    def token(self) -> str:
        data = orjson.dumps({"v": _KIND, "rv": self.version, "start": self.start})
        return base64.urlsafe_b64encode(data).decode().rstrip("=")


def parse(token: str) -> Continue:
    """Raises BadRequest for what is no token of ours."""
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, start = found["rv"], found["start"]
        if found["v"] != _KIND or type(version) is not int or not LATEST <= version <= LARGEST or version == 0:
            raise ValueError("not of this version")
        if type(start) is not str or not start or ".." in start.split("/"):
            raise ValueError("no key to start from")
    except (binascii.Error, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise BadRequest(f"continue key is not valid: {error}") from error
    return Continue(version, start)


def expired(start: str) -> Expired:
    """410 with a token that goes on at the same key, whatever version there is then."""
    error = Expired(_TOO_OLD)
    error.status["metadata"] = {"continue": Continue(LATEST, start).token()}
    return error
