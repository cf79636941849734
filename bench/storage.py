"""Storage alone, against a real etcd: creates and gets a second, and the fan-out of a watch.

    python bench/storage.py [--seconds 5] [--pods 2000] [--watchers 1000]

Prints one line of JSON for each figure. The CPU figures are of this process only, without etcd.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from apimachinery import kinds
from apiserver.storage import Storage, Watcher
from tests.fixtures.etcd import running_etcd

JSON = dict[str, Any]


def pod(name: str) -> JSON:
    """A Pod of about 1.5 KB."""
    container = {
        "name": "main",
        "image": "registry.example/app:1.2.3",
        "env": [{"name": f"VARIABLE_{index}", "value": "value" * 5} for index in range(12)],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "imagePullPolicy": "IfNotPresent",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"00000000-0000-0000-0000-{abs(hash(name)) % 10**12:012}",
            "labels": {"app": "web", "tier": "front"},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"containers": [container], "nodeName": "node-1", "restartPolicy": "Always"},
        "status": {"phase": "Pending"},
    }


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def load(name: str, clients: int, seconds: float, once: Callable[[int, int], Awaitable[Any]]) -> None:
    """`clients` call `once(client, round)` one after the other; print how many calls were answered, and how fast."""
    latencies: list[float] = []
    end = time.monotonic() + seconds

    async def client(number: int) -> None:
        count = 0
        while (start := time.monotonic()) < end:
            await once(number, count)
            latencies.append(time.monotonic() - start)
            count += 1

    before, start = cpu_seconds(), time.monotonic()
    await asyncio.gather(*[client(number) for number in range(clients)])
    spent, elapsed = cpu_seconds() - before, time.monotonic() - start
    latencies.sort()
    figures = {
        "work": name,
        "clients": clients,
        "per_second": round(len(latencies) / elapsed),
        "cpu_us_each": round(spent / len(latencies) * 1e6, 1),
        "p50_ms": round(latencies[len(latencies) // 2] * 1e3, 2),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1e3, 2),
    }
    print(json.dumps(figures), flush=True)


async def fan_out(storage: Storage, watchers: int, pods: int) -> None:
    """Back-to-back creates, seen by many watchers: what an event to a watcher costs, and when the last one has it."""
    await storage.get("/registry/pods/x/x")
    version = storage.applied_version
    written = 0

    async def follow(watcher: Watcher) -> int:
        nonlocal written
        seen = batches = 0
        async for batch in watcher:
            written += len(
                watcher.encoded(batch, "json", lambda event: b'{"type":"ADDED","object":' + event.entry.body)
            )
            seen += len(batch)
            batches += 1
            if seen >= pods:
                break
        watcher.close()
        return batches

    followers = [asyncio.create_task(follow(storage.watch(kinds.POD, version=version))) for _ in range(watchers)]
    await asyncio.sleep(0.2)
    before, start = cpu_seconds(), time.monotonic()

    async def writer(number: int) -> None:
        for index in range(number, pods, 16):
            await storage.create(f"/registry/pods/default/watched-{index}", pod(f"watched-{index}"))

    await asyncio.gather(*[writer(number) for number in range(16)])
    batches = sum(await asyncio.gather(*followers))
    elapsed, spent = time.monotonic() - start, cpu_seconds() - before
    figures = {
        "work": "watch fan-out",
        "watchers": watchers,
        "events": pods * watchers,
        "events_per_second": round(pods * watchers / elapsed),
        "cpu_us_each": round(spent / (pods * watchers) * 1e6, 2),
        "events_per_wake": round(pods * watchers / batches, 1),
    }
    print(json.dumps(figures), flush=True)


async def run(endpoints: list[str], options: argparse.Namespace) -> None:
    storage = Storage(endpoints)
    storage.register(kinds.POD)
    await storage.start()
    for clients in (1, 32, 64):
        await load(
            "create",
            clients,
            options.seconds,
            lambda client, index, clients=clients: storage.create(  # type: ignore[misc]
                f"/registry/pods/default/p-{clients}-{client}-{index}", pod(f"p-{clients}-{client}-{index}")
            ),
        )
    for clients in (1, 32):
        await load(
            "get", clients, options.seconds, lambda client, _: storage.get(f"/registry/pods/default/p-32-{client}-0")
        )
    await load("list limit=500", 4, options.seconds, lambda *_: storage.list(kinds.POD, limit=500))
    print(json.dumps({"objects": len(list(storage.cached(kinds.POD))), "rss_mb": round(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}))  # fmt: skip
    await fan_out(storage, options.watchers, options.pods)
    await storage.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--pods", type=int, default=2_000)
    parser.add_argument("--watchers", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, running_etcd(Path(directory)) as cluster:
        uvloop.run(run(cluster.endpoints, options))


if __name__ == "__main__":
    main()
