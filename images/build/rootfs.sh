#!/usr/bin/env bash
# In the build stage: rootfs.sh ROOT [APPLETS] lays out what an image holds beside its binary: CA certificates, who is
# who, where names are looked up, /tmp; and with a list of APPLETS a static busybox under those names.
set -euo pipefail
. images/build/arch.sh
root=$1 applets=${2-}

mkdir -p "$root/etc/ssl/certs"
# The bundle of Debian's package: an authority that someone added to the build image is not trusted by what is shipped.
grep -v '^[#!]' /etc/ca-certificates.conf | while read -r certificate; do
    cat "/usr/share/ca-certificates/$certificate"
done >"$root/etc/ssl/certs/ca-certificates.crt"
install -m 0644 images/etc/* "$root/etc/"
install -d -m 1777 "$root/tmp"

[ -n "$applets" ] || exit 0
download=$(mktemp -d)
apt-get update -qq
(cd "$download" && apt-get download -qq -o APT::Sandbox::User=root "busybox-static:$DEB" && dpkg-deb -x busybox-static_*.deb .)
install -D "$download/bin/busybox" "$root/bin/busybox"
install -D -m 0644 "$download/usr/share/doc/busybox-static/copyright" "$root/usr/share/licenses/busybox"
while read -r name; do
    ln -s busybox "$root/bin/$name"
done < <(grep -v '^#' "$applets" | tr -s ' ' '\n')
