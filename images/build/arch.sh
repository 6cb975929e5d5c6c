# shellcheck shell=bash disable=SC2034
# Sourced by the scripts of the build stage: the names of the architecture that the image is for.
#   DEB      Debian's name            GNU    the prefix of the C compiler and the folder of libraries
#   TARGET   Rust's name              CROSS  empty when it is this machine's own architecture
DEB=${TARGETARCH:-$(dpkg --print-architecture)}
case "$DEB" in
amd64) GNU=x86_64-linux-gnu TARGET=x86_64-unknown-linux-gnu ;;
arm64) GNU=aarch64-linux-gnu TARGET=aarch64-unknown-linux-gnu ;;
*) echo "error: no image for the architecture $DEB; next: TARGETARCH is amd64 or arm64" >&2 && exit 64 ;;
esac
CROSS=$([ "$DEB" = "$(dpkg --print-architecture)" ] || echo "$GNU-")
