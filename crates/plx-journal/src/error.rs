//! What can go wrong with our own files. Every error names the file.

use plx_contract::{Class, Classified};
use std::io;
use std::path::PathBuf;

/// The journal cannot be read or written.
///
/// After a write error the memory is still right: only a restart would find less than was done, and upload again.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder or the file cannot be read.
    #[error("cannot read the journal `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder cannot be made, or the file cannot be written.
    #[error("cannot write the journal `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Classified for JournalError {
    fn class(&self) -> Class {
        Class::CannotWrite
    }

    fn next_step(&self) -> Option<String> {
        let text = match self {
            Self::Read { .. } => {
                "make it readable for the sidecar's user, or remove it: everything is uploaded again"
            }
            Self::Write { .. } => "free space on that volume, or make it writable for the sidecar's user",
        };
        Some(text.to_owned())
    }
}

/// `ART/.fs` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FsFileError {
    /// It is there and cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what `initializer fswatch` writes.
    #[error("`{}` is not a `.fs` file of Polyaxon: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
}

impl Classified for FsFileError {
    fn class(&self) -> Class {
        match self {
            Self::Read { .. } | Self::Write { .. } => Class::CannotWrite,
            Self::Malformed { .. } => Class::Config,
        }
    }

    fn next_step(&self) -> Option<String> {
        let text = match self {
            Self::Read { .. } => "make it readable for the sidecar's user",
            Self::Write { .. } => {
                "free space on that volume, or make it writable for the init container's user"
            }
            Self::Malformed { .. } => {
                "remove it: the run's files are then uploaded again, and none is deleted"
            }
        };
        Some(text.to_owned())
    }
}
