#!/usr/bin/env python3
"""A large repository over HTTP: plx-init beside git, in one run. Prints a table in Markdown.

Every number is of one whole program: wall time, CPU of it and its children, the most memory that one of them had, bytes
that the server sent. `make bench-git` builds what it needs.
"""

import http.server
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading

import bench

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROUNDS = int(os.environ.get("PLX_BENCH_ROUNDS", "3"))
GIT_ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}


def make_repository(path):
    """History of 6000 commits over 2000 text files, and a binary file of 300 kB in every eighth commit."""
    rnd = random.Random(7)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True, env=GIT_ENV)
    importer = subprocess.Popen(["git", "-C", path, "fast-import", "--quiet"], stdin=subprocess.PIPE, env=GIT_ENV)
    put = importer.stdin.write
    words = ["%x" % rnd.getrandbits(rnd.randint(8, 48)) for _ in range(20000)]

    def line():
        return (" ".join(rnd.choices(words, k=12)) + "\n").encode()

    files = {f"src/m{i // 50}/f{i}.py": [line() for _ in range(rnd.randint(20, 120))] for i in range(2000)}
    names = sorted(files)
    for commit in range(6000):
        changed = []
        for name in rnd.sample(names, 6) if commit else names:
            lines = files[name]
            lines[rnd.randrange(len(lines))] = line()
            changed.append((name, b"".join(lines)))
        if commit % 8 == 0:
            changed.append((f"data/b{commit % 400}.bin", rnd.randbytes(300_000)))
        put(b"commit refs/heads/main\ncommitter a <a@b> %d +0000\ndata 5\nc%04d\n" % (1600000000 + commit, commit))
        for name, content in changed:
            put(b"M 100644 inline %s\ndata %d\n" % (name.encode(), len(content)) + content + b"\n")
    importer.stdin.close()
    if importer.wait() != 0:
        sys.exit("git fast-import failed")
    subprocess.run(["git", "-C", path, "gc", "-q"], check=True, env=GIT_ENV)


class Backend(http.server.BaseHTTPRequestHandler):
    """`git http-backend` behind HTTP."""

    protocol_version = "HTTP/1.1"
    folder = ""
    sent = 0

    def do_GET(self):
        self.serve(b"")

    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.serve(body)

    def serve(self, body):
        path, _, query = self.path.partition("?")
        env = dict(
            GIT_ENV,
            GIT_PROJECT_ROOT=self.folder,
            GIT_HTTP_EXPORT_ALL="1",
            PATH_INFO=path,
            QUERY_STRING=query,
            REQUEST_METHOD=self.command,
            CONTENT_TYPE=self.headers.get("Content-Type", ""),
            CONTENT_LENGTH=str(len(body)),
            HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""),
            GIT_PROTOCOL=self.headers.get("Git-Protocol", ""),
        )
        backend = subprocess.Popen(["git", "http-backend"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        threading.Thread(target=self.feed, args=(backend, body)).start()
        status, headers = 200, []
        while (line := backend.stdout.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            else:
                headers.append((name, value))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while piece := backend.stdout.read(1 << 18):
            Backend.sent += len(piece)
            self.wfile.write(piece)
        backend.wait()

    @staticmethod
    def feed(backend, body):
        backend.stdin.write(body)
        backend.stdin.close()

    def log_message(self, *_):
        pass


def measured(command, env):
    before = Backend.sent
    return *bench.run(command, env), (Backend.sent - before) / (1 << 20)


def main():
    program = os.path.join(ROOT, "target", "release", "plx-init")
    folder = tempfile.mkdtemp(prefix="plx-bench-git-")
    try:
        make_repository(os.path.join(folder, "big.git"))
        Backend.folder = folder
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/big.git"
        target = os.path.join(folder, "out")
        index = 0
        print("| clone | program | wall s | CPU s | MiB resident | MiB received |")
        print("|---|---|---|---|---|---|")
        for name, flags in (("all of history", []), ("depth 1", ["--depth", "1"])):
            ours = [program, "git", "--url", url, "--to", target, f"--flags={' '.join(flags)}"]
            theirs = ["git", "clone", "-q", *flags, url, target]
            rows = {"plx-init": [], "git": []}
            for _ in range(ROUNDS):
                for who, command in (("plx-init", ours), ("git", theirs)):
                    env = dict(GIT_ENV, POLYAXON_NO_API="true") if who == "plx-init" else GIT_ENV
                    rows[who].append(measured(command, env))
                    packs = os.path.join(target, ".git", "objects", "pack")
                    sizes = [os.path.getsize(os.path.join(packs, f)) for f in os.listdir(packs) if f.endswith(".idx")]
                    index = max(index, sum(sizes))
                    shutil.rmtree(target)
            middle = {who: [statistics.median(column) for column in zip(*runs)] for who, runs in rows.items()}
            for who, columns in middle.items():
                print(f"| {name} | {who} | " + " | ".join(f"{value:.2f}" for value in columns) + " |")
            ratio = [a / b if b else 0 for a, b in zip(middle["plx-init"], middle["git"])]
            print(f"| {name} | ratio | " + " | ".join(f"{value:.2f}" for value in ratio) + " |")
        version = re.search(r"[\d.]+", subprocess.check_output(["git", "--version"], text=True))[0]
        print(f"\ngit {version}; the pack's index takes {index / (1 << 20):.1f} MiB; median of {ROUNDS}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
