"""measure.py INIT SIDECAR: start-up and memory of the programs in these folders, which are the images' own, run here."""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 20


RUN = "8aac02e3a62a4f0aaa257c59da5eab80"


def start(job):
    argv, env = job
    env = {"PATH": "/nonexistent", "POLYAXON_NO_API": "true", **env}
    return subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wall(job):
    """Milliseconds of one run."""
    begun = time.perf_counter()
    code = start(job).wait()
    if code != 0:
        sys.exit(f"error: {job[0]} ended with {code}")
    return (time.perf_counter() - begun) * 1000


def resident(job):
    """Peak MiB of one run. Asked again and again while it runs: what the kernel counts at the end begins with the size
    of the parent, which is Python's."""
    process = start(job)
    peak = 0
    with open(f"/proc/{process.pid}/status") as status:
        while process.poll() is None:
            status.seek(0)
            found = re.search(r"^VmHWM:\s+(\d+) kB", status.read(), re.M)
            peak = max(peak, int(found[1])) if found else peak
    return peak / 1024


def file_job(init, folder):
    context = json.dumps({"content": "echo test\n", "filename": "script.sh", "chmod": "+x"})
    return [f"{init}/polyaxon", "initializer", "file", f"--file-context={context}", f"--filepath={folder}"], {}


def last_pass(sidecar, folder):
    """Main is gone already: one file goes to a store on a folder, and the program ends."""
    os.makedirs(f"{folder}/artifacts/{RUN}/outputs", exist_ok=True)
    os.makedirs(f"{folder}/store", exist_ok=True)
    for name, text in [(f"artifacts/{RUN}/outputs/model", "model"), ("main-exit.json", '{"exit_code":0}')]:
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)
    store = {"name": "store", "kind": "host_path", "schema": {"hostPath": "/any", "mountPath": f"{folder}/store"}}
    env = {
        "POLYAXON_CONTEXT_ROOT": folder,
        "POLYAXON_K8S_POD_ID": "pod",
        "POLYAXON_RUN_INSTANCE": f"owner.project.runs.{RUN}",
        "POLYAXON_ARTIFACTS_STORE_NAME": "store",
        "POLYAXON_CONNECTIONS_CATALOG": json.dumps({"connections": [store]}),
    }
    return [f"{sidecar}/plx-sidecar", "--sync-interval=-1", f"--main-marker={folder}/main-exit.json"], env


def main():
    init, sidecar = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        jobs = {"polyaxon initializer file": file_job(init, folder), "plx-sidecar, main gone": last_pass(sidecar, folder)}
        for name, job in jobs.items():
            milliseconds = statistics.median(wall(job) for _ in range(ROUNDS))
            mebibytes = max(resident(job) for _ in range(ROUNDS))
            print(f"        {name}: {milliseconds:.1f} ms (median of {ROUNDS}), {mebibytes:.1f} MiB resident")


main()
