"""The fixtures, as a project that uses the plugin sees them: pytest in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SECONDS = 60


def test_without_etcd_every_test_that_needs_it_says_what_to_install(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(pytester.path))
    pytester.makepyfile("def test_one(kubernetes_namespace): pass\ndef test_other(): pass")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*there is no etcd on the PATH*", "*apt-get install etcd-server*"])


def test_an_unknown_service_is_named(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmini_kubernetes_services = controllers kubelet")
    pytester.makepyfile("def test_one(kubernetes_api): pass")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*kubelet: there are controllers, scheduler*"])


def test_a_session_has_one_server_and_each_test_a_namespace(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        seen = []

        def test_first(kubernetes_api, kubernetes_namespace):
            assert kubernetes_api.kubeconfig.exists() and kubernetes_api.ca_file.exists()
            assert kubernetes_api.token not in repr(kubernetes_api)
            seen.append((kubernetes_api.url, kubernetes_namespace))

        def test_second(kubernetes_api, kubernetes_namespace):
            (url, namespace), = seen
            assert url == kubernetes_api.url and namespace != kubernetes_namespace
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_a_killed_session_leaves_nothing_behind(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pathlib, time

        def test_long(kubernetes_api):
            pathlib.Path("server").write_text(str(kubernetes_api.kubeconfig.parent))
            time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-m", "pytest", str(pytester.path)], cwd=pytester.path) as session:
        said = pytester.path / "server"
        _wait_until(lambda: said.exists() and bool(said.read_text()))
        directory = said.read_text()
        assert len(_told(directory)) == 2
        os.kill(session.pid, signal.SIGKILL)
        session.wait()
    _wait_until(lambda: not _told(directory) and not Path(directory).exists())


def _told(directory: str) -> list[str]:
    """Command lines that name the directory."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_text()
        except OSError:
            continue
        if directory in line:
            found.append(line)
    return found


def _wait_until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)
