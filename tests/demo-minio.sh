#!/usr/bin/env bash
# The example on S3. With PLX_DEMO_S3_ENDPOINT the server is yours (MinIO: docker compose -f images/minio/compose.yaml up),
# with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY its keys; without it a small S3 server of the test kit is started on a
# folder and stopped again.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .plx

if [ -n "${PLX_DEMO_S3_ENDPOINT:-}" ]; then
    endpoint=$PLX_DEMO_S3_ENDPOINT
    export AWS_ACCESS_KEY_ID=${AWS_ACCESS_KEY_ID:-minioadmin} AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY:-minioadmin}
else
    export AWS_ACCESS_KEY_ID=demo-key AWS_SECRET_ACCESS_KEY=demo-secret
    mkdir -p .plx/s3/plx-models .plx/s3/plx-datasets/public
    cp -R examples/data/flowers .plx/s3/plx-datasets/public/
    ready=$(mktemp -u)
    mkfifo "$ready"
    target/debug/plx-s3-server --dir .plx/s3 --access-key demo-key --secret-key demo-secret >"$ready" &
    server=$!
    trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true; rm -f "$ready"' EXIT
    # The server says where it listens, once it does.
    read -r endpoint _ <"$ready"
fi

sed "s|http://127.0.0.1:9000|$endpoint|" examples/connections.yaml >.plx/connections.yaml
echo "S3 at $endpoint"
target/release/plx-pod run examples/s3.yaml --connections .plx/connections.yaml "$@"
