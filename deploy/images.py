"""Build the images of the project offline, each once: its tag is a hash of what goes into it.

    python deploy/images.py [NAME...]    builds what of them is missing (default: of all), prints a line per image

pip does not reach an index inside `docker build` (the machine's own pip settings are missing there), so wheels are
made outside and copied in. The order machine, {pause, demo, redis, dns}, node matters: a node carries the
others, unpacked by a Docker of its own kind. Prometheus and the registry are in no node: a cluster needs neither.
The dns image holds only the packages that clusterdns imports, so that most changes of code leave it as it is and
rebuild two layers of the node image: the wheel and its installation.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
BUILD = ROOT / ".build"
PREFIX = "mini-kubernetes"
KEPT_SECONDS = 3600.0
CARRIED = ("pause", "demo", "redis", "dns")  # by every node
NODE = (*CARRIED, "machine", "node")
ALL = (*NODE, "prometheus", "registry")
DNS_PACKAGES = ("apimachinery", "componentbase", "kubeclient", "clusterdns")
DNS_REQUIREMENTS = (
    "aiohttp", "cryptography", "dnslib", "orjson", "prometheus-client", "PyJWT", "PyYAML", "uvloop",
)  # fmt: skip


def project() -> dict[str, list[str]]:
    """The packages of the wheel and the project's dependencies, as pyproject.toml says them."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {
        "packages": data["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
        "dependencies": data["project"]["dependencies"],
    }


def sources() -> str:
    """The state of what goes into the project's own wheel."""
    return digest(ROOT / "pyproject.toml", *(ROOT / package for package in project()["packages"]))


def files(path: Path) -> Iterable[Path]:
    """Every file below a path that belongs to an image, in a fixed order."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def digest(*inputs: Path | str) -> str:
    """Twelve hex digits over names, modes and contents of files and over plain strings."""
    state = hashlib.sha256()
    for item in inputs:
        if isinstance(item, str):
            state.update(item.encode() + b"\0")
            continue
        for path in files(item):
            state.update(f"{path.relative_to(ROOT)} {path.stat().st_mode & 0o111:o}\0".encode())
            state.update(path.read_bytes() + b"\0")
    return state.hexdigest()[:12]


def run(argv: list[str]) -> None:
    """Run a command; when it fails, show what it was and what it printed, and end."""
    done = subprocess.run(argv, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {' '.join(argv)}\n{done.stdout[-6000:]}")


def present(image: str) -> bool:
    """Whether the Docker daemon has the image."""
    argv = ["docker", "image", "inspect", image]
    return subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def wheels(dependencies: list[str]) -> Path:
    """A folder with the wheels of all dependencies, made once per list of dependencies."""
    folder = BUILD / f"wheels-{digest(*dependencies)}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        run([sys.executable, "-m", "pip", "wheel", "-q", "-w", str(part), *dependencies])
        part.rename(folder)
    return folder


def own_wheel() -> Path:
    """A folder with the project's own wheel for this state of the sources."""
    folder = BUILD / f"own-{sources()}"
    if not folder.exists():
        for old in BUILD.glob("own-*"):
            shutil.rmtree(old, ignore_errors=True)
        run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."])
    return folder


def link(source: Path, target: Path) -> None:
    """A copy of a file or folder, by hard links where the file system allows."""

    def one(src: str, dst: str) -> None:
        try:
            os.link(src, dst)
        except OSError:
            shutil.copy2(src, dst)

    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        one(str(source), str(target))
    else:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, copy_function=one, ignore=ignore, dirs_exist_ok=True)


def build(image: str, name: str, parts: dict[str, Path], arguments: Iterable[str]) -> None:
    """`docker build` of deploy/<name>/Dockerfile in a context of that folder and the given parts."""
    context = BUILD / "context" / name
    shutil.rmtree(context, ignore_errors=True)
    link(DEPLOY / name, context)
    for target, source in parts.items():
        link(source, context / target)
    options = [option for one in arguments for option in ("--build-arg", one)]
    run(["docker", "build", "-q", "-t", image, *options, str(context)])
    shutil.rmtree(context)


def write_requirements(path: Path, lines: Iterable[str]) -> Path:
    """A requirements file with exactly these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def docker_data(images: dict[str, str], machine: str, tags: str) -> Path:
    """The pod images as what Docker keeps of them below /var/lib/docker, and their names, for the node image to carry.

    A Docker of a node's own kind is run to make it, so it fits whatever this machine's Docker is.
    """
    folder = BUILD / f"docker-{tags}"
    if folder.exists():
        return folder
    for old in BUILD.glob("docker-*"):
        shutil.rmtree(old, ignore_errors=True)
    part = BUILD / "docker.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    name = f"mini-images-{os.getpid()}"
    rights = ("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--security-opt", "seccomp=unconfined")
    rights += ("--security-opt", "apparmor=unconfined")
    volume = ("--volume", "/var/lib/docker")
    run(["docker", "run", "-d", "--name", name, *rights, *volume, "--entrypoint", "sleep", machine, "infinity"])
    try:
        daemon = "dockerd --bridge=none --iptables=false --storage-driver=overlay2 >/tmp/log 2>&1"
        run(["docker", "exec", "-d", name, "sh", "-c", daemon])
        up = "i=0; until docker version >/dev/null 2>&1; do i=$((i+1)); [ $i -lt 150 ] || { cat /tmp/log; exit 1; }"
        run(["docker", "exec", name, "sh", "-c", f"{up}; sleep 0.2; done"])
        pipe = 'set -o pipefail; n=$1; shift; docker save "$@" | docker exec -i "$n" docker load -q'
        run(["bash", "-c", pipe, "load", name, *images.values()])
        for image in images.values():
            # Manifests name an image without knowing which build of it is there.
            run(["docker", "exec", name, "docker", "tag", image, f"{image.rpartition(':')[0]}:latest"])
        stop = "p=$(cat /var/run/docker.pid); kill $p; while kill -0 $p 2>/dev/null; do sleep 0.1; done"
        pack = "tar --xattrs '--xattrs-include=*' -C /var/lib/docker -cf /docker.tar image overlay2"
        run(["docker", "exec", name, "sh", "-c", f"{stop}; {pack}"])
        run(["docker", "cp", f"{name}:/docker.tar", str(part / "docker.tar")])
    finally:
        run(["docker", "rm", "-f", "-v", name])
    for key, image in images.items():
        (part / f"{key}.name").write_text(image)
    part.rename(folder)
    return folder


def plan() -> dict[str, str]:
    """The tag of every image for the present state of the sources."""
    pinned = project()["dependencies"]
    tags = {name: digest(DEPLOY / name) for name in ("pause", "demo", "redis", "machine", "registry")}
    tags["prometheus"] = digest(DEPLOY / "prometheus/Dockerfile")
    tags["dns"] = digest(DEPLOY / "dns", *pinned, *DNS_REQUIREMENTS, *(ROOT / package for package in DNS_PACKAGES))
    inside = [tags[name] for name in ("machine", *CARRIED)]
    tags["node"] = digest(DEPLOY / "node", DEPLOY / "systemd", *pinned, sources(), *inside)
    return {name: f"{PREFIX}/{name}:{tags[name]}" for name in ALL}


def main() -> None:
    """Build what is missing and leave the tags in .build/images.json."""
    named = set(sys.argv[1:]) or set(ALL)
    if unknown := named - set(ALL):
        sys.exit(f"no such image: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    wanted = [name for name in ALL if name in named or ("node" in named and name in NODE)]
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one build at a time: they share .build
        images = plan()
        if all(present(images[name]) for name in wanted):
            print("images: all there", flush=True)
        else:
            for name in wanted:
                build_missing(name, images)
        (BUILD / "images.json").write_text(json.dumps(images, indent=1) + "\n")
        forget(images)


def build_missing(name: str, images: dict[str, str]) -> None:
    """Build an image if the Docker daemon does not have its tag; a node's parts are there."""
    begun = time.monotonic()
    if present(images[name]):
        print(f"image {images[name]}: there", flush=True)
        return
    machine = [f"MACHINE={images['machine']}"] if name == "node" else []
    build(images[name], name, parts(name, images), machine)
    print(f"image {images[name]}: built in {time.monotonic() - begun:.1f} s", flush=True)


def parts(name: str, images: dict[str, str]) -> dict[str, Path]:
    """What goes into the context of an image beside its own folder."""
    if name not in ("dns", "node"):
        return {}
    dependencies = project()["dependencies"]
    requirements = DNS_REQUIREMENTS if name == "dns" else dependencies
    common = {
        "requirements.txt": write_requirements(BUILD / f"requirements-{name}.txt", requirements),
        "wheels": wheels(dependencies),
    }
    if name == "dns":
        return common | {f"packages/{package}": ROOT / package for package in DNS_PACKAGES}
    pods = {carried: images[carried] for carried in CARRIED}
    return common | {
        "systemd": DEPLOY / "systemd",
        "images": docker_data(pods, images["machine"], digest(*pods.values(), images["machine"])),
        "wheel": own_wheel(),
    }


def forget(images: dict[str, str]) -> None:
    """Remove images of earlier states that are older than an hour, except those that a container uses."""
    template = "{{.Repository}}:{{.Tag}}\t{{.CreatedAt}}"
    listed = ["docker", "images", "--format", template, "--filter", f"reference={PREFIX}/*"]
    for line in subprocess.run(listed, capture_output=True, text=True).stdout.splitlines():
        image, created = line.split("\t")
        name = image.removeprefix(f"{PREFIX}/").partition(":")[0]
        age = time.time() - datetime.strptime(created[:25], "%Y-%m-%d %H:%M:%S %z").timestamp()
        if name in images and image not in images.values() and age > KEPT_SECONDS:
            subprocess.run(["docker", "rmi", image], capture_output=True)  # in use: refused, and kept


if __name__ == "__main__":
    main()
