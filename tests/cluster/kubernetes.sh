#!/usr/bin/env bash
# kube-apiserver and kubelet, built from the source package of this machine's Debian into the cache folder, once.
# Prints the folder that holds them. Needs root and Debian's packages the first time (about six minutes on two cores).
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/packages.sh

cache=$(realpath -m "${PLX_CACHE:-.cache}/kubernetes")
say() { echo "kubernetes: $*" >&2; }

mkdir -p "$cache"
# Two at once would unpack over each other; the second finds what the first built.
exec 9>"$cache/lock"
flock 9
if [ -e "$cache/bin/.whole" ]; then
    echo "$cache/bin" && exit
fi

packages dpkg-dev golang-go rsync jq make golang-github-modern-go-reflect2-dev
work=$cache/build
rm -rf "$work" "${cache:?}/bin"
mkdir -p "$work"/apt/{sources,lists/partial,archives/partial} "$work"/{home,go} "$cache/bin"
# Debian's own list may be without sources: a list of our own, in folders of our own, leaves the machine's as it is.
sed -s 's/^Types:.*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$work/apt/sources/debian.sources"
apt=(-qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/apt/sources"
    -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache::archives=$work/apt/archives" -o Dir::Cache::pkgcache=
    -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
say "fetching the source package"
begun=$SECONDS
(cd "$work" && apt-get "${apt[@]}" update && apt-get "${apt[@]}" source kubernetes) >&2
source=$(echo "$work"/kubernetes-*/)

# The package's copy of reflect2 crashes when it is compiled by a Go of 1.18 or later; Debian has a newer one beside it.
reflect=$source/vendor/github.com/modern-go/reflect2
rm -f "$reflect"/*.go "$reflect"/*.s
cp /usr/share/gocode/src/github.com/modern-go/reflect2/*.go /usr/share/gocode/src/github.com/modern-go/reflect2/*.s "$reflect/"
mkdir -p "$work/go/src/k8s.io"
ln -s "$source" "$work/go/src/k8s.io/kubernetes"

say "compiling kube-apiserver and kubelet"
(
    cd "$work/go/src/k8s.io/kubernetes"
    export HOME=$work/home GOPATH=$work/go GOCACHE=$work/gocache GOPROXY=off GO111MODULE=off CGO_ENABLED=0
    make WHAT="cmd/kube-apiserver cmd/kubelet"
) >&2
cp "$source"/_output/bin/{kube-apiserver,kubelet} "$cache/bin/"
strip "$cache"/bin/kube*
chmod -R u+w "$work"
rm -rf "$work"
"$cache/bin/kubelet" --version >"$cache/bin/.whole"
say "$(cat "$cache/bin/.whole") built in $((SECONDS - begun)) s"
echo "$cache/bin"
