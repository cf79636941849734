"""What a shell proposes after Tab, asked as a shell asks."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.fixtures.apiserver import ROOT, APIServerProcess

pytestmark = pytest.mark.integration
Complete = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def complete(api_server: APIServerProcess) -> Complete:
    """The proposals for the last word of a line."""
    for name in ("shop", "shelf"):
        api_server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    for name in ("one", "two"):
        api_server.request("POST", "/api/v1/namespaces/shop/configmaps", {"metadata": {"name": name}})
    kubeconfig = str(api_server.kubeconfig())

    def ask(line: str) -> list[str]:
        words = f"minikubectl {line}"
        asked = {"_MINIKUBECTL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        environment = {**os.environ, **asked, "KUBECONFIG": kubeconfig}
        command = [sys.executable, "-m", "minikubectl"]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, env=environment)
        return [each.partition(",")[2] for each in ran.stdout.split()]

    return ask


@pytest.mark.parametrize(
    ("line", "proposed"),
    [
        ("roll", ["rollout"]),
        ("rollout un", ["undo"]),
        ("get configm", ["configmaps"]),
        ("get configmaps -n sh", ["shelf", "shop"]),
        ("get configmaps -n shop ", ["one", "two"]),
        ("-n shop delete cm one ", ["two"]),
        ("-n shop describe configmap/t", ["configmap/two"]),
        ("config use-context ", ["test"]),
        ("get pods --show-l", ["--show-labels"]),
    ],
)
def test_a_tab_proposes(complete: Complete, line: str, proposed: list[str]) -> None:
    assert complete(line) == proposed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_minikubectl(shell: str) -> None:
    command = [sys.executable, "-m", "minikubectl", "completion", shell]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert ran.returncode == 0
    assert f"_MINIKUBECTL_COMPLETE={shell}_complete" in ran.stdout


def test_a_server_that_is_away_means_no_proposals(tmp_path: os.PathLike[str]) -> None:
    environment = {**os.environ, "KUBECONFIG": f"{tmp_path}/none", "_MINIKUBECTL_COMPLETE": "bash_complete"}
    environment |= {"COMP_WORDS": "minikubectl get pods x", "COMP_CWORD": "3"}
    command = [sys.executable, "-m", "minikubectl"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, env=environment)
    assert (ran.stdout.strip(), ran.stderr) == ("", "")
