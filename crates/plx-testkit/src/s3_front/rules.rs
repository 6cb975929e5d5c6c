//! What becomes of a request.

use std::collections::HashSet;

use chrono::{SecondsFormat, TimeDelta, Utc};
use http::header::DATE;
use http::{HeaderMap, HeaderValue};

use super::asked::Asked;
use crate::{Match, Seen};

const MOST_SKEW: TimeDelta = TimeDelta::minutes(15);
const DATE_FORMAT: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// Where a client that chose the wrong region is told the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionHint {
    /// In the header `x-amz-bucket-region`, which a HEAD has too.
    Header,
    /// In the XML of the error, which a HEAD has not.
    Body,
    /// In both, as AWS.
    Both,
    /// Nowhere.
    Silent,
}

#[derive(Debug, Default)]
pub(super) struct Rules {
    pub region: Option<(String, RegionHint)>,
    pub redirects: bool,
    /// How far ahead of this machine's; `None` where nobody looks at clocks.
    pub clock: Option<TimeDelta>,
    pub tokens: Option<HashSet<String>>,
    pub expired: HashSet<String>,
    pub token_required: bool,
    pub denied: Vec<Match>,
    pub revoked_keys: HashSet<String>,
    pub no_new_checksums: bool,
}

/// An error of S3's.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
    /// XML besides code and message.
    pub more: String,
    /// For the header.
    pub region: Option<String>,
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned(), ..Self::default() }
    }
}

impl Rules {
    pub(super) fn expire(&mut self, token: &str) {
        if let Some(tokens) = &mut self.tokens {
            tokens.remove(token);
        }
        self.expired.insert(token.to_owned());
    }

    pub(super) fn refusal(&self, asked: &Asked, seen: &Seen) -> Option<Refusal> {
        self.checksum(asked)
            .or_else(|| self.wrong_region(asked))
            .or_else(|| self.wrong_time(asked))
            .or_else(|| self.wrong_key(asked))
            .or_else(|| self.wrong_token(asked))
            .or_else(|| {
                let denied = self.denied.iter().any(|matching| matching.matches(seen));
                denied.then(|| Refusal::new(403, "AccessDenied", "Access Denied"))
            })
    }

    /// What all answers say, refusals and others.
    pub(super) fn mark(&self, asked: &Asked, headers: &mut HeaderMap) {
        let word = || format!("{:016X}", fastrand::u64(..));
        for name in ["x-amz-request-id", "x-amz-id-2"] {
            headers.entry(name).or_insert_with(|| HeaderValue::try_from(word()).expect("digits"));
        }
        let now = Utc::now() + self.clock.unwrap_or_default();
        headers.insert(DATE, HeaderValue::try_from(now.format(DATE_FORMAT).to_string()).expect("a date"));
        if let Some((region, RegionHint::Header | RegionHint::Both)) = &self.region
            && asked.bucket_alone
        {
            headers.insert("x-amz-bucket-region", HeaderValue::try_from(region).expect("a region is a word"));
        }
    }

    fn checksum(&self, asked: &Asked) -> Option<Refusal> {
        let header = asked.new_checksum.as_ref().filter(|_| self.no_new_checksums)?;
        let message = "A header you provided implies functionality that is not implemented";
        let more = format!("<Header>{header}</Header>");
        Some(Refusal { more, ..Refusal::new(501, "NotImplemented", message) })
    }

    fn wrong_region(&self, asked: &Asked) -> Option<Refusal> {
        let (right, hint) = self.region.as_ref()?;
        let wrong = asked.region.as_ref().filter(|asked| *asked != right)?;
        let in_header = matches!(hint, RegionHint::Header | RegionHint::Both);
        let in_body = matches!(hint, RegionHint::Body | RegionHint::Both);
        if self.redirects {
            let message = "The bucket you are attempting to access must be addressed using the specified endpoint. \
                           Please send all future requests to this endpoint.";
            let more = format!("<Endpoint>s3.{right}.amazonaws.com</Endpoint>");
            let more = if in_body { more } else { String::new() };
            let region = (*hint != RegionHint::Silent).then(|| right.clone());
            return Some(Refusal { more, region, ..Refusal::new(301, "PermanentRedirect", message) });
        }
        let mut message = format!("The authorization header is malformed; the region '{wrong}' is wrong");
        let mut more = String::new();
        if in_body {
            message.push_str(&format!("; expecting '{right}'"));
            more = format!("<Region>{right}</Region>");
        }
        let region = in_header.then(|| right.clone());
        Some(Refusal { more, region, ..Refusal::new(400, "AuthorizationHeaderMalformed", &message) })
    }

    fn wrong_time(&self, asked: &Asked) -> Option<Refusal> {
        let (ahead, signed_at) = (self.clock?, asked.signed_at?);
        let now = Utc::now() + ahead;
        if let Some(seconds) = asked.valid_seconds {
            let over = now - signed_at > TimeDelta::seconds(seconds);
            return over.then(|| Refusal::new(403, "AccessDenied", "Request has expired"));
        }
        if (now - signed_at).abs() <= MOST_SKEW {
            return None;
        }
        let more = format!(
            "<RequestTime>{}</RequestTime><ServerTime>{}</ServerTime>\
             <MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>",
            signed_at.format("%Y%m%dT%H%M%SZ"),
            now.to_rfc3339_opts(SecondsFormat::Secs, true),
        );
        let message = "The difference between the request time and the current time is too large.";
        Some(Refusal { more, ..Refusal::new(403, "RequestTimeTooSkewed", message) })
    }

    fn wrong_key(&self, asked: &Asked) -> Option<Refusal> {
        let key = asked.access_key.as_ref().filter(|key| self.revoked_keys.contains(*key))?;
        let message = "The AWS Access Key Id you provided does not exist in our records.";
        let more = format!("<AWSAccessKeyId>{key}</AWSAccessKeyId>");
        Some(Refusal { more, ..Refusal::new(403, "InvalidAccessKeyId", message) })
    }

    fn wrong_token(&self, asked: &Asked) -> Option<Refusal> {
        let Some(token) = &asked.token else {
            return self.token_required.then(|| Refusal::new(403, "AccessDenied", "Access Denied"));
        };
        let good = self.tokens.as_ref().is_none_or(|tokens| tokens.contains(token));
        if good && !self.expired.contains(token) {
            return None;
        }
        let more = format!("<Token-0>{token}</Token-0>");
        Some(Refusal { more, ..Refusal::new(400, "ExpiredToken", "The provided token has expired.") })
    }
}
