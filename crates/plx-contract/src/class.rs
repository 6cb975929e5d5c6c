//! What kind of failure it was, and the exit code that says so.
//!
//! The classes follow BSD `sysexits.h`, so that a pod's `exitCode` alone tells an operator where to look.

use std::fmt;

/// A failure's class. Its number is the exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// 0: everything asked for was done.
    Done,
    /// 64: the command line is wrong.
    Usage,
    /// 65: data that must not be used: an object key that leaves its target, content that does not check.
    Integrity,
    /// 66: an input does not exist.
    NotFound,
    /// 69: a service stayed unavailable through all retries.
    Unavailable,
    /// 70: a fault in this program.
    Bug,
    /// 73: the target cannot be written: no space, read-only, no permission on this machine.
    CannotWrite,
    /// 75: the deadline came first; something is left undone.
    Incomplete,
    /// 77: the service knows who asks and refuses.
    Denied,
    /// 78: the configuration is wrong: catalog, connection, credentials, environment.
    Config,
}

impl Class {
    /// The exit code, as in `sysexits.h`.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Usage => 64,
            Self::Integrity => 65,
            Self::NotFound => 66,
            Self::Unavailable => 69,
            Self::Bug => 70,
            Self::CannotWrite => 73,
            Self::Incomplete => 75,
            Self::Denied => 77,
            Self::Config => 78,
        }
    }

    /// The class's name in reports and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Usage => "usage",
            Self::Integrity => "integrity",
            Self::NotFound => "not-found",
            Self::Unavailable => "unavailable",
            Self::Bug => "bug",
            Self::CannotWrite => "cannot-write",
            Self::Incomplete => "incomplete",
            Self::Denied => "denied",
            Self::Config => "configuration",
        }
    }

    /// Whether waiting can help. Everything else is the same on the next try.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Unavailable | Self::Incomplete)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error that knows its class and the next step to take.
pub trait Classified: std::error::Error {
    /// The failure's class.
    fn class(&self) -> Class;
    /// What the reader can do about it, as one short sentence without a full stop.
    fn next_step(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_own_code_and_name() {
        use Class::*;
        let all =
            [Done, Usage, Integrity, NotFound, Unavailable, Bug, CannotWrite, Incomplete, Denied, Config];
        let codes: std::collections::BTreeSet<_> = all.iter().map(|c| c.code()).collect();
        let names: std::collections::BTreeSet<_> = all.iter().map(|c| c.name()).collect();
        assert_eq!((codes.len(), names.len()), (all.len(), all.len()));
    }
}
