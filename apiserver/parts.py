"""What the server is made of, for the modules that need more than one part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from componentbase.health import Checks

if TYPE_CHECKING:
    from apiserver.admission import Chain
    from apiserver.authentication import Authenticator
    from apiserver.authorization import Authorizer
    from apiserver.endpoints.streaming import Streaming
    from apiserver.options import Options
    from apiserver.outbound.etcdmetrics import EtcdMetrics
    from apiserver.outbound.usage import Usage
    from apiserver.resources import Resources
    from apiserver.storage import Storage, Watcher


@dataclass(slots=True)
class Parts:
    """One of each; made in `apiserver.server`."""

    options: Options
    storage: Storage
    authenticator: Authenticator
    authorizer: Authorizer
    admission: Chain
    resources: Resources
    streaming: Streaming
    usage: Usage
    etcd_metrics: EtcdMetrics
    checks: Checks
    watchers: set[Watcher] = field(default_factory=set)  # those being served: ended when the server stops
