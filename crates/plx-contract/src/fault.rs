//! What an HTTP service answered when it refused, as data.
//!
//! The client that made the request puts one of these into its error's source chain; whoever decides about retries
//! finds it there, without either knowing the other.

use crate::Class;
use std::time::Duration;

/// A difference of two clocks from which on it is told: tokens are refused from five minutes on.
pub const SKEW_SECONDS: i64 = 240;
/// Signatures are refused from fifteen minutes on.
const SIGNATURE_SKEW_SECONDS: i64 = 840;

/// Our own code for a page for people where a service should have answered.
pub const WEB_PAGE: &str = "WebPage";
/// Our own code for a redirect to another place, which nobody may follow with a signature.
pub const MOVED: &str = "Moved";

/// An error answer of an HTTP service.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct HttpFault {
    /// HTTP status.
    pub status: u16,
    /// The service's own code, such as `NoSuchBucket` or `SlowDown`.
    pub code: Option<String>,
    /// The service's own words, cut to one line.
    pub message: Option<String>,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The region the bucket is in, when the service tells it.
    pub region: Option<String>,
    /// By how many seconds the service's clock is ahead of this one; negative when it is behind.
    pub skew_seconds: Option<i64>,
}

impl std::fmt::Display for HttpFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        if let Some(region) = &self.region {
            write!(f, " (the bucket is in {region})")?;
        }
        if let Some(skew) = self.skew_seconds.filter(|skew| skew.abs() >= SKEW_SECONDS) {
            let word = if skew > 0 { "behind" } else { "ahead of" };
            write!(f, " (this machine's clock is {} s {word} the service's)", skew.abs())?;
        }
        Ok(())
    }
}

impl HttpFault {
    /// The service asks everybody to slow down.
    pub fn is_throttle(&self) -> bool {
        const CODES: [&str; 6] = [
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "RequestLimitExceeded",
            "TooManyRequests",
            "ServerBusy",
        ];
        matches!(self.status, 429 | 503) || self.code.as_deref().is_some_and(|code| CODES.contains(&code))
    }

    /// Another credential might be taken: this one is over, unknown or does not fit.
    pub fn is_about_the_credential(&self) -> bool {
        const CODES: [&str; 13] = [
            "ExpiredToken",
            "TokenRefreshRequired",
            "InvalidToken",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "RequestExpired",
            // Azure.
            "AuthenticationFailed",
            "InvalidAuthenticationInfo",
            "ExpiredAuthenticationToken",
            "NoAuthenticationInformation",
            // Google.
            "AuthenticationRequired",
            "InvalidSecurity",
            "Unauthorized",
        ];
        self.status == 401 || self.code.as_deref().is_some_and(|code| CODES.contains(&code))
    }

    /// The two clocks differ so much that it explains this refusal, whatever name it goes by.
    pub fn is_of_the_clock(&self) -> bool {
        let skew = self.skew_seconds.unwrap_or(0).abs();
        self.code.as_deref() == Some("RequestTimeTooSkewed")
            || (self.is_about_the_credential() && skew >= SKEW_SECONDS)
            || (self.status == 403 && skew >= SIGNATURE_SKEW_SECONDS)
    }

    /// The same request may well be answered a little later.
    pub fn may_pass(&self) -> bool {
        self.is_throttle()
            || matches!(self.status, 408 | 500 | 502 | 504)
            || matches!(
                self.code.as_deref(),
                Some("RequestTimeout" | "InternalError" | "IncompleteBody" | "BadDigest")
            )
    }
}

/// No credential could be had to ask with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no credentials from {from}: {why}")]
pub struct IdentityFault {
    /// Where they were to come from.
    pub from: String,
    /// What went wrong there, on one line; never a credential.
    pub why: String,
    /// The failure's class: denied when the source refused, configuration when there is none.
    pub class: Class,
    /// The source may just not be ready yet, as in the first minute of a node's life.
    pub may_pass: bool,
}

/// The first [`HttpFault`] in an error's source chain.
pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a HttpFault> {
    in_chain(error)
}

/// The first error of a type in an error's source chain, that error included.
pub fn in_chain<'a, T: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a T> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}
