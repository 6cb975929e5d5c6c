"""Runs a command with PLX_E2E_API naming a real tracking API that has the runs of the tests.

    V/bin/python tests/api/e2e.py COMMAND…        V as in haupt.py
"""
import json, os, subprocess, sys, urllib.request

from haupt import serving

OWNER, PROJECT, RUN = "owner-name", "project-name", "8aac02e3a62a4f0aaa257c59da5eab80"
# Of tests whose pods run at the same time: the same with another last digit (tests/e2e/ends.rs), or the last two.
OTHERS = [RUN[:-1] + str(digit) for digit in range(1, 10)] + [f"{RUN[:-2]}{number:02x}" for number in range(1, 64)]
# Of trainings that others begin with.
TRAINED, TRAINED_ELSEWHERE = "281081ab11794df0867e80d6ff20f960", "281081ab11794df0867e80d6ff20f961"
OTHER_PROJECT = "otherProjectName"


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status in (200, 201), answer.status
        return json.load(answer)


def versions(host):
    """What the references of Polyaxon's page on V1Init name, made by Polyaxon's own client (tests/e2e/documents.rs)."""
    os.environ.update(POLYAXON_HOST=host)
    from polyaxon.client import ProjectClient, RunClient
    from traceml.artifacts import V1RunArtifact

    for project, run, version in [(PROJECT, TRAINED, "{}Version"), (OTHER_PROJECT, TRAINED_ELSEWHERE, "version")]:
        made = [V1RunArtifact(name=name, kind="file", path=f"outputs/{name}", summary={}, is_input=False)
                for name in ["artifactLineageRef", "weights", "table"]]
        RunClient(owner=OWNER, project=project, run_uuid=run).log_artifact_lineage(made, async_req=False)
        client = ProjectClient(owner=OWNER, project=project)
        client.register_model_version(version=version.format("model"), run=run, artifacts=["weights"])
        client.register_artifact_version(version=version.format("artifact"), run=run, artifacts=["table"])


with serving() as host:
    for project in [PROJECT, OTHER_PROJECT]:
        post(f"{host}/api/v1/{OWNER}/projects/create", {"name": project})
    # As a run that was made elsewhere: the only way to choose its uuid.
    runs = [(PROJECT, run, "run-name") for run in [RUN, *OTHERS]]
    runs += [(PROJECT, TRAINED, "trained"), (OTHER_PROJECT, TRAINED_ELSEWHERE, "trained")]
    for project, run, name in runs:
        post(f"{host}/api/v1/{OWNER}/{project}/runs/sync", {
            "uuid": run, "name": name, "kind": "job", "runtime": "job", "status": "running",
            "managed_by": "user", "created_at": "2026-01-01T00:00:00+00:00"})
    versions(host)
    # Runs that were made elsewhere are in no list of runs: one that has its name for everybody.
    another = post(f"{host}/api/v1/{OWNER}/{PROJECT}/runs", {"name": "other-run", "is_managed": False})["uuid"]
    mine = {"PLX_E2E_API": host, "PLX_E2E_PYTHON": sys.executable, "PLX_E2E_LISTED_RUN": another}
    with subprocess.Popen(sys.argv[1:], env={**os.environ, **mine}) as child:
        try:
            code = child.wait()
        finally:
            # Whoever ends this ends the tests, and waits for what they have to tidy up.
            child.terminate()
sys.exit(code)
