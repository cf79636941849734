"""The images that a node brings along: which tag of each, as the node image's builder wrote them down."""

from pathlib import Path

from componentbase import defaults

BAKED = Path("/usr/share/mini-kubernetes/images")


def baked(name: str, *, folder: Path = BAKED) -> str:
    """The full name of an image that came with the node; a plain `latest` where the node was built otherwise."""
    file = folder / f"{name}.name"
    return file.read_text().strip() if file.exists() else f"{defaults.IMAGE_PREFIX}/{name}:latest"
