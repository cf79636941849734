"""Every rule of the storage has a test by its number."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
RULES = 19


def test_every_rule_has_a_test() -> None:
    files = [*(TESTS / "apiserver/storage").glob("test_*.py"), *(TESTS / "integration/storage").glob("test_*.py")]
    found = {int(number) for path in files for number in re.findall(r"def test_rule_(\d\d)_", path.read_text())}
    assert found == set(range(1, RULES + 1))
