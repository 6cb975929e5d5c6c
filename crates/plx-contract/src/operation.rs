//! Component and operation documents, version 1.1: as much of them as a pod is made from.

use crate::init::Init;
use crate::plugins::Plugins;
use crate::{Class, Classified};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A document as written: an operation with its component inside, or a component alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// `1.1`, as a number or a text.
    pub version: Option<Value>,
    /// `operation` or `component`.
    pub kind: Option<String>,
    /// Name of the run.
    pub name: Option<String>,
    /// Plugins of an operation beat those of its component, key by key.
    pub plugins: Option<Plugins>,
    /// The component of an operation.
    pub component: Option<Box<Document>>,
    /// What a component runs.
    pub run: Option<Run>,
    /// Everything else, by name.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `V1Job` or `V1Service`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Run {
    /// `job` or `service`.
    pub kind: String,
    /// Inputs, in order.
    pub init: Option<Vec<Init>>,
    /// Connections that main uses.
    pub connections: Option<Vec<String>>,
    /// Main.
    pub container: Option<Container>,
    /// Everything else, by name.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A Kubernetes container, as far as it is run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// The program: a list, or one string that a shell runs.
    pub command: Option<Words>,
    /// Its arguments.
    pub args: Option<Words>,
    /// Where it starts.
    pub working_dir: Option<String>,
    /// Its variables.
    pub env: Option<Vec<EnvVar>>,
    /// Everything else, by name.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Fields of a document that stand for the whole of it.
pub fn fields() -> impl Iterator<Item = &'static str> {
    ["version", "kind", "name", "plugins", "component", "run"]
        .into_iter()
        .chain(INERT.iter().copied())
        .chain(PLATFORM_ONLY.iter().copied())
}

/// A command or its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Words {
    /// One string, for a shell.
    Line(String),
    /// The words themselves.
    List(#[serde(deserialize_with = "words")] Vec<String>),
}

/// Numbers and flags are words too: `args: [--epochs, 10]`.
fn words<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<Value>::deserialize(deserializer)?;
    let word = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(serde::de::Error::custom(format!("{other} is no word"))),
    };
    words.into_iter().map(word).collect()
}

/// One variable of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: Option<Value>,
    /// Where its value comes from, in a cluster.
    #[serde(default)]
    pub value_from: Option<Value>,
}

/// What one run is made from, after an operation's own settings are put over its component's.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Name, when one was given.
    pub name: Option<String>,
    /// Plugins, merged.
    pub plugins: Plugins,
    /// What runs.
    pub run: Run,
    /// The other fields, those of an operation over those of its component.
    pub rest: Map<String, Value>,
}

/// Fields of a document that would change what is run, and that only the platform can carry out.
const PLATFORM_ONLY: &[&str] = &[
    "matrix", "joins", "hubRef", "dagRef", "urlRef", "pathRef", "schedule", "events", "hooks", "build",
    "template", "runPatch",
];

/// Fields that mean nothing for one local run and may stand in any document.
const INERT: &[&str] = &[
    "description",
    "tags",
    "presets",
    "queue",
    "namespace",
    "cache",
    "termination",
    "params",
    "inputs",
    "outputs",
    "contexts",
    "dependencies",
    "trigger",
    "conditions",
    "skipOnUpstreamSkip",
    "patchStrategy",
    "isPreset",
    "isApproved",
    "cost",
];

impl Document {
    /// The run this document describes.
    ///
    /// # Errors
    /// When it is neither an operation nor a component, or asks for what only the platform can do.
    pub fn resolve(self) -> Result<Operation, OperationError> {
        for name in self.rest.keys() {
            if PLATFORM_ONLY.contains(&name.as_str()) {
                return Err(OperationError::PlatformOnly { field: name.clone() });
            }
            if !INERT.contains(&name.as_str()) {
                return Err(OperationError::Unknown { field: name.clone() });
            }
        }
        let inner = match (self.component, self.run) {
            (Some(component), None) => component.resolve()?,
            (None, Some(run)) => {
                if !matches!(run.kind.as_str(), "job" | "service") {
                    return Err(OperationError::Kind { kind: run.kind });
                }
                Operation { name: None, plugins: Plugins::default(), run, rest: Map::new() }
            }
            (Some(_), Some(_)) => return Err(OperationError::Shape { what: "both `component` and `run`" }),
            (None, None) => return Err(OperationError::Shape { what: "neither `component` nor `run`" }),
        };
        let mut rest = inner.rest;
        rest.extend(self.rest.into_iter().filter(|(_, value)| !value.is_null()));
        Ok(Operation {
            name: self.name.or(inner.name),
            plugins: merge(inner.plugins, self.plugins.unwrap_or_default()),
            run: inner.run,
            rest,
        })
    }
}

fn merge(below: Plugins, above: Plugins) -> Plugins {
    Plugins {
        auth: above.auth.or(below.auth),
        docker: above.docker.or(below.docker),
        shm: above.shm.or(below.shm),
        mount_artifacts_store: above.mount_artifacts_store.or(below.mount_artifacts_store),
        collect_artifacts: above.collect_artifacts.or(below.collect_artifacts),
        collect_logs: above.collect_logs.or(below.collect_logs),
        collect_resources: above.collect_resources.or(below.collect_resources),
        sync_statuses: above.sync_statuses.or(below.sync_statuses),
        auto_resume: above.auto_resume.or(below.auto_resume),
        external_host: above.external_host.or(below.external_host),
        log_level: above.log_level.or(below.log_level),
        sidecar: above.sidecar.or(below.sidecar),
        notifications: above.notifications.or(below.notifications),
        tmux: above.tmux.or(below.tmux),
        sandbox: above.sandbox.or(below.sandbox),
        ssh: above.ssh.or(below.ssh),
    }
}

/// A document that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// Only the platform can do this.
    #[error("`{field}` needs the platform")]
    PlatformOnly {
        /// The field.
        field: String,
    },
    /// No such field in Polyaxon's documents.
    #[error("unknown field `{field}`")]
    Unknown {
        /// The field.
        field: String,
    },
    /// Not a kind that is one pod.
    #[error("run.kind is `{kind}`, wanted job or service")]
    Kind {
        /// The kind.
        kind: String,
    },
    /// Not one run.
    #[error("the document has {what}")]
    Shape {
        /// What it has.
        what: &'static str,
    },
}

impl Classified for OperationError {
    fn class(&self) -> Class {
        Class::Config
    }
    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::PlatformOnly { .. } => {
                "run it on a Polyaxon deployment, or remove the field for a local run".to_owned()
            }
            Self::Unknown { .. } => "correct its spelling or remove it".to_owned(),
            Self::Kind { .. } => "distributed kinds need a cluster".to_owned(),
            Self::Shape { .. } => "give an operation with `component`, or a component with `run`".to_owned(),
        })
    }
}
