#!/usr/bin/env bash
# Installs what the tests start besides our own code: `servers.sh`, or `servers.sh NAME…`. Into .cache: moto, the second S3
# server (venv), Azurite, the Azure Blob server (azurite), and, only when it is named, haupt, the tracking API of Polyaxon
# (haupt). Into the system: git, ssh and sshd. Quick when they are already there; several may run at once.
set -euo pipefail

MOTO=5.2.5
HAUPT=2.18.0
AZURITE=3.35.0 # 3.36 needs a newer Node.js than Debian has

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.cache/venv
haupt=$root/.cache/haupt
azurite=$root/.cache/azurite

say() { printf 'servers.sh: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# have_NAME says whether it is there; install_NAME puts it there.
have_moto() { [[ -e $venv/.moto-$MOTO && -x $venv/bin/moto_server ]]; }
have_haupt() { [[ -e $haupt/.haupt-$HAUPT && -x $haupt/bin/haupt ]]; }
have_azurite() { [[ -e $azurite/.azurite-$AZURITE && -x $azurite/node_modules/.bin/azurite-blob ]]; }
have_git() {
    command -v git >/dev/null || return
    local folder
    folder=$(git --exec-path)
    [[ -x $folder/git-http-backend && -x $folder/git-daemon ]]
}
have_ssh() {
    command -v ssh && command -v ssh-keygen && { command -v sshd || [[ -x /usr/sbin/sshd ]]; }
} >/dev/null

# packages WHAT PACKAGE… : installs Debian packages, where that can be done.
packages() {
    local what=$1
    shift
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null ||
        die "$what is missing, and only root with apt-get can install it here: install $* yourself"
    say "installing $*"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >&2 ||
        die "apt-get could not install $*"
}

# python PACKAGE VERSION EXTRA FOLDER : a Python package in a venv of its own.
python() {
    python3 -c 'import venv, ensurepip' 2>/dev/null || packages "python3 with venv" python3-venv
    say "installing $1 $2 into $4"
    rm -rf "$4"
    python3 -m venv "$4" >&2 || die "python3 -m venv $4 failed"
    "$4/bin/pip" install --quiet --disable-pip-version-check "$1[$3]==$2" >&2 ||
        die "pip could not install $1[$3]==$2: is a package index reachable?"
    touch "$4/.$1-$2"
}
install_moto() { python moto "$MOTO" server "$venv"; }
install_haupt() { python haupt "$HAUPT" sandbox "$haupt"; }

install_azurite() {
    command -v node >/dev/null && command -v npm >/dev/null || packages "npm" nodejs npm
    say "installing azurite $AZURITE into $azurite"
    rm -rf "$azurite"
    mkdir -p "$azurite"
    npm install --prefix "$azurite" --silent --no-audit --no-fund --no-update-notifier "azurite@$AZURITE" >&2 ||
        die "npm could not install azurite@$AZURITE: is a package index reachable?"
    touch "$azurite/.azurite-$AZURITE"
}

install_git() { packages "git with its servers" git; }

install_ssh() { packages "ssh or its server" openssh-client openssh-server; }

# ensure NAME FOLDER : installs what is missing, once.
ensure() {
    "have_$1" && return
    mkdir -p "$root/.cache"
    if command -v flock >/dev/null; then
        exec 9>"$2.lock"
        flock 9
        # Another run may have done it while this one waited.
        "have_$1" && return
    fi
    "install_$1"
}

[[ $# -gt 0 ]] || set -- moto azurite git ssh
for name in "$@"; do
    case $name in
    moto) ensure moto "$venv" ;;
    haupt) ensure haupt "$haupt" ;;
    azurite) ensure azurite "$azurite" ;;
    git | ssh) ensure "$name" "$root/.cache/packages" ;;
    *) die "$name is no server: moto, azurite, haupt, git, ssh" ;;
    esac
done
