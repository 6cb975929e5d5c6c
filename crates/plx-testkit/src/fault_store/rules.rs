//! What fails, how, and how often.

use std::time::Duration;

use object_store::Error;
use plx_contract::fault::HttpFault;

use crate::Times;

/// What a store is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// A whole object is written.
    Put,
    /// An object, or a range of one, is read.
    Get,
    /// Keys are listed; the prefix counts as the key.
    List,
    /// An object is asked for without its bytes.
    Head,
    /// An object is deleted.
    Delete,
    /// An object is copied; its new name counts as the key.
    Copy,
    /// A multipart upload begins.
    Create,
    /// A part is written.
    PutPart,
    /// A multipart upload becomes an object.
    Complete,
    /// A multipart upload is given up.
    Abort,
}

/// How a call fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// `object_store::Error::Generic` with this in its source chain; nothing was done.
    Status(HttpFault),
    /// The connection was reset; nothing was done.
    Reset,
    /// It was done, and then the connection was reset: whoever called cannot know.
    Lost,
    /// It was done, and nobody is told: the call never answers. Not of bodies and listings.
    Silent,
    /// Never answers.
    Stall,
    /// Answers after that long, on tokio's clock.
    Slow(Duration),
    /// `object_store::Error::NotFound`.
    NotFound,
    /// `object_store::Error::PermissionDenied`.
    Denied,
    /// `object_store::Error::Unauthenticated`.
    Unauthenticated,
    /// `object_store::Error::Precondition`.
    Precondition,
    /// The body (of `Get`) or the listing (of `List`) breaks with a reset after so many bytes or entries, or behind its
    /// last one when it has no more.
    Truncate(u64),
    /// The body or the listing ends after so many bytes or entries as if that were all.
    Short(u64),
    /// The body or the listing says nothing more after so many bytes or entries, not even its end.
    StallAfter(u64),
    /// One bit is wrong in what is read or written; the length is right.
    Corrupt,
}

impl Fault {
    /// `SlowDown`, 503.
    pub fn throttle() -> Self {
        Self::status(503, "SlowDown")
    }

    /// A status and the service's code.
    pub fn status(status: u16, code: &str) -> Self {
        Fault::Status(HttpFault { status, code: Some(code.to_owned()), ..HttpFault::default() })
    }

    /// The error to answer with; `None` for those faults that answer nothing or something else.
    pub(super) fn error(&self, key: &str) -> Option<Error> {
        let path = key.to_owned();
        let source = "by the fault store".into();
        match self {
            Fault::Status(fault) => Some(Error::Generic { store: STORE, source: Box::new(fault.clone()) }),
            Fault::Reset => Some(reset()),
            Fault::NotFound => Some(Error::NotFound { path, source }),
            Fault::Denied => Some(Error::PermissionDenied { path, source }),
            Fault::Unauthenticated => Some(Error::Unauthenticated { path, source }),
            Fault::Precondition => Some(Error::Precondition { path, source }),
            Fault::Lost | Fault::Silent | Fault::Stall | Fault::Slow(_) | Fault::Corrupt => None,
            Fault::Truncate(_) | Fault::Short(_) | Fault::StallAfter(_) => None,
        }
    }
}

pub(super) const STORE: &str = "fault store";

/// A connection that was reset, as a client reports it.
pub(super) fn reset() -> Error {
    Error::Generic {
        store: STORE,
        source: Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    }
}

#[derive(Debug)]
pub(super) struct Rule {
    pub op: Op,
    pub key_contains: String,
    pub fault: Fault,
    pub times: Times,
    pub met: u64,
}

impl Rule {
    pub fn meet(&mut self, op: Op, key: &str) -> Option<Fault> {
        if self.op != op || !key.contains(&self.key_contains) {
            return None;
        }
        self.met += 1;
        self.times.applies(self.met).then(|| self.fault.clone())
    }
}
