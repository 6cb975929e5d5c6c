"""Runs a command with PLX_E2E_API naming a real tracking API that has the runs of the tests.

    V/bin/python tests/api/e2e.py COMMAND…        V as in haupt.py
"""
import json, os, subprocess, sys, urllib.request

from haupt import serving

OWNER, PROJECT, RUN = "owner-name", "project-name", "8aac02e3a62a4f0aaa257c59da5eab80"
# Of tests whose pods run at the same time (tests/e2e/ends.rs): the same with another last digit.
OTHERS = [RUN[:-1] + str(digit) for digit in range(1, 10)]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status in (200, 201), answer.status


with serving() as host:
    post(f"{host}/api/v1/{OWNER}/projects/create", {"name": PROJECT})
    # As a run that was made elsewhere: the only way to choose its uuid.
    for run in [RUN, *OTHERS]:
        post(f"{host}/api/v1/{OWNER}/{PROJECT}/runs/sync", {
            "uuid": run, "name": "run-name", "kind": "job", "runtime": "job", "status": "running",
            "managed_by": "user", "created_at": "2026-01-01T00:00:00+00:00"})
    with subprocess.Popen(sys.argv[1:], env={**os.environ, "PLX_E2E_API": host}) as child:
        try:
            code = child.wait()
        finally:
            # Whoever ends this ends the tests, and waits for what they have to tidy up.
            child.terminate()
sys.exit(code)
