#!/bin/sh
# Make a plain Debian 12 a machine that `minikubeadm init` or `join` turns into a node: packages, Docker as a node wants
# it, our commands in /opt/mini-kubernetes, the images of pause, DNS and the examples. Run as root from the folder that
# `make bundle` fills; what is there already is left as it is. Nothing but Debian packages comes from elsewhere.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
say() { echo "install-node: $*"; }
[ "$(id -u)" = 0 ] || { say "needs root" >&2; exit 1; }

missing=""
for package in docker.io etcd-server etcd-client iptables iproute2 conntrack containernetworking-plugins apparmor procps curl python3-venv; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
# Written first, so that Docker never starts with rules and a bridge of its own: pod networks are the kubelet's.
if [ ! -e /etc/docker/daemon.json ]; then
    install -D -m 644 "$here/daemon.json" /etc/docker/daemon.json
elif ! cmp -s "$here/daemon.json" /etc/docker/daemon.json; then
    say "left alone: /etc/docker/daemon.json; a node wants $(tr -d '\n' <"$here/daemon.json")"
fi
if [ -n "$missing" ]; then
    say "installing$missing"
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/tmp/install-node.log 2>&1 || {
        tail -n 20 /tmp/install-node.log >&2
        exit 1
    }
    # Debian's own etcd unit would hold the ports of ours.
    systemctl disable --now -q etcd.service 2>/dev/null || true
fi
systemctl enable --now -q docker.service

say "commands in /opt/mini-kubernetes"
[ -x /opt/mini-kubernetes/bin/python ] || python3 -m venv /opt/mini-kubernetes
pip="/opt/mini-kubernetes/bin/pip install -q --disable-pip-version-check --no-index"
$pip --find-links "$here/wheels" -r "$here/requirements.txt"
$pip --no-deps --force-reinstall "$here"/mini_kubernetes-*.whl
ln -sf /opt/mini-kubernetes/bin/mini* /usr/local/bin/

say "images of pause, DNS and the examples"
docker load -q -i "$here/images.tar" >/dev/null
mkdir -p /usr/share/mini-kubernetes/images
for file in "$here"/*.name; do
    image=$(cat "$file")
    docker tag "$image" "${image%:*}:latest"
    cp "$file" /usr/share/mini-kubernetes/images/
done
say "done: minikubeadm init, or minikubeadm join, comes next"
