//! Whether a container has ended for good.

use crate::Pod;
use crate::pod::{ContainerStatus, Terminated};

/// Why a container does not run that was started, or could not be.
const NOT_STARTED: [&str; 7] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
];
/// As much of the cluster's own words as is repeated.
const SAID: usize = 200;

/// The end of a container that is not started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// How it was noticed, in words.
    pub how: String,
    /// The container's exit code, where it is known.
    pub exit_code: Option<i64>,
}

impl End {
    /// The end of a container, none as long as it runs or may run again.
    ///
    /// One that is not listed counts as running: at a pod's start nothing is listed yet. Init containers are not looked
    /// at.
    pub fn of(pod: &Pod, container: &str) -> Option<Self> {
        let status = pod.status.container_statuses.iter().find(|status| status.name == container);
        let terminated = status.and_then(|status| status.state.terminated.as_ref());
        let deleted = pod.metadata.deletion_timestamp.is_some();
        let phase = pod.status.phase.as_str();
        if matches!(phase, "Succeeded" | "Failed") {
            let known = terminated.and_then(|terminated| terminated.exit_code);
            // That all of its containers ended with 0 is what the one phase says; the other says nothing of this one.
            let exit_code = known.or((phase == "Succeeded").then_some(0));
            let how = match terminated.filter(|_| pod.status.reason.is_empty()) {
                Some(terminated) => words(container, terminated),
                None => format!("pod {phase}{}", why(pod)),
            };
            return Some(Self { how, exit_code });
        }
        if let Some(terminated) = terminated {
            // A pod that is being deleted starts nothing again.
            let comes_back = !deleted && is_started_again(pod, container, terminated.exit_code);
            let end = || Self { how: words(container, terminated), exit_code: terminated.exit_code };
            return (!comes_back).then(end);
        }
        let waits = status.filter(|_| deleted).and_then(not_started)?;
        Some(Self { how: format!("{container} {waits}, and its pod is being deleted"), exit_code: None })
    }
}

/// Whether the kubelet starts it again after that end.
fn is_started_again(pod: &Pod, container: &str, exit_code: Option<i64>) -> bool {
    let own = pod.spec.containers.iter().find(|other| other.name == container);
    let own = own.and_then(|own| own.restart_policy.as_deref());
    match own.or(pod.spec.restart_policy.as_deref()) {
        Some("Always") => true,
        Some("OnFailure") => exit_code != Some(0),
        // The API fills it in, so nobody meets a pod without one.
        _ => false,
    }
}

/// Why a container that has not run waits for more than its turn: an image that cannot be had, a secret that is not there.
/// One that ran before and backs off is about to run again.
pub fn waits_in_vain<'a>(pod: &'a Pod, container: &str) -> Option<&'a str> {
    let status = pod.status.container_statuses.iter().find(|status| status.name == container)?;
    not_started(status).filter(|reason| *reason != "CrashLoopBackOff")
}

/// Whether init containers are still at work, so that the container has not been started. Only what is listed counts; init
/// containers that are sidecars do not end.
pub fn is_prepared(pod: &Pod, container: &str) -> bool {
    let listed =
        |list: &[ContainerStatus], name: &str| list.iter().find(|status| status.name == name).cloned();
    let Some(main) = listed(&pod.status.container_statuses, container) else { return false };
    let has_run = |status: &ContainerStatus| {
        status.state.running.is_some()
            || status.state.terminated.is_some()
            || status.last_state.terminated.is_some()
    };
    let is_through =
        |status: ContainerStatus| status.state.terminated.is_some_and(|end| end.exit_code == Some(0));
    let mut inits =
        pod.spec.init_containers.iter().filter(|own| own.restart_policy.as_deref() != Some("Always"));
    !has_run(&main)
        && inits.any(|own| {
            listed(&pod.status.init_container_statuses, &own.name).is_some_and(|status| !is_through(status))
        })
}

fn not_started(status: &ContainerStatus) -> Option<&str> {
    let reason = status.state.waiting.as_ref()?.reason.as_str();
    NOT_STARTED.contains(&reason).then_some(reason)
}

fn words(container: &str, terminated: &Terminated) -> String {
    let code = terminated.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    let reason = match terminated.reason.as_str() {
        // They say what the exit code says.
        "" | "Completed" | "Error" => String::new(),
        reason => format!(" ({reason})"),
    };
    format!("{container} terminated{code}{reason}")
}

/// The cluster's reason for a pod's phase, on one line.
fn why(pod: &Pod) -> String {
    let (reason, message) = (pod.status.reason.as_str(), pod.status.message.as_str());
    let mut message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    message.truncate(message.floor_char_boundary(SAID));
    match (reason, message.as_str()) {
        ("", "") => String::new(),
        (said, "") | ("", said) => format!(" ({said})"),
        (reason, message) => format!(" ({reason}: {message})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn terminated(code: i64, reason: &str) -> Value {
        json!({"terminated": {"exitCode": code, "reason": reason}})
    }

    fn pod(policy: &str, phase: &str, state: Value) -> Value {
        let running = json!({"name": "side", "state": {"running": {}}});
        json!({
            "metadata": {"uid": "u"},
            "spec": {"restartPolicy": policy, "containers": [{"name": "main"}, {"name": "side"}]},
            "status": {"phase": phase, "containerStatuses": [running, {"name": "main", "state": state}]},
        })
    }

    fn with(mut pod: Value, pointer: &str, value: Value) -> Value {
        let (folder, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(folder).unwrap()[key] = value;
        pod
    }

    fn deleted(pod: Value) -> Value {
        with(pod, "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))
    }

    fn waiting(reason: &str) -> Value {
        json!({"waiting": {"reason": reason}})
    }

    /// The words and the exit code.
    type Want = Option<(&'static str, Option<i64>)>;

    #[test]
    fn a_container_is_prepared_while_an_init_container_of_its_pod_has_not_ended_well() {
        let running = json!({"running": {}});
        let pod = |main: Value, inits: &[(&str, Value)]| {
            let named = |(name, state): &(&str, Value)| json!({"name": name, "state": state});
            let pod: Pod = serde_json::from_value(json!({
                "spec": {"initContainers": [{"name": "side", "restartPolicy": "Always"}, {"name": "a"}, {"name": "b"}]},
                "status": {
                    "phase": "Pending",
                    "containerStatuses": [{"name": "main", "state": main}],
                    "initContainerStatuses": inits.iter().map(named).collect::<Vec<_>>(),
                },
            }))
            .unwrap();
            is_prepared(&pod, "main")
        };
        let waits = || waiting("PodInitializing");
        let side = || ("side", running.clone());
        let through = |name| (name, terminated(0, "Completed"));
        assert!(pod(waits(), &[side(), ("a", running.clone()), ("b", waits())]));
        assert!(pod(waits(), &[side(), through("a"), ("b", waits())]));
        assert!(pod(waits(), &[side(), through("a"), ("b", terminated(1, "Error"))]));
        assert!(pod(waits(), &[side(), through("a"), ("b", waiting("CrashLoopBackOff"))]));
        assert!(!pod(waits(), &[side(), through("a"), through("b")]), "its image is pulled");
        assert!(
            !pod(running.clone(), &[side(), through("a"), ("b", waits())]),
            "it runs, whatever else is said"
        );
        assert!(!pod(terminated(1, "Error"), &[side(), ("a", waits())]));
        assert!(!pod(waits(), &[]), "nothing is listed yet, or not any more");
        assert!(!is_prepared(&Pod::default(), "main"));
    }

    #[test]
    fn what_counts_as_the_end() {
        let no_policy = with(pod("", "Running", terminated(1, "Error")), "/spec/restartPolicy", Value::Null);
        let own_policy = with(
            pod("Never", "Running", terminated(1, "Error")),
            "/spec/containers",
            json!([{"name": "main", "restartPolicy": "Always"}]),
        );
        let evicted = with(pod("Never", "Failed", json!({})), "/status/reason", json!("Evicted"));
        let evicted = with(evicted, "/status/message", json!("The node was\nlow on resource: memory."));
        let unlisted = with(pod("Never", "Running", json!({})), "/status/containerStatuses", Value::Null);
        let init = with(
            unlisted.clone(),
            "/status/initContainerStatuses",
            json!([{"name": "main", "state": terminated(0, "Completed")}]),
        );
        let crashed = || pod("OnFailure", "Running", waiting("CrashLoopBackOff"));
        let lost = json!({"terminated": {"reason": "ContainerStatusUnknown"}});
        let table: [(&str, Value, Want); 25] = [
            ("runs", pod("Never", "Running", json!({"running": {}})), None),
            ("pends", pod("Never", "Pending", waiting("PodInitializing")), None),
            ("is not listed", unlisted, None),
            ("an init container of its name", init, None),
            ("an empty pod", json!({}), None),
            (
                "ended",
                pod("Never", "Running", terminated(0, "Completed")),
                Some(("main terminated, exit code 0", Some(0))),
            ),
            (
                "failed",
                pod("Never", "Running", terminated(1, "Error")),
                Some(("main terminated, exit code 1", Some(1))),
            ),
            (
                "out of memory",
                pod("Never", "Running", terminated(137, "OOMKilled")),
                Some(("main terminated, exit code 137 (OOMKilled)", Some(137))),
            ),
            ("no policy", no_policy, Some(("main terminated, exit code 1", Some(1)))),
            ("a policy of its own", own_policy, None),
            (
                "OnFailure, 0",
                pod("OnFailure", "Running", terminated(0, "Completed")),
                Some(("main terminated, exit code 0", Some(0))),
            ),
            ("OnFailure, 1", pod("OnFailure", "Running", terminated(1, "Error")), None),
            ("OnFailure, nobody knows", pod("OnFailure", "Running", lost), None),
            (
                "OnFailure, 1, deleted",
                deleted(pod("OnFailure", "Running", terminated(1, "Error"))),
                Some(("main terminated, exit code 1", Some(1))),
            ),
            ("Always, 0", pod("Always", "Running", terminated(0, "Completed")), None),
            (
                "Always, 0, deleted",
                deleted(pod("Always", "Running", terminated(0, "Completed"))),
                Some(("main terminated, exit code 0", Some(0))),
            ),
            ("waits to be started again", crashed(), None),
            (
                "is never started again",
                deleted(crashed()),
                Some(("main CrashLoopBackOff, and its pod is being deleted", None)),
            ),
            ("starts and is deleted", deleted(pod("Never", "Pending", waiting("ContainerCreating"))), None),
            ("runs and is deleted", deleted(pod("Never", "Running", json!({"running": {}}))), None),
            ("no image", pod("Never", "Pending", waiting("ImagePullBackOff")), None),
            (
                "no image, deleted",
                deleted(pod("Never", "Pending", waiting("ImagePullBackOff"))),
                Some(("main ImagePullBackOff, and its pod is being deleted", None)),
            ),
            ("all ended", pod("Always", "Succeeded", json!({})), Some(("pod Succeeded", Some(0)))),
            (
                "the pod failed",
                pod("OnFailure", "Failed", terminated(3, "Error")),
                Some(("main terminated, exit code 3", Some(3))),
            ),
            ("evicted", evicted, Some(("pod Failed (Evicted: The node was low on resource: memory.)", None))),
        ];
        for (name, value, want) in table {
            let pod: Pod = serde_json::from_value(value).unwrap();
            let end = End::of(&pod, "main").map(|end| (end.how, end.exit_code));
            assert_eq!(end, want.map(|(how, code)| (how.to_owned(), code)), "{name}");
        }
    }
}
