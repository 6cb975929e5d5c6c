//! What a store's refusal means.

use object_store::client::{HttpError, HttpErrorKind};
use plx_contract::Class;
use plx_contract::fault::{self, HttpFault, IdentityFault};
use std::error::Error;
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
    /// What answers is no object store, or speaks otherwise than it was spoken to.
    NotAStore,
    /// A proxy stands in between and lets nobody through.
    Proxy,
    /// There is nothing to ask with, and waiting will not change that. With the failure's class.
    NoIdentity(Class),
    /// There is nothing to ask with yet.
    IdentityNotReady,
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
    /// Its name in reports, such as `wrong-region`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::NoBucket => "no-such-bucket",
            Self::Denied => "denied",
            Self::BadSignature => "wrong-signature",
            Self::Expired => "expired",
            Self::ClockSkew => "clock-skew",
            Self::WrongRegion => "wrong-region",
            Self::Certificate => "certificate",
            Self::NotAStore => "not-a-store",
            Self::Proxy => "proxy",
            Self::NoIdentity(_) => "no-credentials",
            Self::IdentityNotReady => "credentials-not-ready",
            Self::Throttled(_) => "throttled",
            Self::Unreachable => "unreachable",
            Self::Passing => "broken-off",
            Self::Changed => "changed",
            Self::BadKey => "bad-key",
            Self::Refused => "refused",
        }
    }

    /// What an error of the store library means.
    pub fn of(error: &object_store::Error) -> Self {
        if let Some(fault) = fault::in_chain::<IdentityFault>(error) {
            return if fault.may_pass { Self::IdentityNotReady } else { Self::NoIdentity(fault.class) };
        }
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
        if text.contains("proxy") || text.contains("tunnel") {
            return Self::Proxy;
        }
        // TLS where none was meant, and none where it was.
        if text.contains("invalid HTTP version") || text.contains("InvalidContentType") {
            return Self::NotAStore;
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

    /// What an error answer means.
    pub fn of_fault(fault: &HttpFault) -> Self {
        if fault.is_of_the_clock() {
            return Self::ClockSkew;
        }
        // Azure has one code for whatever is wrong with a credential, and says in words what it is.
        let words = fault.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        let is_over = ["expired", "signed expiry time", "signature not valid in the specified time frame"]
            .iter()
            .any(|said| words.contains(said));
        match fault.code.as_deref() {
            Some("NoSuchBucket" | "InvalidBucketName" | "ContainerNotFound" | "ContainerBeingDeleted") => {
                return Self::NoBucket;
            }
            Some(
                "ExpiredToken"
                | "TokenRefreshRequired"
                | "InvalidToken"
                | "RequestExpired"
                | "ExpiredAuthenticationToken",
            ) => return Self::Expired,
            Some(
                "AuthenticationFailed"
                | "InvalidAuthenticationInfo"
                | "AuthenticationRequired"
                | "InvalidSecurity",
            ) if is_over => return Self::Expired,
            Some(
                "SignatureDoesNotMatch"
                | "InvalidAccessKeyId"
                | "InvalidSecurity"
                | "AuthenticationFailed"
                | "InvalidAuthenticationInfo"
                | "NoAuthenticationInformation"
                | "AuthenticationRequired",
            ) => return Self::BadSignature,
            Some(
                "AuthorizationHeaderMalformed"
                | "PermanentRedirect"
                | "TemporaryRedirect"
                | "IllegalLocationConstraintException",
            ) => return Self::WrongRegion,
            _ => {}
        }
        if matches!(fault.code.as_deref(), Some(fault::WEB_PAGE | fault::MOVED)) {
            return Self::NotAStore;
        }
        if fault.status == 407 {
            return Self::Proxy;
        }
        if fault.region.is_some() && (300..400).contains(&fault.status) {
            return Self::WrongRegion;
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
            401 => Self::BadSignature,
            403 => Self::Denied,
            409 => Self::Passing, // S3: another writer was there at the same moment.
            _ => Self::Refused,
        }
    }
}

/// The innermost error.
pub(crate) fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current
}
