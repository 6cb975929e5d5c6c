//! What the identity services know and give out.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

use crate::jwt::seconds_now;

/// Credentials of AWS for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsKeys {
    /// As `ASIA…`.
    pub access_key: String,
    /// Test servers only: it is shown by `Debug`.
    pub secret_key: String,
    /// The session token, which real ones always have.
    pub token: String,
    /// From when they are set.
    pub lifetime: Duration,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub aws: Option<(AwsKeys, SystemTime)>,
    bearer: Option<(String, u64)>,
    pub pod_token: Option<String>,
    pub client_secret: Option<String>,
    pub federated_token: Option<String>,
    pub identity_header: Option<String>,
    pub client_id: Option<String>,
    pub not_ready: usize,
    pub unreachable: usize,
    pub refuse_all: Option<u16>,
    /// Tokens of IMDSv2 and when they end, in seconds.
    pub sessions: HashMap<String, u64>,
}

/// An access token on its way out.
#[derive(Debug)]
pub(super) struct Bearer {
    pub token: String,
    /// Seconds since 1970.
    pub expires_on: u64,
    /// Seconds from now.
    pub expires_in: u64,
}

/// What a client is told.
#[derive(Debug)]
pub(super) struct Answered {
    pub status: u16,
    pub kind: &'static str,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: String,
}

impl State {
    pub fn set_aws(&mut self, keys: AwsKeys) {
        let expires = SystemTime::now() + keys.lifetime;
        self.aws = Some((keys, expires));
    }

    pub fn set_bearer(&mut self, token: &str, lifetime: Duration) {
        self.bearer = Some((token.to_owned(), seconds_now() + lifetime.as_secs()));
    }

    pub fn bearer(&self) -> Option<Bearer> {
        let (token, expires_on) = self.bearer.clone()?;
        Some(Bearer { token, expires_on, expires_in: expires_on.saturating_sub(seconds_now()) })
    }
}

impl Answered {
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, kind: "text/plain", headers: Vec::new(), body: body.into() }
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self { kind: "application/json; charset=utf-8", ..Self::text(status, body.to_string()) }
    }

    pub fn xml(status: u16, body: String) -> Self {
        Self { kind: "text/xml", ..Self::text(status, body) }
    }
}

/// As `2030-01-02T03:04:05Z`.
pub(super) fn time(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Secs, true)
}
