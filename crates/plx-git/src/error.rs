//! Why a repository is not there, as one error with its class.

use crate::address::AddressError;
use crate::flags::FlagError;
use plx_contract::env::EnvError;
use plx_contract::network::NetworkError;
use plx_contract::{Class, Classified};
use std::path::PathBuf;
use std::sync::Arc;

/// A clone that was not made. Nothing stands under its final name then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GitError {
    /// The address cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A flag cannot be used.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// A variable cannot be used.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// Proxy or certificates cannot be used.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The repository is not where it should be.
    #[error("{at}: there is no repository{}", said(why))]
    NoRepository {
        /// The address.
        at: String,
        /// What was said; may be empty.
        why: String,
    },
    /// The repository is there and has no commit.
    #[error("{at}: the repository is empty")]
    Empty {
        /// The address.
        at: String,
    },
    /// Whoever asks is not let in.
    #[error("{at}: {why}")]
    Denied {
        /// The address.
        at: String,
        /// Who was refused, and by which words.
        why: String,
        /// What to do about it.
        next: String,
    },
    /// The other side is not the one it should be.
    #[error("{at}: {why}")]
    NotTrusted {
        /// The address.
        at: String,
        /// What does not fit.
        why: String,
        /// What to do about it.
        next: String,
    },
    /// What the container was given to log in with cannot be used.
    #[error("{what}: {why}")]
    Credentials {
        /// A variable or a file.
        what: String,
        /// What is wrong with it.
        why: String,
        /// What to do about it.
        next: String,
    },
    /// The connection failed, broke or went silent.
    #[error("{at}: {why}")]
    Unavailable {
        /// The address.
        at: String,
        /// What happened.
        why: String,
    },
    /// The answer is not one of a git server.
    #[error("{at}: {why}")]
    NotGit {
        /// The address.
        at: String,
        /// What came instead.
        why: String,
    },
    /// The revision is nowhere.
    #[error("{at}: there is no revision `{revision}`; looked for {looked}")]
    NoRevision {
        /// The address.
        at: String,
        /// As it was asked for.
        revision: String,
        /// Where it was looked for.
        looked: String,
        /// A name that is nearly it.
        near: Option<String>,
    },
    /// The revision may be several commits.
    #[error("{at}: revision `{revision}` is short for more than one object")]
    Ambiguous {
        /// The address.
        at: String,
        /// As it was asked for.
        revision: String,
    },
    /// A submodule could not be brought in.
    #[error("submodule `{name}`: {source}")]
    Submodule {
        /// Its path in the repository.
        name: String,
        /// Why.
        source: Box<GitError>,
    },
    /// A submodule that must not or cannot be brought in.
    #[error("submodule `{name}`: {why}")]
    BadSubmodule {
        /// Its path in the repository.
        name: String,
        /// Why.
        why: String,
        /// What to do about it.
        next: String,
    },
    /// Something else stands where the clone should.
    #[error("{}: {why}", target.display())]
    Occupied {
        /// The path.
        target: PathBuf,
        /// What is there.
        why: String,
    },
    /// This machine's disk refuses.
    #[error("{what} {}: {source}", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: Arc<std::io::Error>,
    },
    /// libgit2 refuses what it got or was to write.
    #[error("{what}: {why}")]
    Library {
        /// What was done.
        what: String,
        /// The library's words.
        why: String,
        /// The class.
        class: Class,
    },
    /// It was asked to stop.
    #[error("{at}: stopped before the clone was done")]
    Stopped {
        /// The address.
        at: String,
    },
}

fn said(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(" ({why})") }
}

impl GitError {
    pub(crate) fn disk(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk { what, path, source: Arc::new(source) }
    }

    /// What the library says of `what`, when no transport knows better.
    pub(crate) fn library(what: impl Into<String>) -> impl FnOnce(git2::Error) -> Self {
        let what = what.into();
        move |error| {
            let class = match error.class() {
                git2::ErrorClass::Os | git2::ErrorClass::Filesystem | git2::ErrorClass::Checkout => {
                    Class::CannotWrite
                }
                git2::ErrorClass::Net => Class::Unavailable,
                _ => Class::Integrity,
            };
            Self::Library { what, why: error.message().to_owned(), class }
        }
    }
}

impl Classified for GitError {
    fn class(&self) -> Class {
        match self {
            Self::Address(error) => error.class(),
            Self::Flag(error) => error.class(),
            Self::Env(error) => error.class(),
            Self::Network(error) => error.class(),
            Self::NoRepository { .. } | Self::Empty { .. } | Self::NoRevision { .. } => Class::NotFound,
            Self::Ambiguous { .. } => Class::Usage,
            Self::Denied { .. } => Class::Denied,
            Self::NotTrusted { .. } | Self::Credentials { .. } | Self::NotGit { .. } => Class::Config,
            Self::BadSubmodule { .. } => Class::Config,
            Self::Unavailable { .. } => Class::Unavailable,
            Self::Submodule { source, .. } => source.class(),
            Self::Occupied { .. } | Self::Disk { .. } => Class::CannotWrite,
            Self::Library { class, .. } => *class,
            Self::Stopped { .. } => Class::Incomplete,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Address(error) => return error.next_step(),
            Self::Flag(error) => return error.next_step(),
            Self::Env(error) => return error.next_step(),
            Self::Network(error) => return error.next_step(),
            Self::Submodule { source, .. } => return source.next_step(),
            Self::Denied { next, .. }
            | Self::NotTrusted { next, .. }
            | Self::Credentials { next, .. }
            | Self::BadSubmodule { next, .. } => next.clone(),
            Self::NoRepository { .. } => {
                "check the url; a server may also say so to credentials that do not see the repository".into()
            }
            Self::Empty { .. } => "push a commit to it, or name another repository".into(),
            Self::NoRevision { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NoRevision { .. } => "name a branch, a tag or a commit that was pushed".into(),
            Self::Ambiguous { .. } => "give more digits of the commit".into(),
            Self::Unavailable { .. } => {
                "check that the server answers from this pod; PLX_RETRY_SECONDS says for how long it is tried"
                    .into()
            }
            Self::NotGit { .. } => "check the url: it must be one that `git clone` takes".into(),
            Self::Occupied { .. } => "remove it, or give the repository another path".into(),
            Self::Disk { .. } => "check free space and rights of that folder".into(),
            Self::Library { class: Class::CannotWrite, .. } => {
                "check free space and rights of the target's folder".into()
            }
            Self::Library { .. } => "check the repository with `git fsck`".into(),
            Self::Stopped { .. } => "run it again: nothing was left under its name".into(),
        })
    }
}
