//! Which start of a container has a log, and whether more will come.

use crate::Pod;
use crate::pod::ContainerStatus;

/// A container, as far as its log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand {
    /// It never ran, so there is no log.
    NotStarted,
    /// It runs, and was started again so often.
    Runs(u32),
    /// It does not run, after so many starts but one.
    Ended {
        restart: u32,
        /// It is not started again.
        last: bool,
    },
}

impl Stand {
    pub(crate) fn of(pod: &Pod, container: &str) -> Self {
        let status = &pod.status;
        let named =
            |list: &'_ Vec<ContainerStatus>| list.iter().find(|status| status.name == container).cloned();
        let (found, is_init) = match named(&status.container_statuses) {
            Some(found) => (Some(found), false),
            None => (named(&status.init_container_statuses), true),
        };
        // Nothing starts in a pod that is over, and whose statuses may be gone.
        let over = matches!(status.phase.as_str(), "Succeeded" | "Failed");
        let Some(found) = found else {
            return if over { Self::Ended { restart: 0, last: true } } else { Self::NotStarted };
        };
        let restart = found.restart_count;
        if found.state.running.is_some() {
            return Self::Runs(restart);
        }
        let over = over || pod.metadata.deletion_timestamp.is_some();
        match found.state.terminated.as_ref().or(found.last_state.terminated.as_ref()) {
            Some(ended) => {
                let last = over || !is_started_again(pod, container, is_init, ended.exit_code);
                Self::Ended { restart, last: last && found.state.waiting.is_none() || over }
            }
            None if over => Self::Ended { restart, last: true },
            None => Self::NotStarted,
        }
    }
}

/// Whether the kubelet starts it again after that end.
fn is_started_again(pod: &Pod, container: &str, is_init: bool, exit_code: Option<i64>) -> bool {
    let list = if is_init { &pod.spec.init_containers } else { &pod.spec.containers };
    let own = list.iter().find(|other| other.name == container).and_then(|own| own.restart_policy.as_deref());
    match own.or(pod.spec.restart_policy.as_deref()) {
        // An init container that did its work is through, unless `Always` is its own policy: that makes it a sidecar.
        Some("Always") if is_init && own.is_none() => exit_code != Some(0),
        Some("Always") => true,
        Some("OnFailure") => exit_code != Some(0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(policy: &str, status: Value) -> Pod {
        serde_json::from_value(json!({
            "spec": {
                "restartPolicy": policy,
                "containers": [{"name": "main"}],
                "initContainers": [{"name": "init"}, {"name": "side", "restartPolicy": "Always"}],
            },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn how_a_container_stands() {
        let main = |state: Value| json!({"phase": "Running", "containerStatuses": [state]});
        let init = |state: Value| json!({"phase": "Running", "initContainerStatuses": [state]});
        let ended = |code: i64| json!({"terminated": {"exitCode": code}});
        let waits = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let last = |restart| Stand::Ended { restart, last: true };
        let pause = |restart| Stand::Ended { restart, last: false };
        let table = [
            ("main", "Never", json!({"phase": "Pending"}), Stand::NotStarted),
            ("main", "Never", json!({"phase": "Failed"}), last(0)),
            ("main", "Never", main(json!({"name": "main", "state": waits})), Stand::NotStarted),
            (
                "main",
                "Never",
                main(json!({"name": "main", "state": {"running": {}}, "restartCount": 2})),
                Stand::Runs(2),
            ),
            ("main", "Never", main(json!({"name": "main", "state": ended(1)})), last(0)),
            (
                "main",
                "OnFailure",
                main(json!({"name": "main", "state": ended(1), "restartCount": 1})),
                pause(1),
            ),
            ("main", "OnFailure", main(json!({"name": "main", "state": ended(0)})), last(0)),
            ("main", "Always", main(json!({"name": "main", "state": ended(0)})), pause(0)),
            ("main", "Never", main(json!({"name": "main", "state": waits, "lastState": ended(1)})), pause(0)),
            ("init", "Always", init(json!({"name": "init", "state": ended(0)})), last(0)),
            ("init", "Always", init(json!({"name": "init", "state": ended(1)})), pause(0)),
            ("side", "Never", init(json!({"name": "side", "state": ended(0)})), pause(0)),
            ("side", "Never", init(json!({"name": "side", "state": {"running": {}}})), Stand::Runs(0)),
        ];
        for (container, policy, status, want) in table {
            assert_eq!(
                Stand::of(&pod(policy, status.clone()), container),
                want,
                "{container} {policy} {status}"
            );
        }
        let mut deleted = pod("Always", main(json!({"name": "main", "state": ended(0)})));
        deleted.metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned());
        assert_eq!(Stand::of(&deleted, "main"), last(0));
    }
}
