"""`python -m kubelet`: flags, then the kubelet until it is told to stop."""

import asyncio
import logging
import sys

from componentbase import run
from kubeclient.errors import ConfigError

from . import certificates, options
from .kubelet import Kubelet

log = logging.getLogger(__name__)


def main() -> None:
    """The console entry point."""
    settings = options.parse()

    async def serve(stop: asyncio.Event) -> int:
        work = asyncio.create_task(Kubelet(settings).run(), name="kubelet")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if work.done():
            return _failed(work)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return 0

    sys.exit(run.run(serve))


def _failed(work: "asyncio.Task[None]") -> int:
    """Say why in one line where that tells all: a port in use, a file missing, an unusable kubeconfig."""
    error = work.exception()
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if not isinstance(error, OSError | ConfigError | certificates.Refused):
        work.result()
    log.error("%s", error)
    return 1


if __name__ == "__main__":
    main()
