#!/usr/bin/env bash
# certificates.sh DIR: an authority for one cluster, a certificate signed by it for each of its parts, and the key pair
# that signs service accounts' tokens. All of it is of use to nobody but the cluster beside it.
set -euo pipefail
mkdir -p "$1"
cd "$1"
umask 077

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

key ca.key
openssl req -x509 -new -key ca.key -subj /CN=plx-e2e -days 30 -out ca.crt
# certificate NAME SUBJECT NAMES
certificate() {
    key "$1.key"
    openssl req -new -key "$1.key" -subj "$2" | openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
        -extfile <(printf 'keyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' "$3") 2>/dev/null
}
certificate apiserver /CN=kube-apiserver DNS:localhost,IP:127.0.0.1
certificate kubelet /O=system:nodes/CN=system:node:localhost DNS:localhost,IP:127.0.0.1
certificate admin /O=system:masters/CN=admin DNS:admin
openssl genrsa -out accounts.key 2048 2>/dev/null
openssl rsa -in accounts.key -pubout -out accounts.pub 2>/dev/null
