"""The parts that a pod's worker works with, in one value."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from apimachinery.meta import JSON
from kubeclient.rest import Client

from .backoff import Backoff
from .handlers import Handlers
from .images import Images
from .probes import Probes
from .runtime import Runtime
from .settings import Settings
from .sources import ObjectSources
from .status_manager import StatusManager
from .volumes.manager import Volumes


@dataclass(slots=True, kw_only=True)
class Parts:
    """Made once at start; see each part for what it does."""

    settings: Settings
    client: Client
    runtime: Runtime
    images: Images
    volumes: Volumes
    sources: ObjectSources
    statuses: StatusManager
    probes: Probes
    handlers: Handlers
    restarts: Backoff
    services: Callable[[], Iterable[JSON]]
    node: Callable[[], JSON]
    admitted: Callable[[], Iterable[JSON]]  # the pods that hold resources of this node
    network_ready: Callable[[], bool]
    record: Callable[[JSON, str, str, str, str], None]  # pod, type, reason, message, container ("" for the pod)
    clock: Callable[[], float]  # seconds since the epoch
