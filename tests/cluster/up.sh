#!/usr/bin/env bash
# up.sh DIR: a Kubernetes of one node on loopback, from nothing to Ready. DIR is new; it keeps state, keys, logs and
# process ids, and DIR/env what a shell needs to talk to it:
#   KUBECONFIG   for kubectl, as admin          DOCKER_HOST  where its containers and images are
#   PLX_CLUSTER_PORT                            of its API, on 127.0.0.1
# There is no scheduler, no controller and no network of pods: a pod names its node (localhost), uses the host's network,
# and brings a volume with its account's token. down.sh DIR ends it. Needs root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/packages.sh"
[ "$(id -u)" = 0 ] || fail "a kubelet needs root" "run as root, or set KUBECONFIG to a cluster of yours" 77
packages etcd=etcd-server kubectl=kubernetes-client dockerd=docker.io runc jq openssl catatonit
bin=$("$here/kubernetes.sh")
mkdir -p "$1"
run=$(cd "$1" && pwd)
cd "$run"
. "$here/processes.sh"

# The API's port, and after it those of the kubelet and of etcd.
port=${PLX_CLUSTER_PORT:-16443}
kubelet_port=$((port + 1)) etcd=http://127.0.0.1:$((port + 2)) peers=http://127.0.0.1:$((port + 3))
broken() {
    echo "error: the cluster did not come up: $1" >&2
    tail -n 5 log/* >&2
    "$here/down.sh" "$run"
    exit 69
}

"$here/certificates.sh" pki
for user in admin kubelet; do
    cat >"$user.kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: plx
contexts: [{name: plx, context: {cluster: plx, user: $user}}]
clusters: [{name: plx, cluster: {server: "https://127.0.0.1:$port", certificate-authority: $run/pki/ca.crt}}]
users: [{name: $user, user: {client-certificate: $run/pki/$user.crt, client-key: $run/pki/$user.key}}]
YAML
done
cat >env <<ENV
export KUBECONFIG=$run/admin.kubeconfig
export DOCKER_HOST=unix://$run/docker/docker.sock
export PLX_CLUSTER_PORT=$port
ENV
. ./env

begin etcd etcd --data-dir etcd --listen-client-urls "$etcd" --advertise-client-urls "$etcd" --listen-peer-urls "$peers" \
    --initial-advertise-peer-urls "$peers" --initial-cluster "default=$peers"
# Nobody would lift the protection of a claim once its pods are gone.
begin apiserver "$bin/kube-apiserver" --etcd-servers="$etcd" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
    --secure-port="$port" --insecure-port=0 --cert-dir=certificates --tls-cert-file=pki/apiserver.crt \
    --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt --authorization-mode=Node,RBAC \
    --service-account-issuer=https://kubernetes.default.svc --service-account-signing-key-file=pki/accounts.key \
    --service-account-key-file=pki/accounts.pub --kubelet-client-certificate=pki/admin.crt \
    --kubelet-client-key=pki/admin.key --kubelet-certificate-authority=pki/ca.crt \
    --kubelet-preferred-address-types=Hostname --service-cluster-ip-range=10.96.0.0/24 --endpoint-reconciler-type=none \
    --disable-admission-plugins=StorageObjectInUseProtection --allow-privileged=true --enable-priority-and-fairness=false
until_true 60 kubectl get --raw /readyz || broken "its API does not answer"
kubectl apply -f "$here/cluster.yaml" >/dev/null
kubectl -n polyaxon create configmap kube-root-ca.crt --from-file=ca.crt=pki/ca.crt >/dev/null

# Docker is to see what the kubelet mounts (tokens, secrets), and nobody else is.
begin docker unshare --mount --propagation private "$here/node.sh" "$run" docker
until_true 60 docker version || broken "docker does not answer"
tar -C "$(dirname "$(readlink -f "$(type -P catatonit)")")" -c catatonit |
    docker import --change 'ENTRYPOINT ["/catatonit","-P"]' - plx/pause:1 >/dev/null
read -r docker_pid _ <pids/docker
begin kubelet nsenter --mount --target "$docker_pid" "$here/node.sh" "$run" kubelet "$bin" "$kubelet_port"
ready() { kubectl get node localhost | grep -q ' Ready'; }
until_true 60 ready || broken "its node is not ready"
