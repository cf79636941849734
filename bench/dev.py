"""How long `minikubeadm dev` takes until it is ready, and what it costs: `python -m bench.dev [RUNS]`.

Wall time depends on what else the machine does; the CPU time of every process until then hardly does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def once(services: str) -> tuple[float, dict[str, float]]:
    """(seconds until it says ready, CPU seconds of each process by the name of its log)."""
    command = (sys.executable, "-P", "-m", "minikubeadm.dev", "--output=json", "--until-eof", f"--with={services}")
    begun = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        if not process.stdout.readline():
            sys.exit("minikubeadm dev did not start")
        seconds = time.perf_counter() - begun
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        cpu = {"command": _cpu(process.pid)}
        cpu |= {Path(os.readlink(f"/proc/{pid}/fd/2")).stem: _cpu(int(pid)) for pid in children}
        process.stdin.close()
    return seconds, cpu


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main() -> None:
    """Both kinds of start, with the medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for services in ("controllers,scheduler", ""):
        measured = [once(services) for _ in range(runs)]
        seconds = sorted(each[0] for each in measured)
        parts = {name: statistics.median(cpu[name] for _, cpu in measured) for name in measured[0][1]}
        split = ", ".join(f"{name} {value:.2f}" for name, value in parts.items())
        print(f'--with "{services}": ready after {statistics.median(seconds):.2f} s (from {seconds[0]:.2f} to', end=" ")
        print(
            f"{seconds[-1]:.2f}), CPU {sum(parts.values()):.2f} s: {split}; load {os.getloadavg()[0]:.0f}", flush=True
        )


if __name__ == "__main__":
    main()
