//! The one place where requests are signed and sent. Signing here and not in object_store is what makes it possible to
//! answer a refusal: with a new credential, in the bucket's own region, or by asking what a bodiless answer meant.

use crate::faults::{fault_of, is_refusal, is_web_page, page_for_a_listing, skew};
use async_trait::async_trait;
use http::{Method, header};
use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService};
use plx_contract::fault::{HttpFault, IdentityFault};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// How often one request is sent, corrections included.
const SENDS: usize = 3;

/// How many requests a store was sent, and how many of them it refused.
#[derive(Debug)]
pub struct Requests {
    sent: AtomicU64,
    refused: AtomicU64,
    skew: AtomicI64,
}

impl Default for Requests {
    fn default() -> Self {
        Self { sent: AtomicU64::new(0), refused: AtomicU64::new(0), skew: AtomicI64::new(i64::MIN) }
    }
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

    /// By how many seconds the store's clock is ahead of this one, by its last answer.
    pub fn skew_seconds(&self) -> Option<i64> {
        Some(self.skew.load(Ordering::Relaxed)).filter(|skew| *skew != i64::MIN)
    }
}

/// What a cloud wants to see on a request.
#[async_trait]
pub(crate) trait Signer: fmt::Debug + Send + Sync + 'static {
    /// Signs; says which generation of credentials it was done with.
    async fn sign(&self, request: &mut HttpRequest) -> Result<u64, SignError>;
    /// The store refused credentials of that generation; true when there are others now.
    async fn renew(&self, generation: u64) -> bool;
    /// Learns from a refusal, such as the bucket's region; true when the same request may now pass.
    fn learn(&self, fault: &HttpFault) -> bool;
}

/// Why a request could not be signed.
pub(crate) enum SignError {
    /// There is nothing to sign with.
    Identity(IdentityFault),
    /// The signer failed.
    Signer(object_store::Error),
}

/// Sends signed requests, and turns error answers into [`HttpFault`].
#[derive(Debug)]
pub(crate) struct Signing<S> {
    pub client: reqwest::Client,
    pub signer: S,
    pub requests: Arc<Requests>,
}

impl<S: Signer> Signing<S> {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.requests.sent.fetch_add(1, Ordering::Relaxed);
        let response = self.client.call(request).await?;
        if let Some(skew) = skew(response.headers()) {
            self.requests.skew.store(skew, Ordering::Relaxed);
        }
        Ok(response)
    }

    async fn signed(&self, request: &mut HttpRequest) -> Result<u64, HttpError> {
        self.signer.sign(request).await.map_err(|error| match error {
            SignError::Identity(fault) => HttpError::new(HttpErrorKind::Unknown, fault),
            SignError::Signer(error) => HttpError::new(HttpErrorKind::Unknown, error),
        })
    }

    /// What a refusal means. To a HEAD it comes without words; the same question as a GET of one byte is answered
    /// with them.
    async fn meant(&self, asked: &HttpRequest, refusal: HttpResponse) -> HttpFault {
        let fault = fault_of(refusal).await;
        // Azure puts its code into a header, and the words that tell causes apart into the body.
        // A store that is busy is not asked more, and what passes needs no explanation.
        if fault.may_pass() {
            return fault;
        }
        let is_told = fault.code.is_some() && !matches!(fault.status, 401 | 403);
        if asked.method() != Method::HEAD || fault.message.is_some() || is_told {
            return fault;
        }
        let mut again = asked.clone();
        *again.method_mut() = Method::GET;
        let one_byte = http::HeaderValue::from_static("bytes=0-0");
        again.headers_mut().insert(header::RANGE, one_byte);
        // Whatever goes wrong with the second question, the first one has been answered.
        if self.signed(&mut again).await.is_err() {
            return fault;
        }
        match self.send(again).await {
            // Another status is the answer to another question: an empty object has no first byte.
            Ok(response) if response.status().as_u16() == fault.status => fault_of(response).await,
            _ => fault,
        }
    }
}

fn is_listing(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method() == Method::GET && (query.contains("list-type=2") || query.contains("comp=list"))
}

#[async_trait]
impl<S: Signer> HttpService for Signing<S> {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut sends = 0;
        loop {
            sends += 1;
            let mut signed = request.clone();
            let generation = self.signed(&mut signed).await?;
            let response = self.send(signed).await?;
            if !is_refusal(response.status()) {
                if is_listing(&request) && is_web_page(response.headers()) {
                    return Err(HttpError::new(HttpErrorKind::Unknown, page_for_a_listing(&response)));
                }
                return Ok(response);
            }
            self.requests.refused.fetch_add(1, Ordering::Relaxed);
            let fault = self.meant(&request, response).await;
            let corrected = sends < SENDS
                && (self.signer.learn(&fault)
                    || (fault.is_about_the_credential() && self.signer.renew(generation).await));
            if !corrected {
                return Err(HttpError::new(HttpErrorKind::Unknown, fault));
            }
            tracing::debug!("{fault}: sent again, corrected");
        }
    }
}

/// Asks for credentials: nothing is signed, and error answers become [`HttpFault`] too.
#[derive(Debug)]
pub(crate) struct Asking {
    pub client: reqwest::Client,
    /// Where the metadata service of Google is, when not at its own name.
    pub google: Option<http::uri::Authority>,
}

#[async_trait]
impl HttpService for Asking {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(google) = &self.google
            && request.uri().path().starts_with("/computeMetadata/")
        {
            let mut parts = request.uri().clone().into_parts();
            parts.authority = Some(google.clone());
            *request.uri_mut() = http::Uri::from_parts(parts)
                .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        }
        let wants_version_two = request.method() == Method::PUT;
        let mut response = self.client.call(request).await?;
        if !is_refusal(response.status()) {
            return Ok(response);
        }
        // Metadata services and proxies that know version 1 alone: the library goes back to it on a 403.
        if wants_version_two && matches!(response.status().as_u16(), 403..=405) {
            *response.status_mut() = http::StatusCode::FORBIDDEN;
            return Ok(response);
        }
        Err(HttpError::new(HttpErrorKind::Unknown, fault_of(response).await))
    }
}
