#!/usr/bin/env bash
# `make e2e`: pods of Polyaxon's converter with our two images on a real cluster. Arguments go to the test runner
# (`tests/e2e.sh resume`); tests/cluster/README.md says what it brings up.
#
#   --where-possible     first: a machine that can have no cluster is told why, and that is no failure
#   without KUBECONFIG   a Kubernetes of one node is built (once), started on loopback, and ended: root, Debian 12
#   KUBECONFIG=FILE      that cluster is used: one of a single node that shares this machine's network and its disk.
#                        A namespace `plx-e2e` is made in it, and deleted.
#   PLX_E2E_CLUSTER=bare it is one that tests/cluster/up.sh brought up before, and stays up
#   PLX_E2E_LOAD=COMMAND how that cluster takes an image; called with each archive (`k3s ctr images import`)
#   PLX_E2E_INIT=NAME    images that the cluster has already, instead of building ours
#   PLX_E2E_SIDECAR=NAME
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/cluster/packages.sh

# Why there can be no cluster of our own on this machine; nothing when there can.
obstacle() {
    [ "$(uname -sm)" = "Linux x86_64" ] || { echo "it is no Linux on x86_64" && return; }
    [ "$(id -u)" = 0 ] || { echo "a kubelet needs root" && return; }
    grep -q '^VERSION_CODENAME=bookworm' /etc/os-release && [ -e /etc/apt/sources.list.d/debian.sources ] ||
        { echo "Kubernetes is built from the sources of Debian 12, and this is none" && return; }
    unshare --mount --propagation private mount -t tmpfs none /mnt 2>/dev/null || { echo "nothing may be mounted here" && return; }
    mkdir -p /sys/fs/cgroup/memory/plx-e2e 2>/dev/null && rmdir /sys/fs/cgroup/memory/plx-e2e ||
        { mkdir -p /sys/fs/cgroup/plx-e2e 2>/dev/null && rmdir /sys/fs/cgroup/plx-e2e; } || echo "no cgroup may be made here"
}
if [ "${1-}" = --where-possible ]; then
    shift
    # Whoever runs all tests did not ask for anything in a cluster of theirs.
    unset KUBECONFIG PLX_E2E_CLUSTER
    why=$(obstacle)
    [ -z "$why" ] || { echo "e2e: LEFT OUT, no pod is run: $why" >&2 && exit 0; }
fi

work=$(mktemp -d)
archives=$work/archives
say() { echo "e2e: $* ($((SECONDS - begun)) s)" >&2 && begun=$SECONDS; }
begun=$SECONDS

end() {
    code=$?
    trap - EXIT
    # It ends what it started.
    [ -z "${tests-}" ] || { kill "$tests" 2>/dev/null && wait "$tests"; } || true
    if [ -d "$work/cluster" ]; then
        tests/cluster/down.sh "$work/cluster" || code=70
    elif [ "${PLX_E2E_CLUSTER-}" = whole ]; then
        kubectl delete namespace plx-e2e --ignore-not-found >&2 || code=70
    fi
    # What containers wrote belongs to others.
    rm -rf "$work" || code=70
    say "ended"
    exit "$code"
}
trap end EXIT
trap 'exit 130' INT TERM

tests/servers.sh haupt azurite git ssh
say "servers are installed"
# The docker of a cluster that stays up is a new one, without anything that was built before.
if [ "${PLX_E2E_CLUSTER-}" = bare ]; then
    env -u DOCKER_HOST tests/cluster/images.sh "$archives"
else
    tests/cluster/images.sh "$archives"
fi
say "images are built"
if [ -z "${KUBECONFIG-}" ]; then
    export PLX_E2E_CLUSTER=bare PLX_E2E_NAMESPACE=polyaxon
    tests/cluster/up.sh "$work/cluster"
    . "$work/cluster/env"
    load() { docker load -q -i "$1" >/dev/null; }
elif [ "${PLX_E2E_CLUSTER-}" = bare ]; then
    export PLX_E2E_NAMESPACE=polyaxon
    load() { docker load -q -i "$1" >/dev/null; }
else
    packages kubectl=kubernetes-client
    export PLX_E2E_CLUSTER=whole PLX_E2E_NAMESPACE=plx-e2e
    sed 's/\bpolyaxon\b\([,}]\)/plx-e2e\1/' tests/cluster/cluster.yaml | kubectl apply -f - >/dev/null
    load() { ${PLX_E2E_LOAD-true} "$1" >&2; }
fi
for archive in "$archives"/*.tar; do
    load "$archive"
done
say "the cluster is up"

export PLX_E2E_ARCHIVES=$archives
# With the whole workspace, so that dependencies are those that `make test` has compiled.
what=(--locked --workspace --features plx-tests/e2e --test e2e)
if cargo nextest --version >/dev/null 2>&1; then
    run=(cargo nextest run "${what[@]}" --test-threads 8 "$@")
else
    run=(cargo test "${what[@]}" -- --test-threads 1 "$@")
fi
# `plx-pod run` is beside what runs on the cluster, in tests/e2e/ways.rs.
cargo build --locked --workspace --features plx-tests/e2e --bin plx-pod
PLX_E2E_POD=$(realpath "${CARGO_TARGET_DIR:-target}")/debug/plx-pod
export PLX_E2E_POD
# Not in the foreground: a shell that waits for a program hears no signal.
.cache/haupt/bin/python tests/api/e2e.py "${run[@]}" &
tests=$!
wait "$tests"
tests=
say "pods have run"
