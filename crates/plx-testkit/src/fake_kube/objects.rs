//! What a cluster holds beside pods: services, events, and what containers use.

use serde_json::{Value, json};

use super::FakeKube;
use crate::http_server::lock;

impl FakeKube {
    /// Gives a pod the labels that Polyaxon's converter gives the pods of a run, and a kind of run.
    pub fn belongs_to(&self, pod: &str, run: &str, kind: &str) {
        self.change_pod(pod, |pod| {
            pod["metadata"]["labels"] = json!({
                "app.kubernetes.io/instance": run,
                "app.kubernetes.io/managed-by": "polyaxon",
            });
            pod["metadata"]["annotations"]["operation.polyaxon.com/kind"] = json!(kind);
        });
    }

    /// Adds a service of a run.
    pub fn start_service(&self, name: &str, run: &str) {
        let mut state = lock(&self.shared.state);
        let service = json!({
            "kind": "Service",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "namespace": Self::NAMESPACE,
                "labels": {"app.kubernetes.io/instance": run, "app.kubernetes.io/managed-by": "polyaxon"},
                "resourceVersion": state.next_version(),
            },
            "spec": {"ports": [{"name": "http", "port": 80}], "type": "ClusterIP"},
            "status": {"loadBalancer": {}},
        });
        state.services.insert(name.to_owned(), service);
    }

    /// Something happened to an object, as `Pod` and its name; what is like an earlier event is counted there.
    pub fn happened(&self, kind: &str, name: &str, reason: &str, message: &str) {
        const THEN: &str = "2026-01-01T00:00:00Z";
        let mut state = lock(&self.shared.state);
        let version = state.next_version();
        let about = json!({"kind": kind, "namespace": Self::NAMESPACE, "name": name});
        let same = |event: &&mut Value| {
            event["involvedObject"] == about && event["reason"] == reason && event["message"] == message
        };
        if let Some(event) = state.events.iter_mut().find(same) {
            event["count"] = json!(event["count"].as_u64().unwrap_or_default() + 1);
            event["metadata"]["resourceVersion"] = json!(version);
            let seconds =
                version.len() + usize::try_from(event["count"].as_u64().unwrap_or_default()).unwrap_or(0);
            event["lastTimestamp"] =
                json!(format!("2026-01-01T00:{:02}:{:02}Z", seconds / 60 % 60, seconds % 60));
            return;
        }
        let event = json!({
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": format!("{name}.{version}"), "namespace": Self::NAMESPACE, "resourceVersion": version},
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "source": {"component": "kubelet"},
            "firstTimestamp": THEN,
            "lastTimestamp": THEN,
            "count": 1,
            "type": "Normal",
        });
        state.events.push(event);
    }

    /// From now on there is a metrics API, and it was measured at a time that its containers use so much, as
    /// `("polyaxon-main", "250m", "64Mi")`.
    pub fn uses(&self, pod: &str, at: &str, containers: &[(&str, &str, &str)]) {
        let of = |(name, cpu, memory): &(&str, &str, &str)| json!({"name": name, "usage": {"cpu": cpu, "memory": memory}});
        let metrics = json!({
            "kind": "PodMetrics",
            "apiVersion": "metrics.k8s.io/v1beta1",
            "metadata": {"name": pod, "namespace": Self::NAMESPACE},
            "timestamp": at,
            "window": "30s",
            "containers": containers.iter().map(of).collect::<Vec<_>>(),
        });
        lock(&self.shared.state).metrics.get_or_insert_default().insert(pod.to_owned(), metrics);
    }

    /// There is a metrics API that knows no pod yet.
    pub fn has_metrics(&self) {
        lock(&self.shared.state).metrics.get_or_insert_default();
    }
}
