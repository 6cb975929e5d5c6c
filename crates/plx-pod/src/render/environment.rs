//! What `environment` says of the pod itself.

use super::Renderer;
use super::built::{is_given, text, without_nulls};
use crate::cli::As;
use plx_runtime::Failure;
use serde_json::{Map, Value, json};

/// Fields that are handed on as they are, in the order they stand in the pod.
const AS_THEY_ARE: [&str; 12] = [
    "securityContext",
    "tolerations",
    "affinity",
    "dnsConfig",
    "dnsPolicy",
    "hostAliases",
    "hostNetwork",
    "hostPID",
    "nodeName",
    "priority",
    "priorityClassName",
    "schedulerName",
];

impl Renderer<'_> {
    fn environment(&self, key: &str) -> Option<&Value> {
        self.run.rest.get("environment")?.get(key).filter(|value| is_given(value))
    }

    /// A map of texts of the environment, such as its labels.
    pub(super) fn texts_of(&self, key: &str) -> Map<String, Value> {
        let map = self.environment(key).and_then(Value::as_object).cloned().unwrap_or_default();
        map.into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, json!(text(&value))))
            .collect()
    }

    /// The beginning of the pod's spec.
    pub(super) fn spec(&self) -> Result<Map<String, Value>, Failure> {
        let mut spec = Map::new();
        if let Some(policy) = self.restart_policy()? {
            spec.insert("restartPolicy".to_owned(), json!(policy));
        }
        let account = self.environment("serviceAccountName").and_then(Value::as_str);
        if let Some(account) = account.or(self.cluster.runs_sa.as_deref()) {
            spec.insert("serviceAccountName".to_owned(), json!(account));
        }
        if let Some(secrets) = self.environment("imagePullSecrets").and_then(Value::as_array) {
            let named =
                |secret: &Value| if secret.is_string() { json!({ "name": secret }) } else { secret.clone() };
            spec.insert("imagePullSecrets".to_owned(), secrets.iter().map(named).collect());
        }
        let selector = self.texts_of("nodeSelector");
        if !selector.is_empty() {
            spec.insert("nodeSelector".to_owned(), Value::Object(selector));
        }
        for key in AS_THEY_ARE {
            if let Some(value) = self.environment(key) {
                spec.insert(key.to_owned(), without_nulls(value.clone()));
            }
        }
        Ok(spec)
    }

    /// Whether the run itself says under which account it runs.
    pub(super) fn names_account(&self) -> bool {
        self.environment("serviceAccountName").is_some()
    }

    /// A job's pod is not started again by itself; a service's is.
    pub(super) fn restart_policy(&self) -> Result<Option<&str>, Failure> {
        let given = self.environment("restartPolicy").and_then(Value::as_str);
        match (self.asked.form, given) {
            (As::Job, Some("Always")) => Err(self
                .wrong(&["environment", "restartPolicy"], "a Job's pod cannot be restarted always")
                .with_next("use Never or OnFailure, or --as pod")),
            (_, Some(given)) => Ok(Some(given)),
            (As::Pod, None) if self.run.kind == "service" => Ok(None),
            (_, None) => Ok(Some("Never")),
        }
    }
}
