"""What every controller is given, and the shape all of them have.

A controller is made with a `Context`, adds its handlers and indexes to the shared informers in its constructor, and
does its work in `run` until it is cancelled. `run` starts when every informer asked for has its first list.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from apimachinery import meta
from componentbase import defaults
from kubeclient.events import EventRecorder
from kubeclient.informer import Informer, InformerFactory, OnObject
from kubeclient.rest import Client
from kubeclient.workqueue import WorkQueue, work

JSON = dict[str, Any]
K = TypeVar("K", bound=Hashable)


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides; durations are in seconds, files are paths or empty."""

    cluster_cidr: str = defaults.POD_CIDR
    node_cidr_mask_size: int = defaults.NODE_CIDR_MASK_BITS
    service_cidr: str = ""
    allocate_node_cidrs: bool = True
    cluster_signing_cert_file: str = ""
    cluster_signing_key_file: str = ""
    cluster_signing_duration: float = defaults.CERTIFICATE_LIFETIME.total_seconds()
    root_ca_file: str = ""
    node_monitor_period: float = defaults.NODE_MONITOR_PERIOD.total_seconds()
    node_monitor_grace_period: float = defaults.NODE_MONITOR_GRACE_PERIOD.total_seconds()
    node_startup_grace_period: float = 60.0
    node_eviction_rate: float = 0.1
    secondary_node_eviction_rate: float = 0.01
    unhealthy_zone_threshold: float = 0.55
    large_cluster_size_threshold: int = 50
    terminated_pod_gc_threshold: int = 12500
    max_endpoints_per_slice: int = 100
    load_balancer_pool: str = ""  # ranges or networks with commas; empty: no addresses are given
    workers: dict[str, int] = field(default_factory=dict)  # by controller, where not the default


@dataclass(frozen=True, slots=True)
class Context:
    """The shared parts."""

    client: Client
    informers: InformerFactory
    events: EventRecorder
    options: Options = field(default_factory=Options)
    clock: Callable[[], datetime] = utc_now


class Controller(Protocol):
    """A control loop."""

    async def run(self) -> None:
        """Work until cancelled."""


class QueueController(Generic[K]):
    """The usual control loop: keys come from a queue, and what is done about one is in `_reconcile`.

    `name` is the queue's in the metrics; under that name, too, the command line may give another number of workers.
    """

    name: ClassVar[str]
    workers: ClassVar[int] = 1

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._queue: WorkQueue[K] = WorkQueue(self.name)

    async def run(self) -> None:
        """Work until cancelled."""
        await work(self._queue, self._reconcile, workers=self._context.options.workers.get(self.name, self.workers))

    async def _reconcile(self, key: K) -> float | None:
        """Bring about what the key's object asks for; gives the seconds until it wants another look."""
        raise NotImplementedError


def on_change(informer: Informer, function: OnObject) -> None:
    """Tell a function of every object that comes, changes (as it is then), or goes."""
    informer.add_handler(on_add=function, on_update=lambda _, new: function(new), on_delete=function)


def enqueue_all(informer: Informer, queue: WorkQueue[str]) -> None:
    """Have every change of an object put its key into the queue."""
    on_change(informer, lambda obj: queue.add(meta.key(obj)))
