"""etcd for storage's tests: one for each test, since they compact, fill and kill it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.etcd import Cluster, running_etcd


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Cluster]:
    with running_etcd(tmp_path / "etcd") as cluster:
        yield cluster
