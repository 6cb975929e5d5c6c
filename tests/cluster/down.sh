#!/usr/bin/env bash
# down.sh DIR: ends the cluster that up.sh DIR began, its pods first, each process by its id; says so when something is left.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
. "$here/processes.sh"
[ ! -e env ] || . ./env

if alive docker; then
    if alive kubelet && alive apiserver; then
        timeout 60 kubectl delete pods --all --all-namespaces --force --grace-period=0 >/dev/null 2>&1 ||
            echo "cluster: its pods could not be deleted" >&2
    fi
    end kubelet
    containers=$(docker ps -aq)
    # shellcheck disable=SC2086
    [ -z "$containers" ] || docker rm -f $containers >/dev/null
fi
end kubelet
end docker
end apiserver
end etcd
# A container's shim outlives docker; its command line names this folder.
left=$(pgrep -f -- "$PWD/" | grep -vx "$$" || true)
if [ -n "$left" ]; then
    echo "cluster: still running:" >&2
    # shellcheck disable=SC2086
    ps -o pid=,args= $left >&2 || true
    exit 70
fi
