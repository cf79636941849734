"""kubectl prints against our server what it printed against the real one (tests/fixtures/kubectl, docs/kubectl.md)."""

from __future__ import annotations

import difflib
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fixtures.apiserver import APIServerProcess
from tests.fixtures.kubectl.cases import SECTIONS
from tests.fixtures.kubectl.differences import expected
from tests.fixtures.kubectl.play import HERE, NAMESPACE, Player, named
from tests.fixtures.record_kubectl import minor

pytestmark = pytest.mark.integration
AT_ONCE = 4
KUBECTL = os.environ.get("KUBECTL") or shutil.which("kubectl")


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, str]]:
    """What this kubectl printed against the real server."""
    if KUBECTL is None:
        pytest.fail("no kubectl: `KUBECTL=$(deploy/kubectl.sh)`")
    file = HERE / f"recorded-{minor(KUBECTL)}.json"
    if not file.exists():
        pytest.skip(f"nothing is recorded for this kubectl ({file.name}): see docs/kubectl.md")
    sections: dict[str, dict[str, str]] = json.loads(file.read_text())
    return sections


@pytest.fixture(scope="module")
def player(start_api_server: Callable[..., APIServerProcess], tmp_path_factory: pytest.TempPathFactory) -> Player:
    """kubectl and our server, which has the objects."""
    server = start_api_server("--disable-admission-plugins=ServiceAccount")
    player = Player(str(KUBECTL), server.url, server.token, tmp_path_factory.mktemp("kubectl"))
    player.prepare()
    player.create_objects()
    return player


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_printed(section: str, player: Player, recorded: dict[str, dict[str, str]]) -> None:
    if section != NAMESPACE:
        player.namespace(section)
    faults, client = [], minor(player.kubectl)
    cases = list(named(SECTIONS[section]))
    with ThreadPoolExecutor(AT_ONCE if section == NAMESPACE else 1) as pool:  # what only looks needs no order
        shown = pool.map(lambda each: player.play(each[1], section), cases)
    for (name, _), printed in zip(cases, shown, strict=True):
        wanted = expected(name, recorded[section][name], client=client)
        if printed != wanted:
            lines = difflib.unified_diff(wanted.splitlines(), printed.splitlines(), "wanted", "printed", lineterm="")
            faults.append("\n".join([f"kubectl {name}", *lines]))
    assert not faults, f"{len(faults)} commands print something else\n\n" + "\n\n".join(faults)
