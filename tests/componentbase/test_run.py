"""Starting and stopping: signals set the event, systemd is told."""

import os
import signal
import socket

import pytest

from componentbase import logs, run


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(path)
        channel.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield channel


def test_a_signal_stops_and_systemd_hears_of_it(systemd):
    async def main(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        return 3

    assert run.run(main) == 3
    assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"STOPPING=1"]


def test_without_systemd_nothing_happens(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    run.notify("READY=1")


def test_log_lines_look_like_klogs(caplog, capsys):
    record = logs.logging.LogRecord("x", logs.logging.WARNING, "/a/queue.py", 42, "hello %s", ("you",), None)
    assert logs.KlogFormatter().format(record).startswith("W")
    assert logs.KlogFormatter().format(record).endswith("queue.py:42] hello you")
    assert b'"msg":"hello you"' in logs.JSONFormatter("c").format(record).encode()
