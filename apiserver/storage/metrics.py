"""What /metrics shows of storage, under upstream's names: computed when scraped, so that no write pays for it."""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from apiserver.storage.cache import Stores


class StorageCollector(Collector):
    """Sizes of etcd, of the cache, of the queue and of the audience."""

    def __init__(self, stores: Stores, gauges: dict[str, tuple[str, Callable[[], float]]]) -> None:
        self._stores, self._gauges = stores, gauges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        objects = GaugeMetricFamily("apiserver_storage_objects", "Objects stored, by resource.", labels=["resource"])
        ring = GaugeMetricFamily("apiserver_watch_cache_events", "Events kept, by resource.", labels=["resource"])
        for store in self._stores:
            if store.kinds:
                objects.add_metric([store.kinds[0].resource], len(store.entries))
                ring.add_metric([store.kinds[0].resource], len(store.ring))
        yield objects
        yield ring
        for name, (help_text, value) in self._gauges.items():
            yield GaugeMetricFamily(name, help_text, value=value())
