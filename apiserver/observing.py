"""Request metrics under upstream's names, cheap enough to be kept for every request.

A labelled observation on prometheus-client costs several microseconds, most of it finding the child; here a request
costs one dictionary look-up and a few additions, and the samples are made when scraped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from apiserver.inflight import InFlight
from apiserver.request import RequestInfo

_BUCKETS: Final = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip
_VERBS: Final = {"create": "POST", "update": "PUT", "delete": "DELETE", "deletecollection": "DELETE", "post": "POST"}
_LABELS: Final = ("verb", "group", "version", "resource", "subresource", "scope")
_SERIES_LIMIT: Final = 10_000

Key = tuple[str, str, str, str, str, str]


class _Latency:
    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BUCKETS) + 1)
        self.total = 0.0


def _scope(info: RequestInfo) -> str:
    if info.name:
        return "resource"
    return "namespace" if info.namespace else "cluster" if info.is_resource else ""


class RequestMetrics(Collector):
    """apiserver_request_total, apiserver_request_duration_seconds, and what is under way."""

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._counts: dict[tuple[Key, int], int] = {}
        self._latencies: dict[Key, _Latency] = {}
        self.long_running: dict[Key, int] = {}

    @staticmethod
    def key(info: RequestInfo) -> Key:
        """The labels of a request."""
        if not info.is_resource:
            return (info.verb.upper(), "", "", "", info.path if info.path in _KNOWN_PATHS else "", "")
        verb = _VERBS.get(info.verb) or info.verb.upper()
        return (verb, info.group, info.version, info.resource, info.subresource, _scope(info))

    def observe(self, info: RequestInfo, code: int, seconds: float) -> None:
        """One request is done."""
        key = self.key(info)
        counted = (key, code)
        if counted in self._counts:
            self._counts[counted] += 1
        elif len(self._counts) < _SERIES_LIMIT:
            self._counts[counted] = 1
        else:
            return
        if info.long_running:
            return
        latency = self._latencies.get(key)
        if latency is None:
            latency = self._latencies[key] = _Latency()
        latency.buckets[bisect_left(_BUCKETS, seconds)] += 1
        latency.total += seconds

    def started(self, info: RequestInfo, change: int) -> None:
        """A stream has begun (1) or ended (-1)."""
        key = self.key(info)
        self.long_running[key] = self.long_running.get(key, 0) + change

    def collect(self) -> Iterable[Metric]:
        """The samples."""
        counter = CounterMetricFamily(
            "apiserver_request", "Requests by verb, target and HTTP code.", labels=[*_LABELS, "code"]
        )
        for (key, code), count in self._counts.items():
            counter.add_metric([*key, str(code)], count)
        yield counter
        histogram = HistogramMetricFamily(
            "apiserver_request_duration_seconds", "Latency of requests other than streams.", labels=_LABELS
        )
        for key, latency in self._latencies.items():
            histogram.add_metric(list(key), _cumulated(latency.buckets), latency.total)
        yield histogram
        running = GaugeMetricFamily("apiserver_longrunning_requests", "Streams under way.", labels=_LABELS)
        for key, count in self.long_running.items():
            running.add_metric(list(key), count)
        yield running
        inflight = GaugeMetricFamily(
            "apiserver_current_inflight_requests", "Requests under way.", labels=["request_kind"]
        )
        inflight.add_metric(["readOnly"], self._in_flight.reading.taken)
        inflight.add_metric(["mutating"], self._in_flight.writing.taken)
        yield inflight
        yield CounterMetricFamily("apiserver_dropped_requests", "Requests answered 429.", value=self._in_flight.refused)


def _cumulated(buckets: list[int]) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*map(str, _BUCKETS), "+Inf"), buckets, strict=True):
        total += count
        found.append((bound, total))
    return found


_KNOWN_PATHS: Final = frozenset(
    {"/healthz", "/livez", "/readyz", "/metrics", "/version", "/api", "/apis", "/openapi/v3"}
)
