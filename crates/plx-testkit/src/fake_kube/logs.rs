//! Logs of containers: what they print, and an answer that goes on while they run.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use futures::stream;
use http::header::CONTENT_TYPE;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::Value;
use tokio::sync::watch;

use super::api::status;
use super::state::State;
use super::stream::ON_ITS_WAY;
use super::{SeenKube, Shared};
use crate::http_server::{self, Reset, Response, boxed, lock};

/// All that containers printed and that is still kept.
#[derive(Debug, Default)]
pub(super) struct Logs {
    /// By pod, container and start.
    kept: BTreeMap<(String, String, u64), VecDeque<Printed>>,
    /// Pods, containers and starts whose container has been removed.
    removed: Vec<(String, String, u64)>,
    count: u64,
    pub cuts: u64,
    /// They end where they are, also of containers that run.
    pub end: bool,
    /// After so many bytes the next answers are cut.
    pub limits: VecDeque<usize>,
}

#[derive(Debug)]
struct Printed {
    /// Of all that was ever printed.
    number: u64,
    /// Nanoseconds.
    at: i64,
    /// Its time stands in the bytes.
    timed: bool,
    bytes: Vec<u8>,
}

impl State {
    pub(super) fn print(&mut self, pod: &str, container: &str, at: i64, bytes: &[u8]) {
        self.add_to_log(pod, container, at, false, bytes);
    }

    pub(super) fn print_as_it_is(&mut self, pod: &str, container: &str, at: i64, bytes: &[u8]) {
        self.add_to_log(pod, container, at, true, bytes);
    }

    fn add_to_log(&mut self, pod: &str, container: &str, at: i64, timed: bool, bytes: &[u8]) {
        let restart = restarts(self.pods.get(pod).expect("a pod that is there"), container);
        let logs = &mut self.logs;
        logs.count += 1;
        // The kubelet keeps one log beside the current one.
        logs.kept.retain(|(of, what, start), _| of != pod || what != container || start + 1 >= restart);
        let log = logs.kept.entry((pod.to_owned(), container.to_owned(), restart)).or_default();
        log.push_back(Printed { number: logs.count, at, timed, bytes: bytes.to_owned() });
    }

    pub(super) fn remove_log(&mut self, pod: &str, container: &str, start: u64) {
        self.logs.removed.push((pod.to_owned(), container.to_owned(), start));
    }

    pub(super) fn rotate_log(&mut self, pod: &str, container: &str, keep: usize) {
        let logs = self.logs.kept.iter_mut().filter(|((of, what, _), _)| of == pod && what == container);
        for (_, log) in logs {
            log.drain(..log.len().saturating_sub(keep));
        }
    }
}

/// The status of a container.
fn of_container<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    ["containerStatuses", "initContainerStatuses"]
        .iter()
        .find_map(|list| pod["status"][list].as_array()?.iter().find(|status| status["name"] == container))
}

fn restarts(pod: &Value, container: &str) -> u64 {
    of_container(pod, container).and_then(|status| status["restartCount"].as_u64()).unwrap_or_default()
}

pub(super) struct LogStream {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    /// Pod, container and start.
    key: (String, String, u64),
    since: i64,
    follow: bool,
    timestamps: bool,
    /// Up to this one everything was sent.
    at: u64,
    holes: u64,
    cuts: u64,
    /// Of bytes, until it is cut.
    left: Option<usize>,
    cut: bool,
}

impl LogStream {
    pub(super) fn open(shared: &Arc<Shared>, seen: &SeenKube) -> Response {
        let mut state = lock(&shared.state);
        let (name, container) = (seen.name.as_str(), seen.parameter("container").unwrap_or_default());
        let bad = |message: String| status(400, "BadRequest", &message);
        let Some(pod) = state.pods.get(name) else {
            return status(404, "NotFound", &format!("pods \"{name}\" not found"));
        };
        let named = |list: &str| {
            pod["spec"][list].as_array().into_iter().flatten().any(|one| one["name"] == container)
        };
        if !named("containers") && !named("initContainers") {
            return bad(format!("container {container} is not valid for pod {name}"));
        }
        let (found, mut restart) = (of_container(pod, container), restarts(pod, container));
        if seen.parameter("previous") == Some("true") {
            if restart == 0 {
                return bad(format!(
                    "previous terminated container \"{container}\" in pod \"{name}\" not found"
                ));
            }
            restart -= 1;
        } else if found.is_none_or(|found| {
            found["state"]["waiting"].is_object() && !found["lastState"]["terminated"].is_object()
        }) {
            return bad(format!(
                "container \"{container}\" in pod \"{name}\" is waiting to start: PodInitializing"
            ));
        }
        let key = (name.to_owned(), container.to_owned(), restart);
        if state.logs.removed.contains(&key) {
            // The kubelet finds out when it has already said 200.
            let said = format!("unable to retrieve container logs for docker://{restart:064x}");
            return http_server::answer(200, "text/plain", said);
        }
        let since = seen.parameter("sinceTime").map(DateTime::parse_from_rfc3339);
        let since = match since {
            None => i64::MIN,
            // As the real one does.
            Some(Ok(since)) => since.timestamp() * 1_000_000_000,
            Some(Err(_)) => return bad("invalid sinceTime".to_owned()),
        };
        let is_true = |name: &str| seen.parameter(name) == Some("true");
        let stream = Self {
            shared: Arc::clone(shared),
            changed: shared.changed.subscribe(),
            key,
            since,
            follow: is_true("follow"),
            timestamps: is_true("timestamps"),
            at: 0,
            holes: state.holes,
            cuts: state.logs.cuts,
            left: state.logs.limits.pop_front(),
            cut: false,
        };
        drop(state);
        let frames = stream::unfold(stream, |mut stream| async {
            let frame = stream.next().await?;
            Some((frame.map(Frame::data), stream))
        });
        let answer = http::Response::builder().header(CONTENT_TYPE, "text/plain");
        answer.body(boxed(StreamBody::new(frames))).expect("a content type and a body")
    }

    async fn next(&mut self) -> Option<Result<Bytes, Reset>> {
        loop {
            if self.cut {
                tokio::time::sleep(ON_ITS_WAY).await;
                return Some(Err(Reset));
            }
            self.changed.mark_unchanged();
            match self.look() {
                Some(bytes) if bytes.is_empty() && !self.cut => return None,
                Some(bytes) if bytes.is_empty() => {}
                Some(bytes) => return Some(Ok(bytes.into())),
                // The sender lives as long as this does.
                None => {
                    self.changed.changed().await.ok();
                }
            }
        }
    }

    /// What there is to send: nothing yet, or no more when it is empty.
    fn look(&mut self) -> Option<Vec<u8>> {
        let state = lock(&self.shared.state);
        if state.holes != self.holes {
            return None;
        }
        let mut bytes = Vec::new();
        for line in state.logs.kept.get(&self.key).into_iter().flatten() {
            if line.number <= self.at {
                continue;
            }
            self.at = line.number;
            if line.at >= self.since {
                if self.timestamps && !line.timed {
                    let time = DateTime::from_timestamp_nanos(line.at);
                    bytes.extend(time.to_rfc3339_opts(SecondsFormat::AutoSi, true).bytes());
                    bytes.push(b' ');
                }
                bytes.extend(&line.bytes);
            }
        }
        if let Some(left) = &mut self.left {
            self.cut = bytes.len() >= *left;
            bytes.truncate(*left);
            *left -= bytes.len();
        }
        if state.logs.cuts != self.cuts {
            (self.cut, self.cuts) = (true, state.logs.cuts);
        }
        let (pod, container, restart) = &self.key;
        let pod = state.pods.get(pod).filter(|pod| restarts(pod, container) == *restart);
        let found = pod.and_then(|pod| of_container(pod, container));
        let runs = found.is_some_and(|found| found["state"]["running"].is_object());
        let goes_on = self.follow && runs && !self.cut && !state.logs.end;
        (!bytes.is_empty() || !goes_on).then_some(bytes)
    }
}
