"""Fixtures for all tests: a real etcd, a real API server.

Property tests have no time limit a case, for machines are shared. With CI=true they try the same cases every time, so
that a run says something of the change; elsewhere they look for new ones.
"""

import os

from hypothesis import settings

settings.register_profile("explore", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "explore")

pytest_plugins = ["tests.fixtures.apiserver"]
