//! An error answer becomes data: status, the service's code, its region, its clock, and how long it asks to wait.
//!
//! object_store maps most statuses to one `Generic` error whose text alone tells them apart, and its own retry layer
//! answers for the rest. Whoever owns the retries finds the [`HttpFault`] with [`plx_contract::fault::find`].

use futures::StreamExt;
use http::HeaderMap;
use object_store::client::HttpResponse;
use plx_contract::fault::{HttpFault, MOVED, WEB_PAGE};
use serde::Deserialize;
use std::time::Duration;

/// As much of an error answer as is read.
const BODY_LIMIT: usize = 16 * 1024;
/// As much of a service's own words as is repeated.
const MESSAGE_LIMIT: usize = 300;

/// An answer that is no success: an error, or a redirect, which nobody may follow with a signature.
pub(crate) fn is_refusal(status: http::StatusCode) -> bool {
    status.as_u16() >= 400 || (status.is_redirection() && status != http::StatusCode::NOT_MODIFIED)
}

pub(crate) async fn fault_of(response: HttpResponse) -> HttpFault {
    let (head, body) = response.into_parts();
    let mut text = Vec::new();
    let mut chunks = body.bytes_stream();
    // A body that breaks off leaves the status, which is what matters.
    while let Some(Ok(chunk)) = chunks.next().await {
        text.extend_from_slice(&chunk);
        if text.len() >= BODY_LIMIT {
            break;
        }
    }
    let text = String::from_utf8_lossy(&text);
    let said = said(&text);
    let region = header(&head.headers, "x-amz-bucket-region").map(str::to_owned).or(said.region);
    let moved =
        header(&head.headers, "location").filter(|_| head.status.is_redirection() && region.is_none());
    // Where a service would have said that it knows no such thing, a web server shows a page.
    let is_page = is_web_page(&head.headers)
        && matches!(head.status.as_u16(), 404 | 405)
        && text.to_ascii_lowercase().contains("<html");
    let ours = if is_page { Some(WEB_PAGE) } else { moved.map(|_| MOVED) };
    HttpFault {
        status: head.status.as_u16(),
        code: said
            .code
            .or_else(|| header(&head.headers, "x-ms-error-code").map(str::to_owned))
            .or_else(|| ours.map(str::to_owned)),
        message: said.message.or_else(|| moved.map(|to| format!("moved to {}", origin(to)))),
        retry_after: header(&head.headers, "retry-after")
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs),
        region,
        skew_seconds: skew(&head.headers),
    }
}

/// The answer is for people.
pub(crate) fn is_web_page(headers: &HeaderMap) -> bool {
    header(headers, "content-type").is_some_and(|kind| kind.trim_start().starts_with("text/html"))
}

/// A listing that is a page: a captive portal, or a web server where a store should be.
pub(crate) fn page_for_a_listing(response: &HttpResponse) -> HttpFault {
    HttpFault {
        status: response.status().as_u16(),
        code: Some(WEB_PAGE.to_owned()),
        message: Some("a web page in place of a listing".to_owned()),
        skew_seconds: skew(response.headers()),
        ..HttpFault::default()
    }
}

/// By how many seconds the answer's clock is ahead of this one.
pub(crate) fn skew(headers: &HeaderMap) -> Option<i64> {
    let theirs = chrono::DateTime::parse_from_rfc2822(header(headers, "date")?).ok()?;
    Some((theirs.with_timezone(&chrono::Utc) - chrono::Utc::now()).num_seconds())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Scheme, host and port alone: the rest of a redirect may be a signed URL.
fn origin(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| "another place".to_owned(), |url| url.origin().ascii_serialization())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    code: Option<String>,
    message: Option<String>,
    region: Option<String>,
}

/// The error document of S3, Azure and GCS's XML interface; STS wraps it in an `ErrorResponse`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Document {
    code: Option<String>,
    message: Option<String>,
    region: Option<String>,
    authentication_error_detail: Option<String>,
    error: Option<Box<Document>>,
}

/// Of the token endpoints of Google and Microsoft: `{"error": "…", "error_description": "…"}`; of Google's services
/// and of Azure's metadata service: `{"error": {"code": …, "message": …}}`.
#[derive(Debug, Deserialize)]
struct Json {
    error: serde_json::Value,
    error_description: Option<String>,
}

fn said(body: &str) -> Said {
    let (code, message, region) = if body.trim_start().starts_with('{') {
        let Ok(json) = serde_json::from_str::<Json>(body) else { return Said::default() };
        let text = |key: &str| json.error.get(key).and_then(|value| value.as_str()).map(str::to_owned);
        let code = json.error.as_str().map(str::to_owned).or_else(|| text("status")).or_else(|| text("code"));
        (code, json.error_description.or_else(|| text("message")), None)
    } else {
        let document: Document = quick_xml::de::from_str(body).unwrap_or_default();
        let document = match document.error {
            Some(inner) => *inner,
            None => document,
        };
        // Azure says in the detail alone whether a token is over or a signature is wrong.
        let message = match (document.message, document.authentication_error_detail) {
            (Some(message), Some(detail)) => {
                Some(format!("{} {detail}", message.lines().next().unwrap_or_default()))
            }
            (message, detail) => message.or(detail),
        };
        (document.code, message, document.region)
    };
    Said {
        code: code.filter(|code| !code.is_empty()),
        message: message.map(|message| {
            // What a service adds for its own support says nothing here.
            let message = ["RequestId:", " Trace ID:"].iter().fold(message.as_str(), |text, noise| {
                text.split_once(noise).map_or(text, |(words, _)| words)
            });
            let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
            line.truncate(line.floor_char_boundary(MESSAGE_LIMIT));
            line
        }),
        region: region.filter(|region| !region.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, code: &str, message: &str, region: Option<&str>) {
        let want = Said {
            code: Some(code.to_owned()),
            message: Some(message.to_owned()),
            region: region.map(str::to_owned),
        };
        assert_eq!(said(body), want, "{body}");
    }

    #[test]
    fn the_services_own_words_on_one_line() {
        check(
            "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce\n your rate</Message><X>1</X></Error>",
            "SlowDown",
            "Please reduce your rate",
            None,
        );
        check(
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-west-1</Region></Error>",
            "AuthorizationHeaderMalformed",
            "m",
            Some("eu-west-1"),
        );
        check(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>AccessDenied</Code><Message>not authorized</Message></Error><RequestId>1</RequestId></ErrorResponse>",
            "AccessDenied",
            "not authorized",
            None,
        );
        check(
            "\u{feff}<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Server failed.\nRequestId:1\n\
             Time:2</Message><AuthenticationErrorDetail>Signed expiry time is over</AuthenticationErrorDetail></Error>",
            "AuthenticationFailed",
            "Server failed. Signed expiry time is over",
            None,
        );
        check(
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: no\nsuch secret"}"#,
            "invalid_client",
            "AADSTS7000215: no such secret",
            None,
        );
        check(
            r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#,
            "PERMISSION_DENIED",
            "no",
            None,
        );
    }

    #[test]
    fn a_body_that_is_no_error_document_says_nothing() {
        for body in ["", "<html><body>502</body></html>", "{\"a\":1}", "<Error>"] {
            assert_eq!(said(body), Said::default(), "{body}");
        }
    }

    #[test]
    fn a_redirect_is_told_without_its_path() {
        assert_eq!(origin("https://minio:9000/b/k?X-Amz-Signature=abc"), "https://minio:9000");
    }
}
