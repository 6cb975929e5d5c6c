//! Why an init step failed, as one error with its class.

use plx_contract::connection::ConnectionError;
use plx_contract::dockerfile::ContextError;
use plx_contract::env::EnvError;
use plx_contract::init::InitError as EntryError;
use plx_contract::key::UnsafePath;
use plx_contract::run::RunError;
use plx_contract::{Class, Classified};
use plx_git::GitError;
use plx_journal::FsFileError;
use plx_store::StoreError;
use plx_track::TrackError;
use plx_transfer::TransferError;
use std::io;
use std::path::PathBuf;

/// An init step that failed.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// An argument is no JSON of the wanted shape.
    #[error("{flag}: {reason}")]
    Argument {
        /// The flag.
        flag: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A context of something to generate cannot be used.
    #[error("received a non valid {what}: {source}")]
    Context {
        /// Of what.
        what: &'static str,
        /// What is wrong with it.
        source: ContextError,
    },
    /// An entry of an `init` section asks for nothing, or for too much.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A variable cannot be used.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The catalog or the connection cannot be used.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The connection cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tracking API does not say what is needed.
    #[error(transparent)]
    Track(#[from] TrackError),
    /// Which run this is cannot be told.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A path that the user gave leads outside of its target.
    #[error(transparent)]
    Path(#[from] UnsafePath),
    /// The record for the sidecar cannot be written.
    #[error(transparent)]
    Record(#[from] FsFileError),
    /// A repository was not cloned.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The program that runs main was not placed.
    #[error("place plx-entry in {}: {source}", to.display())]
    Place {
        /// The folder.
        to: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The program that runs main is not there.
    #[error("{} is not there", path.display())]
    NoProgram {
        /// Where it should be.
        path: PathBuf,
    },
    /// Some inputs were not fetched.
    #[error("{}", summary(errors))]
    Transfer {
        /// One error per input or object.
        errors: Vec<TransferError>,
    },
}

/// Errors that are shown before the rest is only counted.
const SHOWN: usize = 5;

fn summary(errors: &[TransferError]) -> String {
    let count = if errors.len() > 1 { format!("{} inputs failed: ", errors.len()) } else { String::new() };
    let mut words: Vec<String> =
        errors.iter().take(SHOWN).map(|error| plx_runtime::Failure::from(error.clone()).message).collect();
    if errors.len() > SHOWN {
        words.push(format!("and {} more", errors.len() - SHOWN));
    }
    count + &words.join("; ")
}

impl InitError {
    pub(crate) fn transfer(errors: Vec<TransferError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self::Transfer { errors }) }
    }
}

impl Classified for InitError {
    fn class(&self) -> Class {
        match self {
            Self::Argument { .. } => Class::Usage,
            Self::Context { source, .. } => source.class(),
            Self::Entry(error) => error.class(),
            Self::Env(error) => error.class(),
            Self::Connection(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Track(error) => error.class(),
            Self::Run(error) => error.class(),
            Self::Path(error) => error.class(),
            Self::Record(error) => error.class(),
            Self::Git(error) => error.class(),
            Self::Place { .. } => Class::CannotWrite,
            Self::NoProgram { .. } => Class::Config,
            // The gravest: unsafe data before denied, denied before absent, absent before what may pass.
            Self::Transfer { errors } => {
                let rank = |class: Class| {
                    [
                        Class::Integrity,
                        Class::CannotWrite,
                        Class::Config,
                        Class::Denied,
                        Class::NotFound,
                        Class::Incomplete,
                    ]
                    .iter()
                    .position(|known| *known == class)
                    .unwrap_or(usize::MAX)
                };
                errors.iter().map(Classified::class).min_by_key(|class| rank(*class)).unwrap_or(Class::Bug)
            }
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Argument { .. } => Some("see the command's --help".to_owned()),
            Self::Context { source, .. } => source.next_step(),
            Self::Entry(error) => error.next_step(),
            Self::Env(error) => error.next_step(),
            Self::Connection(error) => error.next_step(),
            Self::Store(error) => error.next_step(),
            Self::Track(error) => error.next_step(),
            Self::Run(error) => error.next_step(),
            Self::Path(error) => error.next_step(),
            Self::Record(error) => error.next_step(),
            Self::Git(error) => error.next_step(),
            Self::Place { .. } => Some("mount a volume there that this user may write to".to_owned()),
            Self::NoProgram { .. } => Some("use an image of plx-init that has it, or --from FILE".to_owned()),
            Self::Transfer { errors } => {
                let class = self.class();
                errors.iter().find(|error| error.class() == class).and_then(Classified::next_step)
            }
        }
    }
}
