"""Runs a command against the real tracking API, and checks with Polyaxon's own client what the command posted.

    V/bin/python tests/api/tracking.py \\
        cargo test -p plx-init --test tracking_api -- --ignored --test-threads 1

V as in haupt.py.
"""
import json, os, subprocess, sys, tempfile
from pathlib import Path

from haupt import serving

with serving() as host, tempfile.TemporaryDirectory(prefix="plx-tracking-") as work:
    os.environ.update(POLYAXON_HOST=host)
    from polyaxon.client import ProjectClient, RunClient
    from polyaxon._schemas.lifecycle import V1ProjectVersionKind as Kind
    from traceml.artifacts import V1RunArtifact

    ProjectClient(owner="default").create({"name": "proj"})
    run = RunClient(owner="default", project="proj")
    run.create(name="trainer", content=None, is_managed=False)
    uuid = run.run_uuid
    run.log_artifact_lineage([
        V1RunArtifact(name="model", kind="model", path="outputs/model", summary={"a": 1}, is_input=False),
        V1RunArtifact(name="data-csv", kind="csv", path=f"{uuid}/outputs/data.csv", summary={}, is_input=False),
    ], async_req=False)
    project = ProjectClient(owner="default", project="proj")
    project.register_model_version(version="v1.0", run=uuid, artifacts=["model"])
    project.register_artifact_version(version="data-1", run=uuid, artifacts=["data-csv"])

    # The store: the run's files, and what Polyaxon's client persists when it pulls.
    store = Path(work, "store")
    for name in ["outputs/model/weights.bin", "outputs/data.csv"]:
        path = store / uuid / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    run.refresh_data(load_artifacts_lineage=True)
    run.persist_run(str(store / uuid))
    project.pull_version(kind=Kind.MODEL, version="v1.0", path=str(store), download_artifacts=False)
    project.pull_version(kind=Kind.ARTIFACT, version="data-1", path=str(store), download_artifacts=False)

    world = dict(host=host, owner="default", project="proj", run=uuid, store=str(store))
    done = subprocess.run(sys.argv[1:], env={**os.environ, "PLX_REAL_API": json.dumps(world)})
    if done.returncode:
        raise SystemExit(done.returncode)

    _, conditions = run.get_statuses()
    last = conditions[-1]
    assert last.type == "warning" and last.reason == "GitInitializer" and last.message == "Größe ≥ 1", last
    print("read back status:", last.type, last.reason, last.message, last.last_update_time)
    by_name = {a.name: a for a in run.get_artifacts_lineage(limit=100).results}
    script, code = by_name["script-sh"], by_name["58f03537996f4a47f81dffc8db68cce120643162"]
    assert (script.kind, script.path, script.is_input) == ("file", "outputs/script.sh", True), script
    assert script.summary == {"hash": "be6d0c9acf65", "path": f"{uuid}/outputs/script.sh"}, script
    assert code.kind == "coderef" and code.summary["branch"] == "main" and code.is_input, code
    print("read back lineage:", script.to_dict(), code.to_dict(), sep="\n  ")
    run.refresh_data()
    assert run.run_data.outputs == {"loss": 0.25, "acc": 0.75}, run.run_data.outputs
    print("read back outputs:", run.run_data.outputs)
