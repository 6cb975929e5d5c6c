//! Why Kubernetes could not be asked.

use plx_contract::{Class, Classified};
use std::error::Error as _;
use std::path::PathBuf;

/// A call that gave no answer, or the configuration for one. Holds no token.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// Not in a pod.
    #[error("{missing} is not set: this is no pod of a cluster")]
    NotInCluster {
        /// The variable.
        missing: &'static str,
    },
    /// A file of the service account.
    #[error("read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The client could not be made.
    #[error("make the client for {host}")]
    Client {
        /// The API server.
        host: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server did not answer.
    #[error("ask Kubernetes for {path}")]
    Unreachable {
        /// The path that was asked for.
        path: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server refused.
    #[error("ask Kubernetes for {path}: HTTP {status}: {said}")]
    Refused {
        /// The path that was asked for.
        path: String,
        /// HTTP status.
        status: u16,
        /// The server's own words, on one line.
        said: String,
    },
    /// The pod that asks is not known by the name it was given.
    #[error("there is no pod {name} in the namespace {namespace}")]
    NoPod {
        /// The namespace.
        namespace: String,
        /// The pod.
        name: String,
    },
}

impl KubeError {
    /// The error and its causes as one line, for a log.
    pub fn chain(&self) -> String {
        let (mut line, mut cause) = (self.to_string(), self.source());
        while let Some(error) = cause {
            line = format!("{line}: {error}");
            cause = error.source();
        }
        line
    }

    /// Whether the server answered, and will answer the same until somebody changes something.
    pub fn is_refusal(&self) -> bool {
        matches!(self.class(), Class::Denied | Class::Config)
    }
}

impl Classified for KubeError {
    fn class(&self) -> Class {
        match self {
            Self::NotInCluster { .. } | Self::File { .. } | Self::Client { .. } | Self::NoPod { .. } => {
                Class::Config
            }
            Self::Unreachable { .. } => Class::Unavailable,
            Self::Refused { status: 401 | 403, .. } => Class::Denied,
            Self::Refused { .. } => Class::Unavailable,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::NotInCluster { .. } => "run it in a pod".to_owned(),
            Self::File { .. } => {
                "mount the service account's token (automountServiceAccountToken)".to_owned()
            }
            Self::Client { .. } => "check the cluster's CA in the service account's folder".to_owned(),
            Self::Refused { status: 401 | 403, .. } => {
                "give the pod's service account the rights of the platform's chart".to_owned()
            }
            Self::NoPod { .. } => {
                "correct POLYAXON_K8S_POD_ID and POLYAXON_K8S_NAMESPACE, as Polyaxon's converter sets them"
                    .to_owned()
            }
            Self::Unreachable { .. } | Self::Refused { .. } => "try again later".to_owned(),
        })
    }
}
