#!/bin/bash
# The README's two commands on a machine that has nothing but git, make and Python 3.11: a container made from a bare
# Debian plays it, so that a missing install step shows. What HEAD holds is tried, not the working tree.
#   fresh.sh [COMMAND...]     default: "make demo" "make demo-down" "make test"
# How this machine reaches its package registries (apt's sources, pip's settings, certificates) is copied in.
set -euo pipefail
cd "$(dirname "$0")/.."
name=mini-fresh-$$
[ $# -gt 0 ] || set -- "make demo" "make demo-down" "make test"

deploy/base-image.sh
image=mini-kubernetes/fresh:bookworm
docker image inspect $image >/dev/null 2>&1 || docker build -q -t $image - >/dev/null <<'DOCKERFILE'
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make python3 ca-certificates && rm -rf /var/lib/apt/lists/*
DOCKERFILE

capabilities=$(.venv/bin/python - <<'PYTHON'
import asyncio
from minikubeadm.cluster import nodes

print(" ".join(f"--cap-add {name}" for name in asyncio.run(nodes.allowed_capabilities())))
PYTHON
)
settings=()
while IFS= read -r variable; do settings+=(--env "$variable"); done < <(
    compgen -e | grep -E '^(PIP_.*|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY)$'
)
trap 'docker rm -f -v $name >/dev/null 2>&1 || true' EXIT
# shellcheck disable=SC2086
docker run -d --name $name --hostname fresh $capabilities --security-opt seccomp=unconfined \
    --security-opt apparmor=unconfined --security-opt systempaths=unconfined --device-cgroup-rule 'a *:* rwm' \
    --cgroupns private --tmpfs /run --volume /var/lib/docker "${settings[@]}" $image sleep infinity >/dev/null
docker exec $name sh -c 'mount -o remount,rw /sys; for d in /sys/fs/cgroup/*; do mount -o remount,rw,bind $d; done; mount --make-rshared /' || true
for file in /etc/pip.conf "$HOME/.config/pip/pip.conf" /etc/ssl/certs/ca-certificates.crt /etc/apt/apt.conf.d/99proxy; do
    if [ -f "$file" ]; then
        target=${file/#$HOME//root}
        docker exec $name mkdir -p "$(dirname "$target")"
        docker cp -qL "$file" "$name:$target"
    fi
done
for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    if [ -f "$file" ]; then docker exec $name sh -c 'rm -f /etc/apt/sources.list'; docker cp -q "$file" "$name:$file"; fi
done
git archive --prefix=mini-kubernetes/ HEAD | docker exec -i $name tar -x -C /root
for command in "$@"; do
    echo "fresh: $command"
    begun=$(date +%s)
    docker exec -w /root/mini-kubernetes $name sh -c "$command" || { echo "fresh: failed: $command" >&2; exit 1; }
    echo "fresh: $command took $(($(date +%s) - begun)) s"
done
