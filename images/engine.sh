# shellcheck shell=bash disable=SC2034
# Sourced by the scripts of this folder: finds what builds and runs containers here.
#   ENGINE       the command      ENGINE_KIND  docker, podman or buildah
#   build_args   what every build needs on this machine
#   has_image NAME, VERSION, TAG, PREFIX, CACHE
# PLX_ENGINE names it; else docker with a daemon and BuildKit, else podman, else buildah, else podman is installed.

fail() {
    echo "error: $1" >&2
    echo "next: $2" >&2
    exit "${3:-69}"
}

# A docker client of 23 or newer builds only with its buildx plugin; older ones have BuildKit inside.
usable_docker() {
    local major
    timeout 20 "$1" info >/dev/null 2>&1 || return 1
    major=$("$1" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
    [ "$major" -lt 23 ] || "$1" buildx version >/dev/null 2>&1
}

find_engine() {
    local candidate
    [ -z "${PLX_ENGINE-}" ] || { echo "$PLX_ENGINE" && return; }
    while read -r candidate; do
        usable_docker "$candidate" && echo "$candidate" && return
    done < <(type -aP docker | awk '!seen[$0]++')
    for candidate in podman buildah; do
        type -P "$candidate" && return
    done
    [ "$(id -u)" = 0 ] && type -P apt-get >/dev/null ||
        fail "neither docker (with a running daemon and BuildKit), podman nor buildah" "install one of them"
    echo "installing podman, buildah and runc with apt" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        podman buildah runc catatonit; } >&2
    type -P podman
}

CACHE=$(realpath -m "${PLX_CACHE:-.cache}/images")
ENGINE=$(find_engine)
ENGINE_KIND=$(basename "$ENGINE")
build_args=()
case "$ENGINE_KIND" in
docker)
    export DOCKER_BUILDKIT=1
    # A daemon without a bridge (many CI machines): builds use the machine's network.
    "$ENGINE" network inspect bridge >/dev/null 2>&1 || build_args+=(--network host)
    ;;
podman | buildah)
    build_args+=(--layers)
    # Without systemd there is nobody to make cgroups and no journal to write to.
    if [ "$(id -u)" = 0 ] && [ ! -d /run/systemd/system ] && [ -z "${CONTAINERS_CONF-}" ]; then
        export BUILDAH_ISOLATION=chroot
        export CONTAINERS_CONF=$CACHE/containers.conf
        mkdir -p "$CACHE"
        cat >"$CONTAINERS_CONF" <<'CONF'
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
    fi
    ;;
*) fail "PLX_ENGINE is $ENGINE" "it is docker, podman or buildah, by name or path" 64 ;;
esac

# Is this image here?
has_image() { "$ENGINE" inspect --type image "$1" >/dev/null 2>&1; }

VERSION=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
TAG=${PLX_IMAGE_TAG:-$VERSION}
PREFIX=${PLX_IMAGE_PREFIX-}
