"""The examples in manifests/ have no faults, and run where no registry is reached (tests/e2e uses each)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apimachinery import kinds, meta
from minikubectl.checking import check
from minikubectl.manifests import read

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
EXAMPLES = sorted(path.name for path in MANIFESTS.iterdir() if path.is_dir())


def containers(node: Any) -> Iterator[dict[str, str]]:
    """Every container of a manifest, wherever it is."""
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from containers(value)
    if isinstance(node, dict) and isinstance(node.get("image"), str):
        yield node


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_right_and_needs_only_what_nodes_have(example: str) -> None:
    manifests, problems = read([str(MANIFESTS / example)])
    assert [*problems, *(problem for manifest in manifests for problem in check(manifest))] == []
    used = [container for manifest in manifests for container in containers(manifest.object)]
    assert used
    for container in used:
        assert container["imagePullPolicy"] == "IfNotPresent"
        assert container["image"] in ("mini-kubernetes/demo", "mini-kubernetes/redis")
    for manifest in manifests:
        if kinds.by_gvk(meta.gvk(manifest.object)).namespaced:
            assert meta.namespace(manifest.object) == example


def test_the_page_about_them_names_each() -> None:
    text = (MANIFESTS / "README.md").read_text()
    assert [example for example in EXAMPLES if f"| `{example}` |" not in text] == []
