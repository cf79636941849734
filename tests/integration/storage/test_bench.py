"""The benchmark of storage keeps working: its smallest size, once."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_benchmark_runs() -> None:
    command = [sys.executable, "bench/storage.py", "--seconds=0.1", "--pods=20", "--watchers=10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    works = [json.loads(line).get("work") for line in done.stdout.splitlines()]
    assert works == ["create"] * 3 + ["get"] * 2 + ["list limit=500", None, "watch fan-out"]
