//! Why a reference leads nowhere.

use crate::InitError;
use plx_contract::connection::ConnectionError;
use plx_contract::run::RunError;
use plx_contract::{Class, Classified};
use plx_store::StoreError;
use plx_track::TrackError;

/// A reference that could not be resolved, or what it stands for not fetched.
#[derive(Debug, thiserror::Error)]
pub enum RefError {
    /// None or several.
    #[error("exactly one of --lineage-ref, --model-ref and --artifact-ref is needed")]
    NotOne,
    /// Not of the form of one.
    #[error("{option}: `{raw}` is no {wanted}")]
    Grammar {
        /// The option.
        option: &'static str,
        /// What was given.
        raw: String,
        /// The form that was wanted.
        wanted: &'static str,
    },
    /// Nothing is known by that name.
    #[error("{reference}: not found. Looked: {}", looked.join("; "))]
    Unresolved {
        /// What was looked for.
        reference: String,
        /// Where, and what was there instead.
        looked: Vec<String>,
        /// Whether the API might have known it, and did not answer.
        silent: bool,
    },
    /// It is known, and stands for nothing that could be fetched.
    #[error("{reference} ({place}): {why}")]
    Empty {
        /// What was looked for.
        reference: String,
        /// Where it was found.
        place: String,
        /// What is missing.
        why: String,
    },
    /// A path of its lineage that lies in no store.
    #[error("{reference}: the path `{path}` of its lineage lies in no store of this run")]
    Elsewhere {
        /// What was looked for.
        reference: String,
        /// The path.
        path: String,
    },
    /// A file in the store that is not what its name says.
    #[error("{place}: {why}")]
    Malformed {
        /// The file.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// Several stores, or none.
    #[error("the catalog does not say which connection is the artifacts store")]
    NoStore,
    /// It names no project, and this run's own is not known.
    #[error("{reference}: {source}")]
    OwnProject {
        /// What was looked for.
        reference: String,
        /// Why it is not known.
        source: RunError,
    },
    /// The run is not named well.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The API, or the settings for it.
    #[error(transparent)]
    Track(#[from] TrackError),
    /// The catalog.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The artifacts store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it stands for was not fetched.
    #[error(transparent)]
    Fetch(Box<InitError>),
    /// The pod ends.
    #[error("asked to stop before {reference} was found")]
    Stopped {
        /// What was looked for.
        reference: String,
    },
}

impl Classified for RefError {
    fn class(&self) -> Class {
        match self {
            Self::NotOne | Self::Grammar { .. } => Class::Usage,
            Self::Unresolved { silent: true, .. } => Class::Unavailable,
            Self::Unresolved { .. } | Self::Empty { .. } => Class::NotFound,
            Self::Elsewhere { .. } | Self::Malformed { .. } => Class::Integrity,
            Self::NoStore | Self::OwnProject { .. } => Class::Config,
            Self::Run(error) => error.class(),
            Self::Track(error) => error.class(),
            Self::Connection(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Fetch(error) => error.class(),
            Self::Stopped { .. } => Class::Incomplete,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::NotOne | Self::Grammar { .. } => Some("see plx-init ref --help".to_owned()),
            Self::Unresolved { silent: true, .. } => {
                Some("try again when the tracking API answers, or check POLYAXON_HOST".to_owned())
            }
            Self::Unresolved { .. } => {
                Some("check the reference: the owner, the project, the run and the name".to_owned())
            }
            Self::Empty { .. } => Some("promote the version from a run, with its artifacts".to_owned()),
            Self::Elsewhere { .. } => Some("fetch it with the connection that it lies in".to_owned()),
            Self::Malformed { .. } => Some("pull or persist it again with Polyaxon's client".to_owned()),
            Self::NoStore => {
                Some("name it with --connection, or in POLYAXON_ARTIFACTS_STORE_NAME".to_owned())
            }
            Self::OwnProject { source, .. } => {
                source.next_step().map(|next| format!("{next}, or name the project: OWNER/PROJECT:VERSION"))
            }
            Self::Run(error) => error.next_step(),
            Self::Track(error) => error.next_step(),
            Self::Connection(error) => error.next_step(),
            Self::Store(error) => error.next_step(),
            Self::Fetch(error) => error.next_step(),
            Self::Stopped { .. } => None,
        }
    }
}
