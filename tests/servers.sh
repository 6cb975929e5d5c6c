#!/usr/bin/env bash
# Installs what the tests start besides our own code: moto, the second S3 server, into .cache/venv.
# Quick when it is already there; several may run at once.
set -euo pipefail

MOTO=5.2.5

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.cache/venv
mark=$venv/.moto-$MOTO

say() { printf 'servers.sh: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

[[ -e $mark && -x $venv/bin/moto_server ]] && exit 0

mkdir -p "$root/.cache"
if command -v flock >/dev/null; then
    exec 9>"$root/.cache/venv.lock"
    flock 9
    # Another run may have done it while this one waited.
    [[ -e $mark && -x $venv/bin/moto_server ]] && exit 0
fi

if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null ||
        die "python3 with venv is missing, and only root with apt-get can install it here: install python3-venv yourself"
    say "installing python3-venv"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv; } >&2 ||
        die "apt-get could not install python3-venv"
fi

say "installing moto $MOTO into $venv"
rm -rf "$venv"
python3 -m venv "$venv" >&2 || die "python3 -m venv $venv failed"
"$venv/bin/pip" install --quiet --disable-pip-version-check "moto[server]==$MOTO" >&2 ||
    die "pip could not install moto[server]==$MOTO: is a package index reachable?"
touch "$mark"
