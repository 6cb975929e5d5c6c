//! What a server was asked, kept until it is searched.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::{Look, Planted, carriers};
use crate::http_server::{all_headers, lock};

/// So much of a body is kept: longer ones are files, and the files are searched where they come from and arrive.
const KEPT: usize = 64 * 1024;

/// All requests of one server, also those that a test lets it forget.
#[derive(Debug)]
pub(crate) struct Wire {
    server: &'static str,
    all: Mutex<Vec<Arc<Asked>>>,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Asked {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Mutex<Vec<u8>>,
}

/// Searches all requests when it is dropped: the last field of a server, so that by then nobody asks any more.
#[derive(Debug)]
pub(crate) struct Searched {
    wire: Arc<Wire>,
    planted: Planted,
}

impl Wire {
    /// Of a server of this test, and what searches it.
    pub(crate) fn start(server: &'static str) -> (Arc<Self>, Searched) {
        let wire = Arc::new(Self { server, all: Mutex::default() });
        let planted = Planted::here();
        lock(&planted.shared.wires).push(Arc::clone(&wire));
        (Arc::clone(&wire), Searched { wire, planted })
    }

    /// A request has come.
    pub(crate) fn note(&self, method: &str, target: &str, headers: Vec<(String, String)>) -> Arc<Asked> {
        let (method, target) = (method.to_owned(), target.to_owned());
        let asked = Arc::new(Asked { method, target, headers, body: Mutex::default() });
        lock(&self.all).push(Arc::clone(&asked));
        asked
    }

    /// A request has come, whose body is still to be read.
    pub(crate) fn note_request<B>(&self, request: &http::Request<B>) -> Arc<Asked> {
        self.note(request.method().as_str(), &request.uri().to_string(), all_headers(request.headers()))
    }

    /// Searches what came so far, and keeps it no longer.
    pub(crate) fn search_and_forget(&self, planted: &Planted) {
        let leaks = self.leaks(planted);
        assert!(leaks.is_empty(), "{}", leaks.join("\n"));
        lock(&self.all).clear();
    }

    pub(super) fn leaks(&self, planted: &Planted) -> Vec<String> {
        lock(&self.all).iter().filter_map(|asked| asked.leak(self.server, planted)).collect()
    }
}

impl Asked {
    /// More of its body has come.
    pub(crate) fn more(&self, bytes: &[u8]) {
        let mut body = lock(&self.body);
        let room = KEPT.saturating_sub(body.len()).min(bytes.len());
        body.extend_from_slice(&bytes[..room]);
    }

    fn leak(&self, server: &str, planted: &Planted) -> Option<String> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let (query, in_query) = carriers::split_fields(query);
        let mut parts = vec![
            ("its path", Look::Anywhere, path.as_bytes().to_vec()),
            ("its query", Look::Anywhere, query.into_bytes()),
            ("its query", Look::AtCarrier, in_query.into_bytes()),
        ];
        for (name, value) in &self.headers {
            let carries = carriers::is_header(server, name);
            let look = if carries { Look::AtCarrier } else { Look::Anywhere };
            parts.push(("a header", look, format!("{name}: {value}").into_bytes()));
        }
        let body = lock(&self.body).clone();
        let form = self.headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("content-type")
                && value.starts_with("application/x-www-form-urlencoded")
        });
        if form {
            let (open, carried) = carriers::split_fields(&String::from_utf8_lossy(&body));
            parts.push(("its body", Look::Anywhere, open.into_bytes()));
            parts.push(("its body", Look::AtCarrier, carried.into_bytes()));
        } else {
            parts.push(("its body", Look::Anywhere, body));
        }
        let (place, text, found) = parts
            .into_iter()
            .find_map(|(place, look, text)| planted.look(&text, look).map(|found| (place, text, found)))?;
        let (method, text) = (&self.method, String::from_utf8_lossy(&text).into_owned());
        Some(format!("{found} was sent to the {server} by {method} {path}, in {place}: {text}"))
    }
}

impl Drop for Searched {
    fn drop(&mut self) {
        let leaks = self.wire.leaks(&self.planted);
        lock(&self.planted.shared.wires).retain(|wire| !Arc::ptr_eq(wire, &self.wire));
        // A test that fails already says why; a second panic would hide it.
        assert!(leaks.is_empty() || std::thread::panicking(), "{}", leaks.join("\n"));
    }
}

/// The body of a request on its way through a server; what passes is noted.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) body: Incoming,
    pub(crate) asked: Arc<Asked>,
}

impl Body for Noted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
        {
            self.asked.more(bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
