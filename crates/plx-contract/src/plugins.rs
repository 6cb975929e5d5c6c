//! `V1Plugins`: what a run switches on and off. A key that is present and null means its default.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The section as written; the methods give its meaning.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names are the document's")]
pub struct Plugins {
    pub auth: Option<bool>,
    pub docker: Option<bool>,
    pub shm: Option<bool>,
    pub mount_artifacts_store: Option<bool>,
    pub collect_artifacts: Option<bool>,
    pub collect_logs: Option<bool>,
    pub collect_resources: Option<bool>,
    pub sync_statuses: Option<bool>,
    pub auto_resume: Option<bool>,
    pub external_host: Option<bool>,
    pub log_level: Option<String>,
    pub sidecar: Option<Sidecar>,
    pub notifications: Option<Value>,
}

/// `V1PolyaxonSidecarContainer`, as far as a run may override it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names are the document's")]
pub struct Sidecar {
    pub image: Option<String>,
    pub image_tag: Option<String>,
    pub image_pull_policy: Option<String>,
    pub resources: Option<Value>,
    /// Seconds between two looks at the pod.
    pub sleep_interval: Option<i64>,
    /// Seconds between two passes; `-1`: only at the end.
    pub sync_interval: Option<i64>,
    pub monitor_logs: Option<bool>,
    pub monitor_spec: Option<bool>,
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
