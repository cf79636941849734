"""The static token file (--token-auth-file): CSV of token, user, uid and, optionally, quoted groups.

Read once at start: tokens in it live as long as the process. Kept for tests and benchmarks.
"""

from __future__ import annotations

import csv
from pathlib import Path

from apiserver.authentication.certificates import AUTHENTICATED
from apiserver.request import User


def load(path: str) -> dict[str, User]:
    """Token → user. Raises ValueError for a line with fewer than three columns."""
    users: dict[str, User] = {}
    with Path(path).open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.reader(lines), 1):
            if not row:
                continue
            if len(row) < 3:
                raise ValueError(f"{path}, line {number}: expect token,user,uid[,groups]")
            token, name, uid = (column.strip() for column in row[:3])
            groups = tuple(group.strip() for group in row[3].split(",") if group.strip()) if len(row) > 3 else ()
            users[token] = User(name, uid, (*groups, AUTHENTICATED))
    return users
