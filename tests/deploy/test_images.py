"""Which images are built: a cluster's node and its parts do not wait for Prometheus or the registry."""

from pathlib import Path

import pytest

import deploy.images as images


def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> list[str]:
    """What `images.py NAMES` builds where Docker has nothing."""
    made: list[str] = []
    monkeypatch.setattr("sys.argv", ["images.py", *names])
    monkeypatch.setattr(images, "BUILD", tmp_path)
    monkeypatch.setattr(images, "present", lambda image: False)
    monkeypatch.setattr(images, "forget", lambda tags: None)
    monkeypatch.setattr(images, "build_missing", lambda name, tags: made.append(name))
    images.main()
    return made


@pytest.mark.parametrize(
    "names, expected",
    [
        ([], ["pause", "demo", "redis", "dns", "machine", "node", "prometheus", "registry"]),
        (["node"], ["pause", "demo", "redis", "dns", "machine", "node"]),
        (["prometheus"], ["prometheus"]),
    ],
)
def test_what_is_named_is_built_after_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], expected: list[str]
) -> None:
    assert built(tmp_path, monkeypatch, *names) == expected


def test_a_name_that_is_no_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="no such image: nod;"):
        built(tmp_path, monkeypatch, "nod")
