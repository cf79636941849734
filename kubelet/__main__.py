"""`python -m kubelet`: flags, then the kubelet until it is told to stop."""

import asyncio
import sys

from componentbase import run

from . import options
from .kubelet import Kubelet


def main() -> None:
    """The console entry point."""
    settings = options.parse()

    async def serve(stop: asyncio.Event) -> int:
        work = asyncio.create_task(Kubelet(settings).run(), name="kubelet")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if work.done():
            work.result()
            return 1
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        return 0

    sys.exit(run.run(serve))


if __name__ == "__main__":
    main()
