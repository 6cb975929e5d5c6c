//! Why a sidecar could not do its work at all. What it could not store is no error but its report.

use plx_contract::connection::ConnectionError;
use plx_contract::env::EnvError;
use plx_contract::run::RunError;
use plx_contract::{Class, Classified};
use plx_store::StoreError;

/// A sidecar that could not start.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// A variable that Polyaxon's converter sets is not set.
    #[error("{key} is not set")]
    Missing {
        /// The variable.
        key: &'static str,
    },
    /// A variable cannot be used.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The run is not named well.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The catalog or the connection cannot be used.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder that is shared with main is not there.
    #[error("the artifacts folder {} does not exist", path.display())]
    NoArtifacts {
        /// The folder.
        path: std::path::PathBuf,
    },
    /// The store may not be written.
    #[error("connection `{name}` is read-only and cannot hold outputs")]
    ReadOnly {
        /// The connection.
        name: String,
    },
    /// Main's process cannot be watched.
    #[error("watch process {pid}")]
    Watch {
        /// The process.
        pid: i32,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Classified for SidecarError {
    fn class(&self) -> Class {
        match self {
            Self::Missing { .. } | Self::NoArtifacts { .. } | Self::ReadOnly { .. } => Class::Config,
            Self::Env(error) => error.class(),
            Self::Run(error) => error.class(),
            Self::Connection(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Watch { .. } => Class::Usage,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Missing { key } => Some(format!("set {key}, as Polyaxon's converter does")),
            Self::Env(error) => error.next_step(),
            Self::Run(error) => error.next_step(),
            Self::Connection(error) => error.next_step(),
            Self::Store(error) => error.next_step(),
            Self::NoArtifacts { .. } => {
                Some("mount the volume that main writes to, or correct POLYAXON_CONTEXT_ROOT".to_owned())
            }
            Self::ReadOnly { .. } => {
                Some("name another artifacts store, or remove readOnly from its schema".to_owned())
            }
            Self::Watch { .. } => Some("give the pid of a running process".to_owned()),
        }
    }
}
