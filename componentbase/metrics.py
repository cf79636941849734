"""The process's metrics, under upstream's names, on prometheus-client.

One registry per process. A metric is made once, at import of the module that owns it; asking for the same name again
gives the same metric, so that two parts (or two tests) may both name it. `_created` samples are off: upstream has none.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from componentbase import defaults

M = TypeVar("M", bound=MetricWrapperBase)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_BUCKETS_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """A registry with one maker per kind of metric."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, MetricWrapperBase] = {}
        ProcessCollector(registry=self.registry)
        info = self.gauge("kubernetes_build_info", "Version of this build.", ("major", "minor", "git_version"))
        info.labels(defaults.MAJOR, defaults.MINOR, defaults.GIT_VERSION).set(1)

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """A counter; `name` with or without `_total`, the exposition always has it."""
        return self._make(Counter, name, help, labels)

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Gauge:
        """A gauge."""
        return self._make(Gauge, name, help, labels)

    def histogram(
        self, name: str, help: str, labels: Sequence[str] = (), *, buckets: Iterable[float] = LATENCY_BUCKETS_SECONDS
    ) -> Histogram:
        """A histogram of seconds, unless other buckets are given."""
        return self._make(Histogram, name, help, labels, buckets=tuple(buckets))

    def _make(self, kind: type[M], name: str, help: str, labels: Sequence[str], **options: Any) -> M:
        made = self._made.get(name) or kind(name, help, labels, registry=self.registry, **options)
        assert isinstance(made, kind), f"{name} is a metric of another kind"
        self._made[name] = made
        return made

    def collect(self, collector: Collector) -> None:
        """Add a collector whose samples are computed when scraped."""
        self.registry.register(collector)

    def render(self) -> bytes:
        """The exposition, of `CONTENT_TYPE`."""
        return generate_latest(self.registry)


METRICS = Metrics()
