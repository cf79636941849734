#!/bin/sh
# Remove the demo's cluster, if there is one. What was built stays for the next time.
set -eu
cd "$(dirname "$0")/.."
name=${1:-demo}
if [ ! -x .venv/bin/python ] || ! docker version >/dev/null 2>&1; then
    echo "demo-down: no .venv or no Docker, so no cluster either"
    exit 0
fi
if .venv/bin/python -m minikubeadm cluster list | awk '{print $1}' | grep -qx "$name"; then
    .venv/bin/python -m minikubeadm cluster delete --name "$name"
else
    echo "demo-down: there is no cluster $name"
fi
rm -f ".build/$name.conf"
