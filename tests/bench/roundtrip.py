#!/usr/bin/env python3
"""A tree of many small files, one large one, empty files and odd names goes disk -> plx-sidecar -> S3 -> plx-init ->
disk. It must be identical by hash, and rclone, which shares no code with us, must agree with what is in the bucket.
Prints sizes, times and resident memory."""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

import bench

ODD = [
    "empty", ".hidden", "sp ace", "é ü/naïve 文件 😀.txt", "a+b&c=d", "pct%20x%", "#tag", "q?x", "star*[x]", "-n", "it's \"q\"",
    "back\\slash", "trailing.", "deep/" + "d/" * 30 + "leaf", "semi;colon", "tilde~", "$HOME", "n" * 200, "model", "model-hf/x",
]


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(content)


def hashes(root):
    seen = {}
    for folder, _, files in os.walk(root):
        for name in files:
            path = os.path.join(folder, name)
            digest = hashlib.sha256()
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
            seen[os.path.relpath(path, root)] = digest.hexdigest()
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large-mib", type=int, default=2048)
    parser.add_argument("--bin", default=os.path.join(bench.ROOT, "target/release"))
    parser.add_argument("--peers")
    parser.add_argument("--garage", default=os.environ.get("PLX_BENCH_GARAGE") or os.path.join(bench.ROOT, ".cache/garage/bin/garage"))
    args = parser.parse_args()
    args.work = tempfile.mkdtemp(prefix="plx-roundtrip-")
    server = bench.Garage(args.garage, args.work)
    try:
        trip(args, server.endpoint)
    finally:
        server.stop()
        shutil.rmtree(args.work, ignore_errors=True)


def trip(args, endpoint):
    tree = os.path.join(args.work, "tree")
    for i in range(args.small):
        write(os.path.join(tree, f"small/{i // 1000:03}/f{i:06}"), os.urandom(4096))
    for i, name in enumerate(ODD):
        write(os.path.join(tree, "odd", name), b"" if i == 0 else f"{i} {name}".encode())
    with open(os.path.join(tree, "model.bin"), "wb") as out:
        for _ in range(args.large_mib // 16):
            out.write(os.urandom(16 << 20))
    wanted = hashes(tree)
    down, up = bench.tools(args, endpoint)["plx"]
    show = "{:12} {} files  wall {:.2f} s  cpu {:.2f} s  RSS {:.1f} MiB".format
    print(show("sidecar", len(wanted), *bench.run(*up(tree, "R"))))
    target = os.path.join(args.work, "back")
    print(show("init", len(wanted), *bench.run(*down("R", target))))
    got = hashes(os.path.join(target, "R"))
    bad = {name for name in wanted | got if wanted.get(name) != got.get(name)}
    if bad:
        sys.exit(f"{len(bad)} files differ: {sorted(bad)[:10]}")
    print(f"identical by SHA-256: {len(got)} files")
    bin_ = args.peers or os.path.join(bench.ROOT, ".cache/peers/bin")
    argv = [
        f"{bin_}/rclone", "--config=/dev/null", "--s3-provider=Other", f"--s3-endpoint={endpoint}", "--s3-env-auth",
        f"--s3-region={bench.REGION}", "check", "--download", "--checkers=16", tree, f":s3:{bench.BUCKET}/R",
    ]
    env = dict(os.environ, AWS_ACCESS_KEY_ID=bench.KEY, AWS_SECRET_ACCESS_KEY=bench.SECRET)
    check = subprocess.run(argv, env=env, stderr=subprocess.PIPE, text=True)
    print("\n".join(check.stderr.strip().splitlines()[-3:]))
    sys.exit(check.returncode)


if __name__ == "__main__":
    main()
