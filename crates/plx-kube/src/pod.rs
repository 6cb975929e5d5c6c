//! What is read of a pod. Unknown fields are ignored, missing ones are as if they were empty: Go leaves out what is
//! empty, and writes some of it as null.

use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// A pod, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Which pod it is.
    #[serde(deserialize_with = "or_empty")]
    pub metadata: Metadata,
    /// What it should be.
    #[serde(deserialize_with = "or_empty")]
    pub spec: Spec,
    /// What it is.
    #[serde(deserialize_with = "or_empty")]
    pub status: Status,
}

impl Pod {
    /// Between SIGTERM and SIGKILL, in seconds: of this deletion, or of any.
    pub fn grace_period_seconds(&self) -> Option<u64> {
        self.metadata.deletion_grace_period_seconds.or(self.spec.termination_grace_period_seconds)
    }
}

/// Which pod it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    /// Another pod of the same name has another uid.
    pub uid: String,
    /// Where a watch goes on from.
    pub resource_version: String,
    /// Set from the moment on that it is being deleted.
    pub deletion_timestamp: Option<String>,
    /// What whoever deleted it gave it between SIGTERM and SIGKILL, in seconds.
    pub deletion_grace_period_seconds: Option<u64>,
    /// Polyaxon's are among them.
    #[serde(deserialize_with = "or_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// `Always`, `OnFailure` or `Never`.
    pub restart_policy: Option<String>,
    /// Where it runs.
    #[serde(deserialize_with = "or_empty")]
    pub node_name: String,
    /// Between SIGTERM and SIGKILL, in seconds.
    pub termination_grace_period_seconds: Option<u64>,
    /// The containers.
    #[serde(deserialize_with = "or_empty")]
    pub containers: Vec<Container>,
    /// The init containers; one with a restart policy of its own is a sidecar.
    #[serde(deserialize_with = "or_empty")]
    pub init_containers: Vec<Container>,
}

/// A container, as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its own, where it differs from the pod's.
    pub restart_policy: Option<String>,
}

/// What it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Why the pod as a whole is so, as `Evicted`.
    #[serde(deserialize_with = "or_empty")]
    pub reason: String,
    /// The same in words.
    #[serde(deserialize_with = "or_empty")]
    pub message: String,
    /// Of the containers.
    #[serde(deserialize_with = "or_empty")]
    pub container_statuses: Vec<ContainerStatus>,
    /// Of the init containers.
    #[serde(deserialize_with = "or_empty")]
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// A container, as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// What it does now.
    #[serde(deserialize_with = "or_empty")]
    pub state: State,
    /// What became of it before it was started again, or before it waits to be.
    #[serde(deserialize_with = "or_empty")]
    pub last_state: State,
    /// How often it was started again.
    #[serde(deserialize_with = "or_empty")]
    pub restart_count: u32,
}

/// What a container does: one of the three is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct State {
    /// It does not run yet, or not again yet.
    pub waiting: Option<Waiting>,
    /// It runs.
    pub running: Option<Running>,
    /// It ended.
    pub terminated: Option<Terminated>,
}

/// It does not run yet, or not again yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// As `ImagePullBackOff`.
    #[serde(deserialize_with = "or_empty")]
    pub reason: String,
}

/// It runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Running {
    /// Since when.
    pub started_at: Option<String>,
}

/// It ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    /// The exit code.
    pub exit_code: Option<i64>,
    /// As `Completed`, `Error` or `OOMKilled`.
    #[serde(deserialize_with = "or_empty")]
    pub reason: String,
}

fn or_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_gaps_and_what_nobody_knows_are_read() {
        // What a bookmark carries.
        let text = r#"{"kind":"Pod","metadata":{"resourceVersion":"12","creationTimestamp":null,"annotations":null},
            "spec":{"containers":null,"new":{"in":["2031"]}},"status":{"containerStatuses":null}}"#;
        let pod: Pod = serde_json::from_str(text).unwrap();
        assert_eq!(pod.metadata.resource_version, "12");
        assert_eq!((pod.spec, pod.status), Default::default());
        let pod: Pod = serde_json::from_str(r#"{"status":null}"#).unwrap();
        assert_eq!(pod, Pod::default());
    }

    #[test]
    fn a_pod_is_read() {
        let text = r#"{"metadata":{"uid":"u","annotations":{"a":"b"},"deletionTimestamp":"2026-01-01T00:00:00Z"},
            "spec":{"restartPolicy":"Never","terminationGracePeriodSeconds":45,"containers":[{"name":"main"}],
                "initContainers":[{"name":"side","restartPolicy":"Always"}]},
            "status":{"phase":"Running","containerStatuses":[
                {"name":"main","state":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}}],
                "initContainerStatuses":[{"name":"side","state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}}]}}"#;
        let pod: Pod = serde_json::from_str(text).unwrap();
        assert_eq!(pod.metadata.annotations["a"], "b");
        assert_eq!(pod.spec.termination_grace_period_seconds, Some(45));
        assert_eq!(pod.spec.init_containers[0].restart_policy.as_deref(), Some("Always"));
        let terminated = pod.status.container_statuses[0].state.terminated.as_ref().unwrap();
        assert_eq!((terminated.exit_code, terminated.reason.as_str()), (Some(137), "OOMKilled"));
        assert!(pod.status.init_container_statuses[0].state.running.is_some());
    }
}
