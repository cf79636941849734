"""Fill .build/bundle with all that a plain Debian needs to become a node, from this working tree (see install-node.sh).

Node containers are images; machines that aren't (hosts, VMs, Vagrant) get the same wheels and pod images from here.
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import images

BUNDLE = images.BUILD / "bundle"


def main() -> None:
    """Make the folder anew; wheels and images are what `make images` built."""
    tags, dependencies = images.plan(), images.project()["dependencies"]
    # In place: a machine may have the folder mounted.
    BUNDLE.mkdir(parents=True, exist_ok=True)
    for old in BUNDLE.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    images.link(images.wheels(dependencies), BUNDLE / "wheels")
    for wheel in images.own_wheel().glob("*.whl"):
        images.link(wheel, BUNDLE / wheel.name)
    images.link(images.DEPLOY / "node/rootfs/etc/docker/daemon.json", BUNDLE / "daemon.json")
    images.link(images.DEPLOY / "install-node.sh", BUNDLE / "install-node.sh")
    images.write_requirements(BUNDLE / "requirements.txt", dependencies)
    images.run(["docker", "save", "-o", str(BUNDLE / "images.tar"), *(tags[name] for name in images.CARRIED)])
    for name in images.CARRIED:
        (BUNDLE / f"{name}.name").write_text(tags[name])
    size = sum(file.stat().st_size for file in BUNDLE.rglob("*") if file.is_file())
    print(f"bundle: {BUNDLE.relative_to(images.ROOT)}, {size >> 20} MiB")


if __name__ == "__main__":
    main()
