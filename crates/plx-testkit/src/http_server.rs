//! What the HTTP servers of this crate have in common.

use std::fmt;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};

/// Any body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
/// As it comes from a client.
pub(crate) type Request = http::Request<Incoming>;
/// As it goes to a client.
pub(crate) type Response = http::Response<Body>;

/// Instead of an answer: the connection is reset.
#[derive(Debug)]
pub(crate) struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this connection is to be reset")
    }
}

impl std::error::Error for Reset {}

/// Answers every request of every connection by `handler`, for ever.
pub(crate) async fn serve<H, F>(listener: TcpListener, handler: H)
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response, Reset>> + Send + 'static,
{
    let listener =
        tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener joins the runtime");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        tokio::spawn(connection(stream, handler.clone()));
    }
}

async fn connection<H, F>(stream: tokio::net::TcpStream, handler: H)
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response, Reset>> + Send + 'static,
{
    // It only makes small messages quicker.
    stream.set_nodelay(true).ok();
    let Ok((stream, second)) = twice(stream) else { return };
    let service = service_fn(handler);
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    if served.is_err_and(|error| error.is_user()) {
        // The socket closes with its second half, which is the last.
        second.set_zero_linger().ok();
    }
}

/// The same socket two times: the server takes the one, and the other can still be told how to close.
fn twice(stream: tokio::net::TcpStream) -> std::io::Result<(tokio::net::TcpStream, tokio::net::TcpStream)> {
    let stream = stream.into_std()?;
    let second = stream.try_clone()?;
    Ok((tokio::net::TcpStream::from_std(stream)?, tokio::net::TcpStream::from_std(second)?))
}

/// A server that requests are passed on to.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    address: SocketAddr,
    client: Client<HttpConnector, Body>,
}

impl Upstream {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // A connection for each request: one that the server closes while it idles would look like a fault.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Self { address, client }
    }

    /// Passes a request on, `Host` and all headers as they came; an answer with 502 where there is none.
    pub(crate) async fn send(&self, mut request: http::Request<Body>) -> Response {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = format!("http://{}{path}", self.address);
        *request.uri_mut() = uri.parse().expect("an address and what was a path before");
        match self.client.request(request).await {
            Ok(answer) => answer.map(boxed),
            Err(error) => answer(502, "text/plain", format!("no answer from {}: {error:?}", self.address)),
        }
    }
}

/// An answer from its parts.
pub(crate) fn answer(status: u16, kind: &str, body: impl Into<Bytes>) -> Response {
    let answer = http::Response::builder().status(status).header(http::header::CONTENT_TYPE, kind);
    answer.body(full(body)).expect("a status and a content type")
}

/// A body from memory.
pub(crate) fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Any body as the one type of this module.
pub(crate) fn boxed<B>(body: B) -> Body
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// The whole body. A server that answers before it has read a request makes its client fail at writing.
pub(crate) async fn collect(body: Incoming) -> Result<Bytes, Reset> {
    Ok(body.collect().await.map_err(|_| Reset)?.to_bytes())
}

/// Reads a body and forgets it.
pub(crate) async fn drain(mut body: Incoming) -> Result<(), Reset> {
    while let Some(frame) = body.frame().await {
        frame.map_err(|_| Reset)?;
    }
    Ok(())
}

/// A header as text; empty when it is missing.
pub(crate) fn header<'a>(headers: &'a http::HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// All headers as text.
pub(crate) fn all_headers(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// A lock that a panic elsewhere does not spoil.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
