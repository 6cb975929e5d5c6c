//! What a signed request says of itself.

use chrono::{DateTime, NaiveDateTime, Utc};
use http::HeaderMap;
use url::form_urlencoded;

use crate::http_server::{Request, header};

/// By headers, or by the query of a URL that was signed beforehand.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub access_key: Option<String>,
    pub region: Option<String>,
    pub token: Option<String>,
    pub signed_at: Option<DateTime<Utc>>,
    /// Of a URL that was signed beforehand.
    pub valid_seconds: Option<i64>,
    /// As `x-amz-checksum-crc32`: the first of those that came in 2022 and became the default in 2025.
    pub new_checksum: Option<String>,
    /// It is about a bucket, not an object.
    pub bucket_alone: bool,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        let headers = request.headers();
        let query: Vec<(String, String)> =
            form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let in_query = |name: &str| {
            query.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
        };
        let in_header = |name: &str| Some(header(headers, name)).filter(|value| !value.is_empty());
        let either = |name: &str| in_header(name).or_else(|| in_query(name));

        let authorization = in_header("authorization").unwrap_or_default();
        let from_header = authorization.split_once("Credential=").map(|(_, rest)| rest);
        let from_header = from_header.and_then(|rest| rest.split([',', ' ']).next());
        // KEY/DATE/REGION/s3/aws4_request, and a key may hold slashes on servers other than AWS.
        let scope = from_header.or_else(|| in_query("x-amz-credential")).unwrap_or_default();
        let mut scope = scope.rsplitn(5, '/').skip(2);
        let (region, _date, access_key) = (scope.next(), scope.next(), scope.next());
        Self {
            access_key: access_key.map(str::to_owned),
            region: region.map(str::to_owned),
            token: either("x-amz-security-token").map(str::to_owned),
            signed_at: either("x-amz-date").and_then(time),
            valid_seconds: in_query("x-amz-expires").and_then(|seconds| seconds.parse().ok()),
            new_checksum: new_checksum(headers),
            bucket_alone: !request.uri().path().trim_matches('/').contains('/'),
        }
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok().map(|time| time.and_utc())
}

fn new_checksum(headers: &HeaderMap) -> Option<String> {
    let names = headers.keys().map(http::HeaderName::as_str);
    let found = names.into_iter().find(|name| {
        name.starts_with("x-amz-checksum-")
            || ["x-amz-sdk-checksum-algorithm", "x-amz-trailer"].contains(name)
    });
    if header(headers, "content-encoding").contains("aws-chunked") {
        return Some("content-encoding".to_owned());
    }
    if header(headers, "x-amz-content-sha256").ends_with("-TRAILER") {
        return Some("x-amz-content-sha256".to_owned());
    }
    found.map(str::to_owned)
}
