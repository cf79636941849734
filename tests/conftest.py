"""Fixtures for all tests: a real etcd, a real API server.

Property tests have no time limit a case, for machines are shared. With CI=true they try the same cases every time, so
that a run says something of the change; elsewhere they look for new ones.

A run that a shell started with `&` ignores SIGINT, and so would every program that it starts: tests of Ctrl-C would
wait for ever.
"""

import os
import signal

from hypothesis import settings

settings.register_profile("explore", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "explore")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.fixtures.apiserver"]
