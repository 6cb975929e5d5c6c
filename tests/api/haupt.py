"""The real tracking API of Polyaxon's community edition, on loopback: `haupt sandbox`.

    python3 -m venv V && V/bin/pip install 'haupt[sandbox]==2.18.0'        # about a minute, 500 MB

`make e2e` installs it by tests/servers.sh.
"""
import contextlib, functools, http.server, json, os, signal, socket, subprocess, sys, tempfile, threading, time
import urllib.request
from pathlib import Path


@contextlib.contextmanager
def serving(root=None, pages=False):
    """Its address. It listens on 127.0.0.1 only, keeps everything in a temporary folder, and ends with the block. `root` is
    where it keeps its database, and the artifacts store that its streams read; a folder of its own when it is not given.
    With `pages` a browser finds its UI, and asks nobody else for scripts."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory(prefix="plx-haupt-"))
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        host, log = f"http://127.0.0.1:{port}", Path(work, "haupt.log")
        command = [Path(sys.executable).parent / "haupt", "sandbox", "start", "--host", "127.0.0.1", "--port", str(port)]
        # Two requests at a time stand in each other's way in its SQLite, and it answers 405 to one of them.
        options = json.dumps({"timeout": 60, "transaction_mode": "IMMEDIATE"})
        env = {"HOME": work, "PATH": "/usr/local/bin:/usr/bin:/bin", "POLYAXON_DB_OPTIONS": options}
        if pages:
            env |= {"POLYAXON_UI_OFFLINE": "true", "POLYAXON_STATIC_URL": stack.enter_context(statics())}
        with open(log, "w") as out:
            server = subprocess.Popen([*command, "--workers", "1", "--path", root or Path(work, "root")], env=env,
                                      stdout=out, stderr=out, start_new_session=True)
        try:
            print("haupt", wait(host, server, log), file=sys.stderr)
            yield host
        finally:
            # Its workers are in its session.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait(20)


@contextlib.contextmanager
def statics():
    """Where its scripts are: the sandbox itself serves none."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    folder = next(Path(sys.prefix).glob("lib/python3*/site-packages/haupt/static"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def wait(host, server, log):
    for _ in range(240):
        try:
            with urllib.request.urlopen(host + "/api/v1/installation", timeout=2) as answer:
                return json.load(answer)
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.5)
    raise SystemExit("haupt did not come up:\n" + log.read_text())
