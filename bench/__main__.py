"""Our API server beside the real one: the same loader, the same machine, the same run.

    python -m bench [--seconds 5] [--peer DIR] [--json FILE]

DIR holds the real kube-apiserver as `bin/kube-apiserver` (bench/loaders/peer.sh builds it, some minutes). Without it
only our figures are printed. The table is what docs/performance.md shows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

from bench import servers

LOADER = servers.ROOT / "bench" / "loaders" / "api.sh"
WHOLE_LISTS = ("list limit=500 rv=0 c=4", "list all rv=0 c=1")
_RATE = re.compile(r"Requests/sec: ([\d.]+)")
_P99 = re.compile(r"99% ([\d.]+)(us|ms|s)")
_IN_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def measure(side: str, binary: Path | None, seconds: int) -> dict[str, Any]:
    """All rows of api.sh for one server, with its memory before and after."""
    with servers.running(side, binary) as server:
        idle = server.memory_mb()
        environment = os.environ | {"TOKEN": servers.TOKEN, "SECS": str(seconds)}
        done = subprocess.run([LOADER, server.url], env=environment, capture_output=True, text=True, check=True)
        rows: dict[str, Any] = {"memory idle, MB": round(idle, 1)}
        for line in done.stdout.splitlines():
            print(f"  {side}: {line}", flush=True)
            if rate := _RATE.search(line):
                p99 = _P99.search(line)
                rows[line.split("99%")[0].strip()] = {
                    "per_second": float(rate[1]),
                    "p99_ms": round(float(p99[1]) * _IN_MS[p99[2]], 2) if p99 else None,
                    "errors": "Non-2xx" in line,
                }
            elif line.startswith("pods held"):
                rows["pods held"] = int(line.split(":")[1])
        for name in WHOLE_LISTS:  # each server lists what it held, so what can be compared is objects
            rows[f"{name}: objects/s"] = round(rows[name]["per_second"] * rows["pods held"])
        rows["memory with those pods, MB"] = round(server.memory_mb(), 1)
        return rows


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        text = f"{value['per_second']:,.0f} /s, p99 {value['p99_ms']} ms"
        return text + (" (errors)" if value["errors"] else "")
    return f"{value:,}"


def _ratio(ours: Any, theirs: Any) -> str:
    if isinstance(ours, dict):
        return f"{ours['per_second'] / theirs['per_second']:.2f}×"
    return f"{ours / theirs:.2f}×"


def table(sides: dict[str, dict[str, Any]]) -> str:
    """A Markdown table of the figures, with ratios where both sides were measured."""
    names = list(sides)
    lines = ["| work | " + " | ".join(names) + (" | ratio |" if len(names) == 2 else " |")]
    lines.append("|---" * (len(names) + 1 + (len(names) == 2)) + "|")
    for row in sides[names[0]]:
        cells = [_cell(sides[name].get(row, 0)) for name in names]
        if len(names) == 2:
            cells.append(_ratio(sides[names[0]][row], sides[names[1]][row]) if row in sides[names[1]] else "")
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="length of each row's run")
    parser.add_argument("--peer", type=Path, help="folder with bin/kube-apiserver to measure against")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    sides = {"mini-apiserver": measure("mini-apiserver", None, options.seconds)}
    if options.peer:
        binary = options.peer / "bin" / "kube-apiserver"
        sides["kube-apiserver 1.20.2"] = measure("kube-apiserver 1.20.2", binary, options.seconds)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=servers.ROOT)
    machine = {
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "load": os.getloadavg(),
        "python": servers.python(),
    }
    print(f"\ncommit {commit.stdout.strip()}, {machine}\n\n{table(sides)}")
    if options.json:
        result = {"commit": commit.stdout.strip(), "machine": machine, "sides": sides}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
