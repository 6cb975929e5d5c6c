//! Answers: their bodies, and what a refusal says. No token comes through here.

use crate::settings::Credential;
use flate2::read::MultiGzDecoder;
use plx_contract::fault::HttpFault;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use std::io::Read;
use std::time::Duration;

/// As much of an answer as is read, packed or not: the API's pages are some kilobytes.
const LIMIT: usize = 16 << 20;
/// As much of the API's own words as is repeated.
const WORDS: usize = 300;

/// Why a body could not be read.
#[derive(Debug)]
pub(crate) enum Unread {
    Broken(reqwest::Error),
    Garbled(String),
}

/// The whole body. The API packs its answers whether it was asked to or not (`haupt/common/apis/gzip.py`).
pub(crate) async fn body(mut response: Response) -> Result<Vec<u8>, Unread> {
    let packed = response
        .headers()
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        body.extend_from_slice(&chunk);
        if body.len() > LIMIT {
            return Err(Unread::Garbled("it has no end".to_owned()));
        }
    }
    if !packed {
        return Ok(body);
    }
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(body.as_slice()).take(LIMIT as u64 + 1).read_to_end(&mut plain);
    match read {
        Ok(length) if length <= LIMIT => Ok(plain),
        Ok(_) => Err(Unread::Garbled("it has no end".to_owned())),
        Err(error) => Err(Unread::Garbled(format!("it does not unpack: {error}"))),
    }
}

/// What a refusal says.
pub(crate) fn fault(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    shown: Option<&Credential>,
) -> HttpFault {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let moved =
        header(LOCATION).filter(|_| status.is_redirection()).map(|to| format!("moved to {}", origin(to)));
    HttpFault {
        status: status.as_u16(),
        message: said(body).or(moved).map(|said| without(&said, shown)),
        retry_after: header(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs),
        ..HttpFault::default()
    }
}

/// Scheme, host and port alone.
fn origin(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| "another path".to_owned(), |url| url.origin().ascii_serialization())
}

/// The API's own words: `{"detail": …}`, `{"errors": …}`, `{"FIELD": ["…"]}`, `["…"]`.
fn said(body: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let first = match &json {
        Value::Object(object) => {
            ["detail", "errors", "error", "message"].iter().find_map(|key| object.get(*key))
        }
        Value::Array(all) => all.first(),
        _ => None,
    };
    let text = match first.unwrap_or(&json) {
        Value::String(text) => text.clone(),
        Value::Object(object) if object.is_empty() => return None,
        other => other.to_string(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then_some(line)
}

/// A service may repeat what it was shown. Taken out before the rest is cut: half a token is one too many.
fn without(said: &str, shown: Option<&Credential>) -> String {
    let mut line = match shown.map(Credential::expose).filter(|token| !token.is_empty()) {
        Some(token) => said.replace(token, "…"),
        None => said.to_owned(),
    };
    line.truncate(line.floor_char_boundary(WORDS));
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    #[test]
    fn the_apis_words_on_one_line_and_without_the_token() {
        let token = Credential::new("Token", SecretString::from("hunter2"));
        for (body, want) in [
            (r#"{"detail":"No Run matches the given query."}"#, Some("No Run matches the given query.")),
            (r#"{"errors":"forced"}"#, Some("forced")),
            (r#"["key `zz` is not supported"]"#, Some("key `zz` is not supported")),
            (r#"{"detail":"bad\n token hunter2"}"#, Some("bad token …")),
            (r#"{"name":["already exists"]}"#, Some(r#"{"name":["already exists"]}"#)),
            ("<html>", None),
            ("{}", None),
            ("", None),
        ] {
            let fault = fault(StatusCode::FORBIDDEN, &HeaderMap::new(), body.as_bytes(), Some(&token));
            assert_eq!(fault.message.as_deref(), want, "{body}");
        }
        let long = format!("{{\"detail\":\"{}hunter2\"}}", "x".repeat(WORDS - 3));
        let fault = fault(StatusCode::FORBIDDEN, &HeaderMap::new(), long.as_bytes(), Some(&token));
        assert_eq!(fault.message, Some(format!("{}…", "x".repeat(WORDS - 3))));
    }
}
