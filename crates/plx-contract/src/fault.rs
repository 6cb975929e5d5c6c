//! What an HTTP service answered when it refused, as data.
//!
//! The client that made the request puts one of these into its error's source chain; whoever decides about retries
//! finds it there, without either knowing the other.

use std::time::Duration;

/// An error answer of an HTTP service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct HttpFault {
    /// HTTP status.
    pub status: u16,
    /// The service's own code, such as `NoSuchBucket` or `SlowDown`.
    pub code: Option<String>,
    /// The service's own words, cut to one line.
    pub message: Option<String>,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
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

/// The first [`HttpFault`] in an error's source chain.
pub fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a HttpFault> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(fault) = error.downcast_ref::<HttpFault>() {
            return Some(fault);
        }
        current = error.source();
    }
    None
}
