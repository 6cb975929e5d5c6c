# shellcheck shell=bash
# Sourced: `packages NAME…` installs those Debian packages that are not there, where that can be done. `PROGRAM=NAME` is the
# package of a program that may have come from elsewhere.

fail() {
    echo "error: $1" >&2
    echo "next: $2" >&2
    exit "${3:-69}"
}

packages() {
    local missing=() name
    for name in "$@"; do
        ! type -P "${name%%=*}" >/dev/null || continue
        name=${name##*=}
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] && type -P apt-get >/dev/null ||
        fail "not installed: ${missing[*]}" "install them, or run as root on a Debian, where it is done for you" 77
    echo "installing ${missing[*]} with apt" >&2
    # No service of theirs is to start: the cluster starts what it needs itself.
    local said
    said=$({ apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "${missing[@]}"; } 2>&1) || fail "apt-get: $(tail -n 3 <<<"$said")" "install ${missing[*]} yourself"
}
