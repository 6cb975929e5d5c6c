//! `V1Plugins`: what a run switches on and off. A key that is present and null means its default.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The section as written; the methods give its meaning.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names are the document's")]
pub struct Plugins {
    #[serde(deserialize_with = "flag")]
    pub auth: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub docker: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub shm: Option<bool>,
    #[serde(alias = "mount_artifacts_store")]
    #[serde(deserialize_with = "flag")]
    pub mount_artifacts_store: Option<bool>,
    #[serde(alias = "collect_artifacts")]
    #[serde(deserialize_with = "flag")]
    pub collect_artifacts: Option<bool>,
    #[serde(alias = "collect_logs")]
    #[serde(deserialize_with = "flag")]
    pub collect_logs: Option<bool>,
    #[serde(alias = "collect_resources")]
    #[serde(deserialize_with = "flag")]
    pub collect_resources: Option<bool>,
    #[serde(alias = "sync_statuses")]
    #[serde(deserialize_with = "flag")]
    pub sync_statuses: Option<bool>,
    #[serde(alias = "auto_resume")]
    #[serde(deserialize_with = "flag")]
    pub auto_resume: Option<bool>,
    #[serde(alias = "external_host")]
    #[serde(deserialize_with = "flag")]
    pub external_host: Option<bool>,
    #[serde(alias = "log_level")]
    pub log_level: Option<String>,
    pub sidecar: Option<Sidecar>,
    pub notifications: Option<Value>,
    /// tmux beside main's own programs.
    #[serde(deserialize_with = "flag")]
    pub tmux: Option<bool>,
    /// A door for Polyaxon's sandbox, with programs of its own image.
    #[serde(deserialize_with = "flag")]
    pub sandbox: Option<bool>,
    /// The same for ssh.
    #[serde(deserialize_with = "flag")]
    pub ssh: Option<bool>,
}

/// `V1PolyaxonSidecarContainer`, as far as a run may override it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names are the document's")]
pub struct Sidecar {
    pub image: Option<String>,
    #[serde(alias = "image_tag")]
    pub image_tag: Option<String>,
    #[serde(alias = "image_pull_policy")]
    pub image_pull_policy: Option<String>,
    pub resources: Option<Value>,
    /// Seconds between two looks at the pod.
    #[serde(alias = "sleep_interval")]
    pub sleep_interval: Option<i64>,
    /// Seconds between two passes; `-1`: only at the end.
    #[serde(alias = "sync_interval")]
    pub sync_interval: Option<i64>,
    #[serde(alias = "monitor_logs")]
    #[serde(deserialize_with = "flag")]
    pub monitor_logs: Option<bool>,
    #[serde(alias = "monitor_spec")]
    #[serde(deserialize_with = "flag")]
    pub monitor_spec: Option<bool>,
    /// The user's own sidecars get neither connections nor contexts.
    #[serde(alias = "no_connections")]
    #[serde(deserialize_with = "flag")]
    pub no_connections: Option<bool>,
}

/// A flag as YAML 1.1 and Polyaxon take it: `true`, or a text such as `yes` and `off`.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Flag(bool),
        Text(String),
    }
    match Option::<Written>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Written::Flag(flag)) => Ok(Some(flag)),
        Some(Written::Text(text)) => crate::env::parse_bool(&text)
            .map(Some)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is neither true nor false"))),
    }
}

impl Plugins {
    /// Outputs are collected: on unless switched off.
    pub fn collects_artifacts(&self) -> bool {
        self.collect_artifacts.unwrap_or(true)
    }

    /// Logs are collected: on unless switched off.
    pub fn collects_logs(&self) -> bool {
        self.collect_logs.unwrap_or(true)
    }

    /// Earlier outputs of the same run are fetched first: on unless switched off.
    pub fn resumes(&self) -> bool {
        self.auto_resume.unwrap_or(true)
    }
}
