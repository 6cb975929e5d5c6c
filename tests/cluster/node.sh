#!/usr/bin/env bash
# The two processes of the node, in a mount namespace of their own (see up.sh): node.sh DIR docker, node.sh DIR
# kubelet BIN PORT.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
run=$PWD

if [ "$2" = docker ]; then
    mount --make-rshared /
    # The kubelet keeps its links to logs there, and writes these settings, which many machines do not allow.
    mkdir -p docker var-log settings
    mount --bind var-log /var/log
    for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
        cat "/proc/sys/$setting" >"settings/${setting//\//.}"
        mount --bind "settings/${setting//\//.}" "/proc/sys/$setting"
    done
    # Logs are rotated, as on every node; so small that a test can see it happen.
    exec dockerd --log-opt max-size=1m --log-opt max-file=2 --host "unix://$run/docker/docker.sock" --data-root "$run/docker/root" --exec-root "$run/docker/exec" \
        --pidfile "$run/docker/pid" --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
        --add-runtime "plx=$here/runc" --default-runtime plx
fi

bin=$3 port=$4
cat >kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: $port
healthzPort: 0
readOnlyPort: 0
tlsCertFile: $run/pki/kubelet.crt
tlsPrivateKeyFile: $run/pki/kubelet.key
authentication: {x509: {clientCAFile: $run/pki/ca.crt}, webhook: {enabled: false}, anonymous: {enabled: false}}
authorization: {mode: AlwaysAllow}
# Without systemd there is no tree of cgroups to hang pods into.
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
makeIPTablesUtilChains: false
resolvConf: ""
# A developer's disk may be nearly full.
evictionHard: {memory.available: 1Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
syncFrequency: 1s
nodeStatusUpdateFrequency: 1s
volumePluginDir: $run/volume-plugins
YAML
exec "$bin/kubelet" --config=kubelet.yaml --kubeconfig=kubelet.kubeconfig --hostname-override=localhost \
    --root-dir="$run/kubelet" --cert-dir="$run/kubelet-certificates" --container-runtime=docker \
    --docker-endpoint="unix://$run/docker/docker.sock" --experimental-dockershim-root-directory="$run/dockershim" \
    --pod-infra-container-image=plx/pause:1
