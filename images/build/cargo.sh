#!/usr/bin/env bash
# In the build stage: cargo.sh PROGRAM FOLDER compiles one program, statically, and puts it there.
set -euo pipefail
. images/build/arch.sh
program=$1 folder=$2

export CARGO_HOME=/cache/cargo CARGO_TARGET_DIR=/cache/target CARGO_TERM_COLOR=never
cargo fetch -q --locked --target "$TARGET"

# Messages and panics name source files: by paths that say nothing about the machine that compiled them, nor about where
# the dependencies came from (the last that fits counts). /vendor is where images/base.sh puts them.
shopt -s nullglob
maps=(/src=/plx "$CARGO_HOME/registry/src=/deps" "$CARGO_TARGET_DIR=/target" /vendor=/deps)
for index in "$CARGO_HOME"/registry/src/*; do
    maps+=("$index=/deps")
done
flags="-C target-feature=+crt-static"
cflags=""
for map in "${maps[@]}"; do
    flags+=" --remap-path-prefix=$map"
    cflags+=" -ffile-prefix-map=$map"
done
# The target is always named: without it, build scripts would be static too, and macros cannot be.
export RUSTFLAGS="$flags" CFLAGS="$cflags"
if [ -n "$CROSS" ]; then
    rustup target add "$TARGET"
    name=${TARGET//-/_}
    export "CC_$name=${CROSS}gcc" "AR_$name=${CROSS}ar" "CARGO_TARGET_${name^^}_LINKER=${CROSS}gcc"
fi
cargo build --release --locked --target "$TARGET" -p "$program"
install -D "$CARGO_TARGET_DIR/$TARGET/release/$program" "$folder/$program"
