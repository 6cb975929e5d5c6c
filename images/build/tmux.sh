#!/usr/bin/env bash
# In the build stage: tmux.sh ROOT puts a static tmux there. `plugins.tmux` copies it into main, whatever main's image is:
# so it brings its own C library (musl: the locales and user databases of another libc are of no use to it) and knows the
# common terminals. Debian's own is dynamic; its sources are compiled.
set -euo pipefail
. images/build/arch.sh
root=$1

# Sources come from where packages come from; apt checks their hashes.
if [ -e /etc/apt/sources.list.d/debian.sources ]; then
    sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >/etc/apt/sources.list.d/plx.sources
else
    sed 's/^deb /deb-src /' /etc/apt/sources.list >/etc/apt/sources.list.d/plx.list
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    bison make pkg-config ncurses-bin ncurses-base "musl-dev:$DEB" >/dev/null

work=$(mktemp -d)
cd "$work"
for package in libevent ncurses tmux; do
    mkdir "$package"
    (cd "$package" && apt-get source -qq -o APT::Sandbox::User=root --download-only "$package" &&
        tar -xf ./*.orig.tar.*z --strip-components=1)
done

export CC="$GNU-gcc -specs /usr/lib/${GNU/gnu/musl}/musl-gcc.specs" CFLAGS="-Os -fno-pie" LDFLAGS="-static -no-pie"
build() { # PACKAGE TARGETS OPTIONS…
    local package=$1 targets=$2 log=$work/$1.log
    shift 2
    # shellcheck disable=SC2086  # targets are words
    (cd "$package" && ./configure -q --host="$GNU" --prefix="$work/out" "$@" && make -s -j"$(nproc)" && make -s $targets) \
        >"$log" 2>&1 || { tail -n 40 "$log" >&2 && exit 1; }
}
build libevent install --disable-shared --disable-openssl --disable-samples --disable-libevent-regress \
    --disable-thread-support
build ncurses 'install.libs install.includes' --without-shared --without-debug --without-ada --without-cxx \
    --without-cxx-binding --without-manpages --without-progs --without-tests --enable-widec --with-termlib \
    --enable-pc-files --with-pkg-config-libdir="$work/out/lib/pkgconfig" --disable-stripping \
    --with-default-terminfo-dir=/usr/share/terminfo --with-terminfo-dirs=/etc/terminfo:/lib/terminfo:/usr/share/terminfo \
    --with-fallbacks=xterm,xterm-256color,screen,screen-256color,tmux-256color,linux,vt100
export PKG_CONFIG_LIBDIR=$work/out/lib/pkgconfig
build tmux all --enable-static --disable-utf8proc --sysconfdir=/etc

"$GNU-strip" tmux/tmux
install -D tmux/tmux "$root/usr/bin/tmux"
install -d "$root/usr/share/licenses"
install -m 0644 tmux/COPYING "$root/usr/share/licenses/tmux"
install -m 0644 libevent/LICENSE "$root/usr/share/licenses/libevent"
install -m 0644 ncurses/COPYING "$root/usr/share/licenses/ncurses"
install -m 0644 "/usr/share/doc/musl-dev/copyright" "$root/usr/share/licenses/musl"
