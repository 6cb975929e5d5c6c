#!/usr/bin/env python3
"""What a sync interval costs, and what it saves: plx-sidecar beside three kinds of runs, each with several intervals, all at
the same time. Prints a table for docs/sync-interval.md from the sidecars' own reports, and their CPU time and memory.

  small       a few settings at the start, a plot of 60 KB every 15 s, a model of 5 MB at the end
  chatty      five files of metrics and a log of its own, all appended to twice a second
  checkpoints 32 MiB written aside and renamed every 20 s, the last two kept; `last.json` rewritten with each

The store is S3 (moto) on loopback, in memory."""

import argparse
import json
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what}: not in {seconds} s")
        time.sleep(0.05)


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=1)
        return True
    except OSError:
        return False


def write(path, content, mode="wb"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, mode) as out:
        out.write(content)


def small(outputs, seconds, over):
    for name in "abcde":
        write(f"{outputs}/settings/{name}.json", random.randbytes(4000))
    plots = 0
    while not over.wait(15):
        write(f"{outputs}/plots/{plots:04}.png", random.randbytes(60_000))
        plots += 1
    write(f"{outputs}/model.bin", random.randbytes(5_000_000))


def chatty(outputs, seconds, over):
    step, run = 0, os.path.dirname(outputs)
    for name in "abcde":
        write(f"{run}/events/metric/{name}.plx", b"step|timestamp|metric\n")
    while not over.wait(0.5):
        for name in "abcde":
            line = f"{step}|2024-05-06T07:08:09.123456+00:00|{random.random():.16f}\n".encode()
            write(f"{run}/events/metric/{name}.plx", line, "ab")
        write(f"{outputs}/train.log", f"step {step} {random.random()} {'x' * 400}\n".encode() * 5, "ab")
        step += 1


def checkpoints(outputs, seconds, over):
    number = 0
    while not over.wait(20):
        number += 1
        write(f"{outputs}/checkpoints/.new", random.randbytes(32 << 20))
        os.rename(f"{outputs}/checkpoints/.new", f"{outputs}/checkpoints/{number:04}.pt")
        write(f"{outputs}/last.json", json.dumps({"checkpoint": number}).encode())
        if number > 2:
            os.unlink(f"{outputs}/checkpoints/{number - 2:04}.pt")


KINDS = {"small": small, "chatty": chatty, "checkpoints": checkpoints}


class Run(threading.Thread):
    """One run with its sidecar."""

    def __init__(self, kind, interval, seconds, binary, endpoint, folder):
        super().__init__()
        self.kind, self.interval, self.seconds = kind, interval, seconds
        self.binary, self.endpoint = binary, endpoint
        self.folder = os.path.join(folder, f"{kind}{interval}")
        self.report = self.usage = self.kept = None

    def run(self):
        uuid = f"{self.kind}{self.interval}".replace("-", "m")
        outputs = f"{self.folder}/artifacts/{uuid}/outputs"
        os.makedirs(outputs)
        marker, log = f"{self.folder}/main-exit.json", f"{self.folder}/report.json"
        catalog = {"connections": [{"name": "store", "kind": "s3", "schema": {"bucket": "s3://bench"}}]}
        env = dict(
            os.environ, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_REGION="us-east-1", AWS_ENDPOINT_URL=self.endpoint,
            POLYAXON_CONTEXT_ROOT=self.folder, POLYAXON_RUN_INSTANCE=f"o.p.runs.{uuid}", POLYAXON_K8S_POD_ID="pod",
            POLYAXON_ARTIFACTS_STORE_NAME="store", POLYAXON_CONNECTIONS_CATALOG=json.dumps(catalog), POLYAXON_NO_API="true",
            PLX_TERMINATION_LOG=log,
        )
        env.pop("KUBERNETES_SERVICE_HOST", None)
        argv = [self.binary, "--sleep-interval=1", f"--sync-interval={self.interval}", f"--main-marker={marker}"]
        sidecar = subprocess.Popen(argv, env=env, stderr=open(f"{self.folder}/log", "wb"))
        over = threading.Event()
        timer = threading.Timer(self.seconds, over.set)
        timer.start()
        KINDS[self.kind](outputs, self.seconds, over)
        write(marker, b'{"exit_code":0}')
        _, status, self.usage = os.wait4(sidecar.pid, 0)
        if status:
            sys.stderr.write(open(f"{self.folder}/log").read())
            sys.exit(f"{self.kind} at {self.interval}: the sidecar ended with {status}")
        self.report = json.load(open(log))
        sizes = [os.path.getsize(os.path.join(d, f)) for d, _, fs in os.walk(os.path.dirname(outputs)) for f in fs]
        self.kept = sum(sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=240, help="how long each run is (default 240)")
    parser.add_argument("--intervals", default="1,5,15,60,-1", help="seconds, with commas between (default 1,5,15,60,-1)")
    parser.add_argument("--binary", default=os.path.join(ROOT, "target/release/plx-sidecar"))
    args = parser.parse_args()
    port = free_port()
    server = subprocess.Popen(
        [f"{ROOT}/.cache/venv/bin/moto_server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{endpoint}/moto-api/"), "moto")
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bench", method="PUT"))
        with tempfile.TemporaryDirectory() as folder:
            runs = [
                Run(kind, interval, args.seconds, args.binary, endpoint, folder)
                for kind in KINDS
                for interval in map(int, args.intervals.split(","))
            ]
            for run in runs:
                run.start()
            for run in runs:
                run.join()
    finally:
        server.terminate()
        server.wait()
    if any(run.report is None for run in runs):
        sys.exit(1)
    print(f"runs of {args.seconds} s\n")
    print("| run | interval | passes | sent | of what is kept | requests | behind at most | on average | CPU | memory |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for run in runs:
        r, u = run.report, run.usage
        print(
            f"| {run.kind} | {run.interval} s | {r['passes']} | {r['bytes'] / 1e6:.1f} MB | {r['bytes'] / run.kept:.1f} x "
            f"| {r['requests']} | {r['behind']:.1f} s | {r['behind_mean']:.1f} s "
            f"| {u.ru_utime + u.ru_stime:.2f} s | {u.ru_maxrss / 1024:.0f} MiB |"
        )


if __name__ == "__main__":
    main()
