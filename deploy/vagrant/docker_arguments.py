"""What `docker run` needs for a machine of the Vagrantfile's Docker provider, as JSON: image and arguments."""

import asyncio
import json
import sys
from pathlib import Path

from minikubeadm.cluster import nodes

IMAGE = Path(__file__).resolve().parents[2] / ".build/vagrant-image"


def main() -> None:
    """Print it for the machine that the first argument names."""
    arguments = [*nodes.confinement(asyncio.run(nodes.allowed_capabilities())), "--hostname", sys.argv[1]]
    print(json.dumps({"image": IMAGE.read_text().strip(), "arguments": arguments}))


if __name__ == "__main__":
    main()
