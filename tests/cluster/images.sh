#!/usr/bin/env bash
# images.sh DIR: the images of a pod as archives in DIR, and DIR/images with their names:
#   init, sidecar   ours, by `make images`; PLX_E2E_INIT and PLX_E2E_SIDECAR name others that the cluster has already
#   main            the user's program of the tests, see main/sh
#   busybox         a user's own init container
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/packages.sh
mkdir -p "$1"
archives=$(cd "$1" && pwd)
export PLX_IMAGE_PREFIX=${PLX_IMAGE_PREFIX-localhost/}
. images/engine.sh

if [ -z "${PLX_E2E_INIT-}" ] || [ -z "${PLX_E2E_SIDECAR-}" ]; then
    PLX_ENGINE=$ENGINE PLX_IMAGE_ARCHIVES=$archives images/make.sh >&2
fi

[ -e /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 || packages busybox-static
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,tmp}
chmod 1777 "$root/tmp"
cp /bin/busybox "$root/bin/"
for name in $(busybox --list); do
    [ "$name" = busybox ] || ln -s busybox "$root/bin/$name"
done
build() {
    local image=${PREFIX}plx-e2e-$1:1
    tar -C "$root" -c . | "$ENGINE" import --change 'CMD ["sh"]' - "$image" >/dev/null
    rm -f "$archives/$1.tar"
    if [ "$ENGINE_KIND" = docker ]; then
        docker save -o "$archives/$1.tar" "$image"
    else
        "$ENGINE" save -q --format docker-archive -o "$archives/$1.tar" "$image" >/dev/null
    fi
}
[ "$ENGINE_KIND" != buildah ] || fail "buildah builds and cannot import" "install podman"
build busybox
rm "$root/bin/sh"
cp tests/cluster/main/{sh,manifest} "$root/bin/"
build main

cat >"$archives/images" <<IMAGES
init=${PLX_E2E_INIT:-${PREFIX}plx-init:$TAG}
sidecar=${PLX_E2E_SIDECAR:-${PREFIX}plx-sidecar:$TAG}
main=${PREFIX}plx-e2e-main:1
busybox=${PREFIX}plx-e2e-busybox:1
IMAGES
