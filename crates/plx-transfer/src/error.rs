//! Why an object was not moved, and whether trying again can help.

use object_store::client::{HttpError, HttpErrorKind};
use plx_contract::fault::{self, HttpFault};
use plx_contract::key::UnsafePath;
use plx_contract::{Class, Classified};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a store's refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No such object.
    Absent,
    /// No such bucket.
    NoBucket,
    /// Known, and not allowed.
    Denied,
    /// The keys do not fit together.
    BadSignature,
    /// The session is over.
    Expired,
    /// The clocks differ too much.
    ClockSkew,
    /// The bucket is elsewhere.
    WrongRegion,
    /// The server's certificate is not trusted.
    Certificate,
    /// Asked to slow down, perhaps for so long.
    Throttled(Option<Duration>),
    /// No connection.
    Unreachable,
    /// Broke in between; the next try may well work.
    Passing,
    /// Another version than the one that was planned.
    Changed,
    /// A key that cannot be a path here.
    BadKey,
    /// Anything else the service refuses for good.
    Refused,
}

impl Cause {
    /// What an error of the store library means.
    pub fn of(error: &object_store::Error) -> Self {
        if let Some(fault) = fault::find(error) {
            return Self::of_fault(fault);
        }
        match error {
            object_store::Error::NotFound { .. } => return Self::Absent,
            object_store::Error::Precondition { .. } | object_store::Error::NotModified { .. } => {
                return Self::Changed;
            }
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                return Self::Denied;
            }
            object_store::Error::InvalidPath { .. } => return Self::BadKey,
            _ => {}
        }
        let text = root(error).to_string();
        if text.contains("certificate") || text.contains("UnknownIssuer") {
            return Self::Certificate;
        }
        if text.contains("redirect without LOCATION") {
            return Self::WrongRegion;
        }
        if text.contains("non-UTF") || text.contains("invalid path") {
            return Self::BadKey;
        }
        let mut current: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = current {
            if let Some(http) = error.downcast_ref::<HttpError>() {
                return if http.kind() == HttpErrorKind::Connect { Self::Unreachable } else { Self::Passing };
            }
            current = error.source();
        }
        Self::Passing
    }

    fn of_fault(fault: &HttpFault) -> Self {
        match fault.code.as_deref() {
            Some("NoSuchBucket" | "InvalidBucketName" | "ContainerNotFound") => return Self::NoBucket,
            Some("SignatureDoesNotMatch" | "InvalidAccessKeyId" | "InvalidSecurity") => {
                return Self::BadSignature;
            }
            Some("ExpiredToken" | "TokenRefreshRequired" | "InvalidToken") => return Self::Expired,
            Some("RequestTimeTooSkewed" | "RequestExpired") => return Self::ClockSkew,
            Some(
                "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException",
            ) => {
                return Self::WrongRegion;
            }
            _ => {}
        }
        if fault.is_throttle() {
            return Self::Throttled(fault.retry_after);
        }
        if fault.may_pass() {
            return Self::Passing;
        }
        match fault.status {
            404 => Self::Absent,
            412 => Self::Changed,
            401 | 403 => Self::Denied,
            409 => Self::Passing, // S3: another writer was there at the same moment.
            _ => Self::Refused,
        }
    }
}

fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current
}

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
    pub(crate) fn store(doing: &'static str, at: impl Into<String>, error: &object_store::Error) -> Self {
        let cause = Cause::of(error);
        let why = fault::find(error).map_or_else(|| root(error).to_string(), ToString::to_string);
        Self::Store { doing, at: at.into(), cause, why: why.replace(['\n', '\r'], " ") }
    }

    pub(crate) fn passing(doing: &'static str, at: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Store { doing, at: at.into(), cause: Cause::Passing, why: why.into() }
    }

    pub(crate) fn disk(doing: &'static str, path: &Path, error: io::Error) -> Self {
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
        matches!(self.cause(), Some(Cause::Throttled(_) | Cause::Unreachable | Cause::Passing))
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
                        | Cause::WrongRegion
                        | Cause::Certificate
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
                Cause::WrongRegion | Cause::Certificate => Class::Config,
                Cause::BadKey => Class::Integrity,
                Cause::Throttled(_)
                | Cause::Unreachable
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
            Self::Store { cause, .. } => match cause {
                Cause::Absent => "check the path in the store",
                Cause::NoBucket => "create the bucket, or correct the connection's schema",
                Cause::Denied => {
                    "grant the connection's keys list and read on the bucket, and write where outputs go"
                }
                Cause::BadSignature => "correct the access key and the secret key of the connection",
                Cause::Expired => "renew the session token",
                Cause::ClockSkew => "set this machine's clock",
                Cause::WrongRegion => "set AWS_REGION to the bucket's region",
                Cause::Certificate => {
                    "add the server's CA to the system's, or set AWS_VERIFY_SSL=false to trust anything"
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
