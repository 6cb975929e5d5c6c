#!/usr/bin/env bash
# A build image without a registry: a Debian by debootstrap, this machine's Rust, and the dependencies' sources, so that
# the Dockerfiles build as they are. Prints the image's name. Needs root, cargo, and Debian's and Rust's package
# registries the first time; takes what it made before from the cache folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. images/engine.sh

root=$CACHE/base
say() { echo "base: $*" >&2; }

# The image is made again when the compiler or the dependencies are others.
key=$(cat <(rustc -vV) Cargo.lock "$0" | sha256sum | cut -c1-12)
image=plx-build-base:$key
if has_image "$image"; then
    echo "$image" && exit
fi

[ "$(id -u)" = 0 ] || fail "a local build image is made by debootstrap, which needs root" \
    "run as root, or name an image with a Rust of 1.92 or newer by PLX_BUILD_IMAGE" 77
if ! type -P debootstrap >/dev/null; then
    say "installing debootstrap with apt"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap; } >&2
fi
if [ ! -e "$root/.whole" ]; then
    say "debootstrap"
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev,make,pkg-config bookworm "$root" >&2
    rm -rf "$root"/var/cache/apt/archives/*.deb
    touch "$root/.whole"
fi

say "Rust and the dependencies' sources"
sysroot=$(rustc --print sysroot)
rm -rf "$root"/usr/local/{bin,lib,libexec} "$root/vendor"
mkdir -p "$root"/usr/local/{bin,lib} "$root/.cargo"
cp -a "$sysroot/bin/cargo" "$sysroot/bin/rustc" "$root/usr/local/bin/"
cp -a "$sysroot/lib/." "$root/usr/local/lib/"
cargo vendor --quiet --locked --versioned-dirs "$root/vendor" >/dev/null
# cargo looks for it in every folder above the sources.
cat >"$root/.cargo/config.toml" <<'CONFIG'
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "/vendor"
CONFIG

say "import as $image"
"$ENGINE" images -q plx-build-base | sort -u | while read -r old; do
    "$ENGINE" rmi -f "$old" >/dev/null || say "an older one is still in use: $old"
done
if [ "$ENGINE_KIND" = buildah ]; then
    container=$(buildah from scratch)
    buildah add -q "$container" "$root" / >/dev/null
    buildah commit -q --rm "$container" "$image" >/dev/null
else
    tar -C "$root" -c . | "$ENGINE" import - "$image" >/dev/null
fi
echo "$image"
