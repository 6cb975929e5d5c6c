"""A run made by plx-init and plx-sidecar, read back from the real platform with Polyaxon's own client: statuses, lineage,
outputs, metrics, logs and artifacts. What the client reads comes through haupt's API and its streams, from the folder that
the two programs had as their artifacts store.

    V/bin/python tests/api/seen.py PLX_INIT [--picture FILE] -- \\
        cargo test -p plx-sidecar --test binary real_api -- --ignored        # V as in haupt.py; or tests/seen.sh

PLX_INIT is the program; the command makes the rest of the run. With --picture, chromium then draws the run's page.
"""
import json, os, subprocess, sys, tempfile, time
from pathlib import Path

from haupt import serving

OWNER, PROJECT, STEPS = "default", "flowers", 40
SCRIPT = "for step in range(40):\n    train(step)\n"


def make(host, init, command, theirs, store, context):
    """The run, as Polyaxon's agent and its pod make it."""
    from polyaxon.client import ProjectClient, RunClient
    from polyaxon.schemas import V1Statuses

    ProjectClient(owner=OWNER).create({"name": PROJECT})
    run = RunClient(owner=OWNER, project=PROJECT)
    run.create(name="train-by-plx-runtime", description="plx-init and plx-sidecar made what this page shows.",
               tags=["plx-init", "plx-sidecar"], content=None, is_managed=False)
    run.log_status(V1Statuses.RUNNING)
    own = context / "artifacts" / run.run_uuid
    (own / "outputs").mkdir(parents=True)
    pod = {"POLYAXON_CONTEXT_ROOT": str(context), "POLYAXON_HOST": host, "HOME": str(context),
           "POLYAXON_RUN_INSTANCE": f"{OWNER}.{PROJECT}.runs.{run.run_uuid}"}
    file = json.dumps({"content": SCRIPT, "filename": "train.py"})
    subprocess.run([init, "file", "--filepath", context / "artifacts", "--copy-path", own / "outputs", "--file-context", file,
                    "--track"], env=pod, check=True)
    world = dict(host=host, owner=OWNER, project=PROJECT, run=run.run_uuid, store=str(store), context=str(context))
    subprocess.run(command, env={**theirs, "PLX_REAL_API": json.dumps(world)}, check=True)
    run.log_status(V1Statuses.SUCCEEDED)
    return run


def until(ask, is_there):
    """What is asked for: the API answers before it has written down what it was told. After half a minute whatever there is."""
    for _ in range(60):
        if is_there(found := ask()):
            break
        time.sleep(0.5)
    return found


def read(run, work):
    """All of it, as somebody who has only the client."""
    status, conditions = until(run.get_statuses, lambda found: found[0] == "succeeded")
    run.refresh_data()
    assert status == "succeeded" and [one.type for one in conditions][-2:] == ["running", "succeeded"], conditions
    assert set(run.run_data.outputs) == {"loss", "accuracy"}, run.run_data.outputs
    print("statuses and outputs:", [one.type for one in conditions], run.run_data.outputs)

    recorded = lambda: {one.name: one for one in run.get_artifacts_lineage(limit=100).results}
    lineage = until(recorded, {"train-py", "loss"}.issubset)
    assert lineage["train-py"].kind == "file" and lineage["train-py"].is_input, lineage
    loss = lineage["loss"]
    assert (loss.kind, loss.path) == ("metric", "events/metric/loss.plx"), loss
    assert loss.summary["metric"]["count"] == STEPS and loss.summary["step"]["max"] == STEPS - 1, loss.summary
    print("lineage:", sorted(lineage))

    metrics = {name: one["data"] for name, one in run.get_metrics(names="loss,accuracy", force=True).items()}
    assert all(data["step"] == list(range(STEPS)) for data in metrics.values()), metrics
    assert metrics["loss"]["metric"][-1] == run.run_data.outputs["loss"], metrics
    print("metrics:", {name: len(data["metric"]) for name, data in metrics.items()})

    # One part after the other, as the client's `shell logs` asks for them.
    lines, last = [], None
    while True:
        answer = run.get_logs(last_file=last)
        lines += answer.logs or []
        if not answer.last_file or answer.last_file == (answer.files or [None])[-1]:
            break
        last = answer.last_file
    values = [line.value for line in lines if line.container == "polyaxon-main"]
    assert [value.split(":")[0] for value in values] == [f"step {step}" for step in range(STEPS)], values
    print("logs:", len(lines), "lines, of main", len(values), "the first", repr(values[0]))

    tree = run.get_artifacts_tree(path="outputs")
    assert set(tree.files) == {"train.py", "metrics.csv"} and tree.dirs == ["model"], tree
    run.download_artifact(path="outputs/train.py", path_to=str(work / "one"))
    found = [path for path in (work / "one").rglob("train.py")]
    assert [path.read_text() for path in found] == [SCRIPT], found
    run.download_artifacts(path="outputs/model", path_to=str(work / "many"), untar=True)
    found = [path for path in (work / "many").rglob("weights.bin")]
    assert [path.read_bytes() for path in found] == [bytes([0, 1, 2, 255])], found
    print("artifacts:", tree.files, tree.dirs)


if __name__ == "__main__":
    mine, command = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
    with tempfile.TemporaryDirectory(prefix="plx-seen-") as work:
        work = Path(work)
        for name in ["store", "context"]:
            (work / name).mkdir()
        with serving(work / "store", pages="--picture" in mine) as host:
            # Nothing of whoever runs this is read or written.
            theirs = dict(os.environ)
            os.environ.update(POLYAXON_HOST=host, HOME=str(work))
            run = make(host, Path(mine[0]).absolute(), command, theirs, work / "store", work / "context")
            read(run, work)
            if "--picture" in mine:
                from picture import draw
                draw(f"{host}/ui/{OWNER}/{PROJECT}/runs/{run.run_uuid}/dashboards", mine[mine.index("--picture") + 1])
