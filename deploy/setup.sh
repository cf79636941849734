#!/bin/sh
# What this project needs on a fresh Debian 12 (git, make and Python 3.11 are there): packages, Docker, .venv.
# Installs only what is missing, and says what it does. As root, or with sudo.
#   setup.sh            all of it
#   setup.sh venv       only .venv (enough for `make check`)
set -eu
cd "$(dirname "$0")/.."
begun=$(date +%s)
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
say() { echo "setup: $*"; }

# command-or-file:package
tools="python3:python3 curl:curl"
machine="etcd:etcd-server etcdctl:etcd-client iptables:iptables ip:iproute2 conntrack:conntrack ipset:ipset nft:nftables
    /usr/lib/cni/bridge:containernetworking-plugins mmdebstrap:mmdebstrap jq:jq wrk:wrk"

packages() {
    missing=""
    for pair in "$@"; do
        what=${pair%%:*} package=${pair#*:}
        case $what in
            /*) [ -e "$what" ] || missing="$missing $package" ;;
            *) command -v "$what" >/dev/null 2>&1 || [ -x "/usr/sbin/$what" ] || missing="$missing $package" ;;
        esac
    done
    if ! python3 -c 'import ensurepip' 2>/dev/null; then missing="$missing python3-venv"; fi
    [ -n "$missing" ] || return 0
    say "installing$missing"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/tmp/mini-setup.log 2>&1 || {
        say "apt-get install failed:" >&2
        tail -n 20 /tmp/mini-setup.log >&2
        exit 1
    }
}

venv() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "Python 3.11 or newer is needed" >&2; exit 1; }
    wanted=$(cat pyproject.toml pytest-mini-kubernetes/pyproject.toml | sha256sum | cut -d' ' -f1)
    if [ "$(cat .venv/.made-from 2>/dev/null)" = "$wanted" ]; then
        say ".venv is there"
        return
    fi
    say "making .venv with this project's commands and development tools"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check hatchling editables
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-build-isolation -e '.[dev]' -e ./pytest-mini-kubernetes
    echo "$wanted" >.venv/.made-from
}

if [ "${1:-all}" = venv ]; then
    # shellcheck disable=SC2086
    packages $tools
    venv
    exit 0
fi
if ! docker version >/dev/null 2>&1; then machine="$machine dockerd:docker.io"; fi
# Where the kernel confines by AppArmor, Docker starts no container without the program that loads its profile.
if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then machine="$machine /sbin/apparmor_parser:apparmor"; fi
# shellcheck disable=SC2086
packages $tools $machine
venv
if docker version >/dev/null 2>&1; then say "docker answers"; else as_root deploy/dockerd.sh; fi
say "done in $(($(date +%s) - begun)) s"
