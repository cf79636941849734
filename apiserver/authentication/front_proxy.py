"""Front proxies: who presents the proxy's certificate says in headers for whom it asks.

Used by aggregated API servers' peers and authenticating proxies; the headers count only beside a certificate of
--requestheader-client-ca-file with one of the allowed common names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from multidict import CIMultiDict

from apiserver.authentication.certificates import AUTHENTICATED
from apiserver.request import User


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """The header names, and the common names that may use them (any if empty)."""

    allowed_names: Sequence[str] = ()
    user_headers: Sequence[str] = ("X-Remote-User",)
    uid_headers: Sequence[str] = ("X-Remote-Uid",)
    group_headers: Sequence[str] = ("X-Remote-Group",)
    extra_prefixes: Sequence[str] = ("X-Remote-Extra-",)

    def user(self, proxy: str, headers: Mapping[str, str]) -> User | None:
        """Whom the proxy with this common name asks for; None if it names nobody or may not."""
        if self.allowed_names and proxy not in self.allowed_names:
            return None
        sent = CIMultiDict(headers)
        name = next((sent[header] for header in self.user_headers if sent.get(header)), "")
        if not name:
            return None
        uid = next((sent[header] for header in self.uid_headers if sent.get(header)), "")
        groups = tuple(value for header in self.group_headers for value in sent.getall(header, ()))
        extra: dict[str, tuple[str, ...]] = {}
        for header, value in sent.items():
            for prefix in self.extra_prefixes:
                if header.lower().startswith(prefix.lower()):
                    key = unquote(header[len(prefix) :]).lower()
                    extra[key] = (*extra.get(key, ()), value)
        if AUTHENTICATED not in groups:
            groups = (*groups, AUTHENTICATED)
        return User(name, uid, groups, extra)
