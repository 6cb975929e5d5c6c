#!/usr/bin/env bash
# `make images`: builds plx-init:VERSION and plx-sidecar:VERSION with docker, podman or buildah.
#
#   PLX_BUILD_IMAGE=NAME    the build image (default: the Dockerfiles')
#   PLX_LOCAL_BASE=1        make the build image here, by images/base.sh; so it is without a registry, too
#   PLX_ENGINE=NAME         docker, podman or buildah, by name or path
#   PLX_PLATFORM=linux/arm64    another architecture
#   PLX_IMAGE_PREFIX=host/name/  PLX_IMAGE_TAG=TAG    what the images are called
#   PLX_IMAGE_ARCHIVES=DIR  also writes DIR/plx-init.tar and DIR/plx-sidecar.tar, as `docker load` reads them
#   PLX_SOURCE=URL          where the sources are, for the label
set -euo pipefail
cd "$(dirname "$0")/.."
. images/engine.sh

default=$(sed -n 's/^ARG BUILD_IMAGE=//p' Dockerfile.init)
build_image=${PLX_BUILD_IMAGE-}
if [ -z "$build_image" ] && [ "${PLX_LOCAL_BASE-}" != 1 ]; then
    if has_image "$default" || timeout 600 "$ENGINE" pull -q "$default" >/dev/null 2>&1; then
        build_image=$default
    else
        echo "no registry has $default for this machine: making a build image here" >&2
    fi
fi
[ -n "$build_image" ] || build_image=$(PLX_ENGINE=$ENGINE images/base.sh)

revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision+=-dirty
build_args+=(--build-arg "BUILD_IMAGE=$build_image" --build-arg "VERSION=$VERSION" --build-arg "REVISION=$revision"
    --build-arg "SOURCE=${PLX_SOURCE-}")
[ -z "${PLX_PLATFORM-}" ] || build_args+=(--platform "$PLX_PLATFORM")
# Older buildahs do not say by themselves what they build for.
if [ "$ENGINE_KIND" != docker ]; then
    platform=${PLX_PLATFORM:-linux/$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')}
    build_args+=(--build-arg "TARGETARCH=${platform#linux/}")
fi
command=build
[ "$ENGINE_KIND" != buildah ] || command=bud

echo "$ENGINE_KIND $("$ENGINE" --version | grep -oE '[0-9]+(\.[0-9]+)+' | head -1), build image $build_image"
for program in init sidecar; do
    image=${PREFIX}plx-$program:$TAG
    begun=$SECONDS
    "$ENGINE" "$command" "${build_args[@]}" -f "Dockerfile.$program" -t "$image" .
    echo "$image: built in $((SECONDS - begun)) s"
    if [ -n "${PLX_IMAGE_ARCHIVES-}" ]; then
        mkdir -p "$PLX_IMAGE_ARCHIVES"
        archive=$PLX_IMAGE_ARCHIVES/plx-$program.tar
        rm -f "$archive"
        case "$ENGINE_KIND" in
        docker) docker_save=(save -o "$archive" "$image") ;;
        podman) docker_save=(save -q --format docker-archive -o "$archive" "$image") ;;
        buildah) docker_save=(push -q "$image" "docker-archive:$archive:$image") ;;
        esac
        "$ENGINE" "${docker_save[@]}"
    fi
done
