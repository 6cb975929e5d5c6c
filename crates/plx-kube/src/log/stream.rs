//! One stream of a container's log, from its request to its end.

use super::cursor::{Replay, hash};
use super::look::Stand;
use super::pieces::{Piece, Pieces};
use super::{Failed, Follower, Kind, Line, Progress, Wishes};
use crate::KubeError;
use crate::cluster::{refused, unreachable};
use crate::watch::retry_after;
use plx_contract::credential::Files;
use plx_contract::logs::{Stamped, Time, nanoseconds, since};
use reqwest::Response;
use tokio::time::timeout;

/// The kubelet's words, in place of a log and with status 200, for one whose container has been removed. They have neither a
/// time nor a line end (`kuberuntime_container.go`, `GetContainerLogs`).
const REMOVED: &[u8] = b"unable to retrieve container logs for ";

/// Nobody takes lines any more.
pub(super) struct Closed;

/// How a stream ended.
#[derive(Debug)]
pub(super) enum StreamEnd {
    /// As it should.
    Ended,
    /// In the middle of something.
    Cut(String),
    /// It said nothing for so long that it may be dead, or somebody is in a hurry.
    Silent,
    /// It is the log of another start than was asked for.
    OtherStart,
    /// There is no such log.
    None,
    /// There was one, and it is no longer kept.
    Gone,
}

/// What is known while a stream is read.
#[derive(Debug)]
pub(super) struct Reading {
    started: u32,
    replay: Replay,
    pieces: Pieces,
    /// Something has come.
    began: bool,
    /// Of the line that was read last.
    time: Option<Time>,
    pub lines: Vec<Line>,
}

impl Reading {
    fn has_anything(&self) -> bool {
        self.began || self.pieces.is_within_a_line()
    }
}

impl<F: Files> Follower<F> {
    /// Reads the log of a container that was started `started` times again, or that of the start before. A last line without
    /// its end is taken when `whole` says that no more will come.
    pub(super) async fn stream(
        &mut self,
        started: u32,
        previous: bool,
        whole: bool,
    ) -> Result<Result<StreamEnd, Failed>, Closed> {
        let response = match self.open(previous).await {
            Ok(Some(response)) => response,
            Ok(None) => return Ok(Ok(StreamEnd::None)),
            Err(failed) => return Ok(Err(failed)),
        };
        self.works();
        if !whole {
            self.progress.send_replace(Progress::Live);
        }
        let (replay, pieces) = (self.cursor.replay(), Pieces::default());
        let reading = Reading { started, replay, pieces, began: false, time: None, lines: Vec::new() };
        self.read(response, reading, whole).await
    }

    /// The answer; none when there is no such log, or not yet.
    async fn open(&self, previous: bool) -> Result<Option<Response>, Failed> {
        let (cluster, pace) = (&self.shared.cluster, self.shared.pace);
        // A log that has ended needs no following.
        let kind = if previous { "previous=true" } else { "follow=true" };
        let since = self.cursor.since().filter(|at| *at > i64::MIN).map(since);
        let since = since.map(|time| format!("&sinceTime={}", time.replace(':', "%3A"))).unwrap_or_default();
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}/log?container={}&timestamps=true&{kind}{since}",
            cluster.namespace(),
            self.shared.pod,
            self.container,
        );
        let Ok(answered) = timeout(pace.answer, cluster.send(&path, pace.stream)).await else {
            let said = format!("no answer in {:?}", pace.answer);
            return Err(KubeError::Refused { path, status: 504, said }.into());
        };
        let response = answered?;
        match response.status().as_u16() {
            200..300 => Ok(Some(response)),
            400 | 404 => {
                tracing::debug!("{}", refused(&path, response).await);
                Ok(None)
            }
            _ => {
                let pause = retry_after(&response);
                Err(Failed { error: refused(&path, response).await, pause })
            }
        }
    }

    async fn read(
        &mut self,
        response: Response,
        mut reading: Reading,
        whole: bool,
    ) -> Result<Result<StreamEnd, Failed>, Closed> {
        let end = self.read_on(response, &mut reading, whole).await?;
        if reading.has_anything() {
            self.left = reading.pieces.is_within_a_line().then_some(reading);
        }
        Ok(end)
    }

    async fn read_on(
        &mut self,
        mut response: Response,
        reading: &mut Reading,
        whole: bool,
    ) -> Result<Result<StreamEnd, Failed>, Closed> {
        let mut got = Vec::new();
        loop {
            let Wishes { hurried, unended } = *self.wishes.borrow_and_update();
            if std::mem::replace(&mut self.asked, unended) != unended {
                if !reading.has_anything() {
                    self.give_left().await?;
                    // It comes again.
                    reading.replay = self.cursor.replay();
                } else if let Err(failed) = self.take_waiting(reading).await {
                    return Ok(Err(failed));
                }
                if !reading.lines.is_empty() {
                    self.give(std::mem::take(&mut reading.lines)).await?;
                }
            }
            let read = tokio::select! {
                read = timeout(self.shared.pace.silence, response.chunk()) => read,
                Ok(()) = self.wishes.changed() => {
                    // What is open may be dead: what there is by now is asked for anew.
                    if !hurried && self.wishes.borrow().hurried {
                        return Ok(Ok(StreamEnd::Silent));
                    }
                    continue;
                }
            };
            let end = match read {
                Err(_) => Some(StreamEnd::Silent),
                Ok(Err(error)) => Some(StreamEnd::Cut(unreachable("its log", error).chain())),
                Ok(Ok(None)) if !reading.began && reading.pieces.waiting().starts_with(REMOVED) => {
                    Some(StreamEnd::Gone)
                }
                Ok(Ok(None)) => {
                    if whole && reading.pieces.is_within_a_line() {
                        reading.pieces.end(|piece| got.push(piece));
                    }
                    Some(StreamEnd::Ended)
                }
                Ok(Ok(Some(bytes))) => {
                    reading.pieces.push(&bytes, |piece| got.push(piece));
                    None
                }
            };
            reading.began |= !got.is_empty();
            for piece in got.drain(..) {
                match self.take(piece, reading).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(Ok(StreamEnd::OtherStart)),
                    Err(failed) => return Ok(Err(failed)),
                }
            }
            if !reading.lines.is_empty() {
                self.give(std::mem::take(&mut reading.lines)).await?;
            }
            if let Some(end) = end {
                return Ok(Ok(end));
            }
        }
    }

    /// Takes what waits for the end of its line as if it had come; what follows continues it.
    pub(super) async fn take_waiting(&mut self, reading: &mut Reading) -> Result<(), Failed> {
        if reading.pieces.waiting().starts_with(REMOVED) {
            return Ok(());
        }
        let mut got = Vec::new();
        reading.pieces.flush(|piece| got.push(piece));
        for piece in got {
            // One of another start is none of ours.
            if !self.take(piece, reading).await? {
                break;
            }
        }
        Ok(())
    }

    /// Takes a line that is new; false when the stream is not of the start that it should be of.
    async fn take(&mut self, piece: Piece, reading: &mut Reading) -> Result<bool, Failed> {
        let text = if piece.continued {
            String::from_utf8_lossy(&piece.bytes).trim_end().to_owned()
        } else {
            let Stamped { time, text } = Stamped::of(&piece.bytes);
            // What has no time stands behind a line that has one.
            reading.time = time.or(reading.time);
            text
        };
        let at = reading.time.as_ref().map_or(i64::MIN, nanoseconds);
        let hash = hash(&piece.bytes);
        if reading.replay.is_known(at, hash) {
            return Ok(true);
        }
        if reading.replay.lost_its_place() {
            // A rotated log has lost what was taken of it. So has the log of a container that was just started again.
            let stands = match self.look().await? {
                Some(Stand::Runs(restart) | Stand::Ended { restart, .. }) => restart == reading.started,
                Some(Stand::NotStarted) | None => false,
            };
            if !stands {
                return Ok(false);
            }
            let last = reading.replay.newest();
            let text = format!("the log was rotated: lines between {last} and this one may be missing");
            reading.lines.push(Line { time: reading.time, text, kind: Kind::Note });
            reading.replay.end();
        }
        self.cursor.took(at, hash);
        let kind = if piece.continued { Kind::Continued } else { Kind::Text };
        if !text.is_empty() {
            reading.lines.push(Line { time: reading.time, text, kind });
        }
        Ok(true)
    }
}
