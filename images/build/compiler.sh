#!/usr/bin/env bash
# In the build stage: a C compiler for the image's architecture (libgit2, ring and tmux are C).
set -euo pipefail
. images/build/arch.sh

wanted=(ca-certificates gcc libc6-dev make pkg-config)
[ -z "$CROSS" ] || wanted+=("gcc-${GNU//_/-}" "libc6-dev-$DEB-cross")
# A build image that has them all is asked for nothing from the network here.
if ! dpkg-query -W -f '${db:Status-Abbrev}\n' "${wanted[@]}" 2>/dev/null | grep -c '^ii' | grep -qx "${#wanted[@]}"; then
    [ -z "$CROSS" ] || dpkg --add-architecture "$DEB"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
fi
