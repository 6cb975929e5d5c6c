//! What a scan leaves out, said once.

use plx_contract::{Class, Classified};
use std::fmt;
use std::path::PathBuf;

/// One thing on disk that is not stored, and why. Equal problems of two scans are equal values, so that a caller can
/// warn about each of them once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub path: PathBuf,
    /// What kind.
    pub kind: ProblemKind,
    /// The target of a link, or what the system said. May be empty.
    pub detail: String,
}

/// The kinds of [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A name that no store takes as a key.
    Name,
    /// A socket, a pipe or a device.
    Special,
    /// A link to nothing.
    DanglingLink,
    /// A link that leads back to itself.
    LinkLoop,
    /// A link to a place outside the artifacts root, or into our own state.
    LinkLeaves,
    /// There, but the system does not let us look.
    Unreadable,
    /// Two roots hold a file of the same key; the first one is stored.
    Duplicate,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, detail) = (self.path.display(), &self.detail);
        match self.kind {
            ProblemKind::Name => {
                write!(f, "`{path}` is not stored: its name is not UTF-8 and cannot be a key; rename it")
            }
            ProblemKind::Special => write!(f, "`{path}` is not stored: it is {detail}, not a file"),
            ProblemKind::DanglingLink => {
                write!(f, "`{path}` is not stored: it links to nothing (`{detail}`)")
            }
            ProblemKind::LinkLoop => write!(f, "`{path}` is not stored: the link leads back to itself"),
            ProblemKind::LinkLeaves => {
                write!(
                    f,
                    "`{path}` is not stored: it links to `{detail}`, outside the artifacts; copy the file instead"
                )
            }
            ProblemKind::Unreadable => {
                write!(f, "`{path}` cannot be looked at: {detail}; what is stored of it stays as it is")
            }
            ProblemKind::Duplicate => {
                write!(f, "`{path}` is not stored: `{detail}` has the same key in the store")
            }
        }
    }
}

impl std::error::Error for Problem {}

impl Classified for Problem {
    fn class(&self) -> Class {
        match self.kind {
            ProblemKind::DanglingLink => Class::NotFound,
            ProblemKind::Unreadable => Class::Incomplete,
            _ => Class::Integrity,
        }
    }
}
