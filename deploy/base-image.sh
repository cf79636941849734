#!/bin/sh
# Make the base image debian:bookworm-slim with mmdebstrap where no image registry can be reached.
# An image of that name that is already there (pulled or made) is used as it is.
set -eu

tag=${BASE_IMAGE:-debian:bookworm-slim}

if docker image inspect "$tag" >/dev/null 2>&1; then
    echo "base image: $tag is there"
    exit 0
fi
if docker pull -q "$tag" >/dev/null 2>&1; then
    echo "base image: $tag pulled"
    exit 0
fi
command -v mmdebstrap >/dev/null || { echo "base image: mmdebstrap is missing (make install)" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "base image: no registry answers; making $tag with mmdebstrap (about 45 s)"
mmdebstrap --quiet --variant=minbase --include=ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    bookworm "$work/base.tar" >"$work/log" 2>&1 || {
    echo "base image: mmdebstrap failed:" >&2
    tail -n 20 "$work/log" >&2
    exit 1
}
docker import "$work/base.tar" "$tag" >/dev/null
echo "base image: $tag made"
