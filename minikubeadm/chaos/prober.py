"""A client that counts failed requests: run inside a node or a pod's network, where Services have their addresses.

    docker exec -i NODE python3 -c "$(cat prober.py)" URL [THREADS]

Every request is a connection of its own. Each that fails is a line of JSON, as it fails; a line with the sums follows
when standard input is closed, so that this never outlives who asked for it. Only the standard library: the node's
Python runs it as it is.
"""

import json
import sys
import threading
import time
import urllib.request

TIMEOUT_SECONDS = 10.0
PAUSE_SECONDS = 0.05

ended = threading.Event()
lock = threading.Lock()
sums = {"requests": 0, "failed": 0, "slowest": 0.0}


def ask(url: str) -> str:
    """One request; what went wrong, or ""."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            return "" if answer.status == 200 and answer.read() else f"status {answer.status}"
    except OSError as error:
        return str(getattr(error, "reason", error)) or type(error).__name__


def probe(url: str) -> None:
    """Ask again and again."""
    while not ended.is_set():
        at, begun = time.time(), time.monotonic()
        problem = ask(url)
        seconds = round(time.monotonic() - begun, 3)
        with lock:
            sums["requests"] += 1
            sums["failed"] += bool(problem)
            sums["slowest"] = max(sums["slowest"], seconds)
            if problem:
                print(json.dumps({"at": round(at, 3), "seconds": seconds, "problem": problem}), flush=True)
        ended.wait(PAUSE_SECONDS)


def main() -> None:
    """Until standard input is closed."""
    url, threads = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 4
    running = [threading.Thread(target=probe, args=(url,)) for _ in range(threads)]
    for thread in running:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in running:
        thread.join()
    print(json.dumps(sums), flush=True)


if __name__ == "__main__":
    main()
