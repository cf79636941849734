"""Fixtures for all tests: a real etcd, a real API server."""

pytest_plugins = ["tests.fixtures.apiserver"]
