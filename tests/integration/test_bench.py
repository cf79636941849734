"""The benchmark of the API server, once at its smallest size, so that it keeps working."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.integration


def test_every_row_is_measured_without_errors(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench", "--seconds", "1", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    (rows,) = json.loads(out.read_text())["sides"].values()
    rates = {name: row for name, row in rows.items() if isinstance(row, dict)}
    assert len(rates) == 7
    assert not [name for name, row in rates.items() if row["errors"] or not row["per_second"]]
