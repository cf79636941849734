#!/bin/sh
# Print the path of promtool: the one on the PATH, else Debian's, unpacked into .build (installing the package would
# start a Prometheus on this machine).
set -eu
cd "$(dirname "$0")/.."
if command -v promtool >/dev/null 2>&1; then command -v promtool; exit 0; fi
target=$PWD/.build/bin
if [ ! -x "$target/promtool" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    cd "$work"
    apt-get download -qq prometheus >&2 || { apt-get update -qq >&2 && apt-get download -qq prometheus >&2; }
    dpkg-deb -x prometheus_*.deb unpacked
    mkdir -p "$target"
    cp "$work/unpacked/usr/bin/promtool" "$target/promtool.part"
    mv "$target/promtool.part" "$target/promtool"
fi
echo "$target/promtool"
