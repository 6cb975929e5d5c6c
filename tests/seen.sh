#!/usr/bin/env bash
# A run of our two programs, read back from the real platform with Polyaxon's own client (tests/api/seen.py).
# `seen.sh --picture FILE` draws its page of Polyaxon's UI too, with Debian's chromium.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/cluster/packages.sh

tests/servers.sh haupt
[ "${1-}" != --picture ] || packages chromium
# With the whole workspace, so that dependencies are those that `make test` has compiled.
what=(--locked --workspace --features plx-tests/e2e)
cargo build "${what[@]}" --bin plx-init
.cache/haupt/bin/python tests/api/seen.py "${CARGO_TARGET_DIR:-target}/debug/plx-init" "$@" -- \
    cargo test "${what[@]}" --test binary -- --ignored real_api::
