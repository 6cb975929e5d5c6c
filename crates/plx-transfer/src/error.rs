//! Why an object was not moved, and whether trying again can help.

use crate::cause::{Cause, root};
use plx_contract::fault::{self, IdentityFault};
use plx_contract::key::UnsafePath;
use plx_contract::{Class, Classified};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An object that was not moved.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransferError {
    /// The store refused or broke off.
    #[error("{doing} {at}: {why}")]
    Store {
        /// What was tried, as a verb.
        doing: &'static str,
        /// Place and key.
        at: String,
        /// What the refusal means.
        cause: Cause,
        /// The store's own words on one line; never a credential.
        why: String,
    },
    /// The disk did.
    #[error("{doing} {}", path.display())]
    Disk {
        /// What was tried, as a verb.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// A named input is not there.
    #[error("{what} {at} does not exist")]
    Absent {
        /// Object, folder or path.
        what: &'static str,
        /// Place and key.
        at: String,
    },
    /// A key would be written outside of its target, or cannot be written at all.
    #[error("object {at} is refused: {why}")]
    Unsafe {
        /// Place and key.
        at: String,
        /// What is wrong with it.
        why: String,
    },
    /// An object kept changing while it was read.
    #[error("{at} changed while it was read, {times} times")]
    Changed {
        /// Place and key.
        at: String,
        /// How often it was tried.
        times: u32,
    },
    /// The target has no room for what is planned.
    #[error("{} has {free} bytes free and the inputs need {need}", path.display())]
    NoSpace {
        /// The target.
        path: PathBuf,
        /// Bytes wanted.
        need: u64,
        /// Bytes free.
        free: u64,
    },
    /// The end came first.
    #[error("{at} was not finished in time{}", last.as_ref().map(|last| format!(": {last}")).unwrap_or_default())]
    Stopped {
        /// Place and key.
        at: String,
        /// What stood in the way until then.
        last: Option<Box<TransferError>>,
    },
    /// A task of this program panicked.
    #[error("internal error: {0}")]
    Bug(String),
}

impl TransferError {
    /// The store refused or broke off while this was tried.
    pub fn store(doing: &'static str, at: impl Into<String>, error: &object_store::Error) -> Self {
        let cause = Cause::of(error);
        let why = match (fault::in_chain::<IdentityFault>(error), fault::find(error)) {
            (Some(fault), _) => fault.to_string(),
            (None, Some(fault)) => fault.to_string(),
            (None, None) => root(error).to_string(),
        };
        Self::Store { doing, at: at.into(), cause, why: why.replace(['\n', '\r'], " ") }
    }

    pub(crate) fn passing(doing: &'static str, at: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Store { doing, at: at.into(), cause: Cause::Passing, why: why.into() }
    }

    /// The disk did.
    pub fn disk(doing: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Disk { doing, path: path.to_owned(), source: Arc::new(error) }
    }

    pub(crate) fn unsafe_key(place: &str, error: &UnsafePath) -> Self {
        Self::Unsafe {
            at: format!("{place}/{}", error.path.escape_debug()),
            why: format!("its key {}", error.reason),
        }
    }

    /// What the store's refusal means, when it was the store.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Store { cause, .. } => Some(*cause),
            _ => None,
        }
    }

    /// True when the same try can succeed a little later.
    pub fn may_pass(&self) -> bool {
        matches!(
            self.cause(),
            Some(Cause::Throttled(_) | Cause::Unreachable | Cause::IdentityNotReady | Cause::Passing)
        )
    }

    /// True when every other object would fail in the same way.
    pub(crate) fn is_for_all(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Disk { source, .. } => {
                matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull
                        | io::ErrorKind::ReadOnlyFilesystem
                        | io::ErrorKind::QuotaExceeded
                )
            }
            Self::Store { cause, .. } => {
                matches!(
                    cause,
                    Cause::NoBucket
                        | Cause::BadSignature
                        | Cause::Expired
                        | Cause::ClockSkew
                        | Cause::WrongRegion
                        | Cause::Certificate
                        | Cause::Proxy
                        | Cause::NotAStore
                        | Cause::NoIdentity(_)
                )
            }
            _ => false,
        }
    }
}

impl Classified for TransferError {
    fn class(&self) -> Class {
        match self {
            Self::Store { cause, .. } => match cause {
                Cause::Absent | Cause::NoBucket => Class::NotFound,
                Cause::Denied | Cause::BadSignature | Cause::Expired | Cause::ClockSkew => Class::Denied,
                Cause::WrongRegion | Cause::Certificate | Cause::Proxy | Cause::NotAStore => Class::Config,
                Cause::NoIdentity(class) => *class,
                Cause::BadKey => Class::Integrity,
                Cause::Throttled(_)
                | Cause::Unreachable
                | Cause::IdentityNotReady
                | Cause::Passing
                | Cause::Changed
                | Cause::Refused => Class::Unavailable,
            },
            Self::Disk { doing: "read" | "look at", source, .. }
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Class::NotFound
            }
            Self::Disk { .. } | Self::NoSpace { .. } => Class::CannotWrite,
            Self::Absent { .. } => Class::NotFound,
            Self::Unsafe { .. } => Class::Integrity,
            Self::Changed { .. } => Class::Unavailable,
            Self::Stopped { .. } => Class::Incomplete,
            Self::Bug(_) => Class::Bug,
        }
    }

    fn next_step(&self) -> Option<String> {
        let step = match self {
            Self::Store { cause, why, .. } => match cause {
                Cause::Absent => "check the path in the store",
                Cause::NoBucket => "create the bucket, or correct the connection's schema",
                Cause::Denied => {
                    "grant the connection's keys list and read on the bucket, and write where outputs go"
                }
                Cause::BadSignature => {
                    "correct the access key and the secret key of the connection, or its token: the store does not know them"
                }
                Cause::Expired => "the token is over: renew it, or use a role that renews itself",
                Cause::ClockSkew => "set the clock of this machine, by NTP",
                Cause::WrongRegion => "set AWS_REGION to the bucket's region",
                Cause::Certificate if why.contains("expired") => {
                    "renew the server's certificate, or set the clock of this machine"
                }
                Cause::Certificate if why.contains("not valid for name") => {
                    "use the host name that the server's certificate is for"
                }
                Cause::Certificate => {
                    "name the server's CA in POLYAXON_SSL_CA_CERT: it is trusted beside the system's"
                }
                Cause::NotAStore if why.contains("invalid HTTP version") => {
                    "this server speaks TLS: write the endpoint with https://"
                }
                Cause::NotAStore if why.contains("InvalidContentType") => {
                    "this server speaks no TLS: write the endpoint with http://"
                }
                Cause::NotAStore => "correct the endpoint: what answers there is no object store",
                Cause::Proxy => {
                    "check the proxy in HTTPS_PROXY or HTTP_PROXY and its login, or add the host to NO_PROXY"
                }
                Cause::NoIdentity(Class::Denied) => {
                    "check what the source of the credentials allows: the role's trust, the token, the secret"
                }
                Cause::NoIdentity(_) => {
                    "give the connection keys in its secret, or the pod an identity that the source knows"
                }
                Cause::IdentityNotReady => {
                    "the source of the credentials did not answer: check the node's agents"
                }
                Cause::Throttled(_) => "the store asks to slow down: try later, or raise PLX_RETRY_SECONDS",
                Cause::Unreachable => "check the endpoint and that the network reaches it",
                Cause::Passing | Cause::Refused => "try again; if it stays, look at the store's own log",
                Cause::Changed => "nothing may write the object while it is read",
                Cause::BadKey => "rename the object",
            },
            Self::Disk { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "give the volume more space, or fetch less"
                }
                io::ErrorKind::ReadOnlyFilesystem => "mount the target writable",
                io::ErrorKind::PermissionDenied => {
                    "let this user write to the target (fsGroup, or the mode of the folder)"
                }
                io::ErrorKind::NotFound => "check that the path exists",
                io::ErrorKind::IsADirectory
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::AlreadyExists
                | io::ErrorKind::DirectoryNotEmpty => {
                    "a file and a folder want the same name: remove one of them"
                }
                _ => "check the volume",
            },
            Self::Absent { .. } => "check the name, or pass --optional if it may be missing",
            Self::Unsafe { .. } => "rename the object in the store or leave it out",
            Self::Changed { .. } => "nothing may write the object while it is read",
            Self::NoSpace { .. } => "give the volume more space, or fetch less",
            Self::Stopped { .. } => {
                "run it again, or allow more time: terminationGracePeriodSeconds of the pod, --finish-timeout of the sidecar"
            }
            Self::Bug(_) => "report it with this message",
        };
        Some(step.to_owned())
    }
}
