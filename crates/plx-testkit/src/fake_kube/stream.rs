//! A watch: an answer that goes on until its time is over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::header::CONTENT_TYPE;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::api::{status, status_object};
use super::state::Change;
use super::{FakeKube, SeenKube, Shared};
use crate::http_server::{Reset, Response, boxed, lock};

/// Of a watch that asks for no time of its own; the real one takes half an hour or more.
const LONG: u64 = 1800;
/// Until what was written has gone out, before the connection is reset behind it.
pub(super) const ON_ITS_WAY: Duration = Duration::from_millis(20);

pub(super) struct Stream {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    name: Option<String>,
    bookmarks: bool,
    /// Up to this version everything was sent.
    at: u64,
    until: Instant,
    holes: u64,
    cuts: u64,
    lines: VecDeque<String>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Not yet.
    Open,
    /// After what is still to be sent.
    Ended,
    /// After what is still to be sent the connection is reset.
    Cut,
}

impl Stream {
    pub(super) fn open(shared: &Arc<Shared>, seen: &SeenKube, name: Option<String>) -> Response {
        let state = lock(&shared.state);
        let from = seen.parameter("resourceVersion").unwrap_or_default();
        let from = if from.is_empty() { "0" } else { from };
        let Ok(from) = from.parse::<u64>() else {
            return status(400, "BadRequest", "invalid resource version");
        };
        let seconds = seen.parameter("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(LONG);
        let mut stream = Self {
            shared: Arc::clone(shared),
            changed: shared.changed.subscribe(),
            name,
            bookmarks: seen.parameter("allowWatchBookmarks") == Some("true"),
            at: if from == 0 { state.version } else { from },
            until: Instant::now() + Duration::from_secs(seconds),
            holes: state.holes,
            cuts: state.cuts,
            lines: VecDeque::new(),
            end: End::Open,
        };
        if seen.namespace != FakeKube::NAMESPACE {
            stream.name = Some(String::new());
        } else if from == 0 {
            let there = state.pods.iter().filter(|(name, _)| stream.wants(name));
            let added = there.map(|(_, pod)| json!({ "type": "ADDED", "object": pod }).to_string());
            stream.lines = added.collect();
        } else if from < state.forgotten {
            let message = format!("too old resource version: {from} ({})", state.forgotten);
            let object = status_object(410, "Expired", &message);
            stream.lines.push_back(json!({ "type": "ERROR", "object": object }).to_string());
            stream.end = End::Ended;
        }
        drop(state);
        let frames = stream::unfold(stream, |mut stream| async {
            let frame = stream.next().await?;
            Some((frame.map(Frame::data), stream))
        });
        let answer = http::Response::builder().header(CONTENT_TYPE, "application/json");
        answer.body(boxed(StreamBody::new(frames))).expect("a content type and a body")
    }

    fn wants(&self, name: &str) -> bool {
        self.name.as_deref().is_none_or(|wanted| wanted == name)
    }

    async fn next(&mut self) -> Option<Result<Bytes, Reset>> {
        loop {
            if let Some(mut line) = self.lines.pop_front() {
                if self.end != End::Cut {
                    line.push('\n');
                }
                return Some(Ok(line.into()));
            }
            match self.end {
                End::Open => {}
                End::Ended => return None,
                End::Cut => {
                    tokio::time::sleep(ON_ITS_WAY).await;
                    return Some(Err(Reset));
                }
            }
            self.changed.mark_unchanged();
            self.look();
            if !self.lines.is_empty() || self.end != End::Open {
                continue;
            }
            tokio::select! {
                // The sender lives as long as this does.
                _ = self.changed.changed() => {}
                () = tokio::time::sleep_until(self.until) => {
                    let state = lock(&self.shared.state);
                    if state.holes != self.holes {
                        self.until += Duration::from_secs(86_400);
                        continue;
                    }
                    self.end = End::Ended;
                    if self.bookmarks {
                        self.lines.push_back(line(&state.bookmark_of_now()));
                    }
                }
            }
        }
    }

    /// Takes what has changed.
    fn look(&mut self) {
        let state = lock(&self.shared.state);
        if state.holes != self.holes {
            return;
        }
        let wanted = |change: &&Change| match change.kind {
            "BOOKMARK" => self.bookmarks,
            _ => self.wants(&change.name),
        };
        let new = state.changes.iter().filter(|change| change.version > self.at);
        let lines: Vec<String> = new.filter(wanted).map(line).collect();
        self.lines.extend(lines);
        self.at = self.at.max(state.version);
        if state.cuts != self.cuts {
            let whole = state.changes.last().map(line).unwrap_or_default();
            self.lines.push_back(whole.chars().take(whole.len() / 2).collect());
            self.end = End::Cut;
        }
    }
}

fn line(change: &Change) -> String {
    json!({ "type": change.kind, "object": change.object }).to_string()
}
