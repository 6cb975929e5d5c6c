//! Pods, and what a kubelet makes of them.

use serde_json::{Value, json};

use super::FakeKube;

const THEN: &str = "2026-01-01T00:00:00Z";

/// As the converter writes it, with its main container running.
pub(super) fn running(name: &str, restart_policy: &str) -> Value {
    let status = |name: &str| json!({ "name": name, "ready": true, "restartCount": 0, "image": "i", "state": running_state() });
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": FakeKube::NAMESPACE,
            "annotations": { "operation.polyaxon.com/kind": "job" },
            "creationTimestamp": THEN,
        },
        "spec": {
            "restartPolicy": restart_policy,
            "terminationGracePeriodSeconds": 30,
            "nodeName": "node-1",
            "initContainers": [{ "name": "polyaxon-init-auth", "image": "i" }],
            "containers": [{ "name": FakeKube::MAIN, "image": "i" }, { "name": "polyaxon-sidecar", "image": "i" }],
        },
        "status": {
            "phase": "Running",
            "initContainerStatuses": [{ "name": "polyaxon-init-auth", "state": ended_state(0, "Completed") }],
            "containerStatuses": [status(FakeKube::MAIN), status("polyaxon-sidecar")],
        },
    })
}

fn running_state() -> Value {
    json!({ "running": { "startedAt": THEN } })
}

fn ended_state(exit_code: i64, reason: &str) -> Value {
    json!({ "terminated": { "exitCode": exit_code, "reason": reason, "startedAt": THEN, "finishedAt": THEN } })
}

fn main_of(pod: &mut Value) -> &mut Value {
    let statuses = pod["status"]["containerStatuses"].as_array_mut();
    let main = statuses.into_iter().flatten().find(|status| status["name"] == FakeKube::MAIN);
    main.expect("a pod with a main container")
}

pub(super) fn main_runs(pod: &mut Value) {
    let main = main_of(pod);
    if main["state"]["running"].is_null() {
        main["restartCount"] = json!(main["restartCount"].as_u64().unwrap_or_default() + 1);
    }
    main["state"] = running_state();
}

pub(super) fn main_ended(pod: &mut Value, exit_code: i64, reason: &str) {
    main_of(pod)["state"] = ended_state(exit_code, reason);
}

pub(super) fn main_waits(pod: &mut Value, reason: &str) {
    let main = main_of(pod);
    main["lastState"] = main["state"].take();
    main["state"] = json!({ "waiting": { "reason": reason } });
}

pub(super) fn phase(pod: &mut Value, phase: &str, reason: &str, message: &str) {
    let status = &mut pod["status"];
    status["phase"] = json!(phase);
    for (key, value) in [("reason", reason), ("message", message)] {
        if !value.is_empty() {
            status[key] = json!(value);
        }
    }
}

pub(super) fn deletion_began(pod: &mut Value) {
    pod["metadata"]["deletionTimestamp"] = json!(THEN);
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
}
