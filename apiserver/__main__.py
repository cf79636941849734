"""`mini-apiserver`: flags in, a server until SIGTERM."""

from __future__ import annotations

import asyncio
import sys

from apiserver import options
from apiserver.server import APIServer
from componentbase import run


def main() -> None:
    """Run the API server."""
    parsed = options.parse()

    async def serve(stop: asyncio.Event) -> None:
        server = APIServer(parsed)
        await server.start()
        run.notify("READY=1")
        await stop.wait()
        await server.stop()

    sys.exit(run.run(serve, notify_ready=False))


if __name__ == "__main__":
    main()
