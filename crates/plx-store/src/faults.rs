//! Watches every request: counts it, and turns an error answer into an [`HttpFault`].
//!
//! object_store maps most statuses to one `Generic` error whose text alone tells them apart, and its own retry layer
//! answers for the rest. Here the answer is kept as data: status, the service's code, and how long it asks to wait.
//! Whoever owns the retries finds it with [`plx_contract::fault::find`].

use async_trait::async_trait;
use futures::StreamExt;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService, ReqwestConnector,
};
use plx_contract::fault::HttpFault;
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// As much of an error answer as is read.
const BODY_LIMIT: usize = 16 * 1024;
/// As much of a service's own words as is repeated.
const MESSAGE_LIMIT: usize = 300;

/// How many requests a store was sent, and how many of them it refused.
#[derive(Debug, Default)]
pub struct Requests {
    sent: AtomicU64,
    refused: AtomicU64,
}

impl Requests {
    /// Requests sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests answered with an error status.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Makes clients that watch.
#[derive(Debug, Default)]
pub(crate) struct WatchingConnector {
    pub(crate) requests: Arc<Requests>,
}

impl HttpConnector for WatchingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Watching { inner, requests: Arc::clone(&self.requests) }))
    }
}

#[derive(Debug)]
struct Watching {
    inner: HttpClient,
    requests: Arc<Requests>,
}

#[async_trait]
impl HttpService for Watching {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.requests.sent.fetch_add(1, Ordering::Relaxed);
        let response = self.inner.execute(request).await?;
        if response.status().as_u16() < 400 {
            return Ok(response);
        }
        self.requests.refused.fetch_add(1, Ordering::Relaxed);
        Err(HttpError::new(HttpErrorKind::Unknown, fault_of(response).await))
    }
}

async fn fault_of(response: HttpResponse) -> HttpFault {
    let (head, body) = response.into_parts();
    let retry_after = head
        .headers
        .get(http::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok())
        .map(Duration::from_secs);
    let mut text = Vec::new();
    let mut chunks = body.bytes_stream();
    // A body that breaks off leaves the status, which is what matters.
    while let Some(Ok(chunk)) = chunks.next().await {
        text.extend_from_slice(&chunk);
        if text.len() >= BODY_LIMIT {
            break;
        }
    }
    let said = said(&String::from_utf8_lossy(&text));
    HttpFault { status: head.status.as_u16(), code: said.code, message: said.message, retry_after }
}

/// The error document of S3, Azure and GCS's XML interface.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Said {
    code: Option<String>,
    message: Option<String>,
}

fn said(body: &str) -> Said {
    let mut said: Said = quick_xml::de::from_str(body).unwrap_or_default();
    said.code = said.code.filter(|code| !code.is_empty());
    said.message = said.message.map(|message| {
        let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
        line.truncate(line.floor_char_boundary(MESSAGE_LIMIT));
        line
    });
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_own_words_on_one_line() {
        let said = said(
            "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce\n your rate</Message><X>1</X></Error>",
        );
        assert_eq!(said.code.as_deref(), Some("SlowDown"));
        assert_eq!(said.message.as_deref(), Some("Please reduce your rate"));
    }

    #[test]
    fn a_body_that_is_no_error_document_says_nothing() {
        for body in ["", "<html><body>502</body></html>", "{\"a\":1}", "<Error>"] {
            let said = said(body);
            assert_eq!((said.code, said.message), (None, None), "{body}");
        }
    }
}
