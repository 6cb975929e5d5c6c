//! The log of one container, followed so that each line comes once.
//!
//! A look at the pod says which start of the container has a log. A stream then gives its lines, from the last second that
//! was taken on; what was taken of it is known by the [`Cursor`]. Whatever ends a stream is followed by another look: only a
//! stream that began after its container's end is whole when it ends.

mod cursor;
mod look;
mod pieces;
mod stream;

pub use cursor::Cursor;
pub use pieces::{PIECE, Piece, Pieces};

use crate::pace::Pauses;
use crate::{Cluster, KubeError, LogPace};
use look::Stand;
use plx_contract::Classified;
use plx_contract::credential::Files;
use plx_contract::logs::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stream::{Closed, Reading, StreamEnd};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// A line of a log, or a word about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// None when it came without one.
    pub time: Option<Time>,
    /// Without time and line end; never empty.
    pub text: String,
    /// What it is.
    pub kind: Kind,
}

/// What a [`Line`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A line, or the first [`PIECE`] of a long one.
    Text,
    /// The next piece of the line before it.
    Continued,
    /// It says that lines are missing, or may be.
    Note,
}

/// Lines that follow each other, and where the log stands after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The container.
    pub container: Arc<str>,
    /// None when only the cursor moved.
    pub lines: Vec<Line>,
    /// To be kept together with the lines.
    pub cursor: Cursor,
}

/// How far a follower is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There may be lines that were not taken.
    Behind,
    /// The container has not started.
    Idle,
    /// Lines are taken as they come.
    Live,
    /// The container does not run, and all its lines were taken.
    Done,
    /// The server does not allow it.
    Refused,
}

/// What whoever takes lines wants of a follower.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Somebody waits for the end: what is open may be dead, and is opened anew.
    pub hurried: bool,
    /// How often lines were asked for that have no end yet: who waits for it any longer may lose them. What comes behind such a
    /// line is a [`Kind::Continued`].
    pub unended: u32,
}

/// What all followers of a pod share.
#[derive(Debug)]
pub struct Shared<F> {
    /// The cluster.
    pub cluster: Cluster<F>,
    /// The pod's name.
    pub pod: String,
    /// Another pod of that name has other logs.
    pub uid: String,
    /// The waits.
    pub pace: LogPace,
    /// It was said that logs cannot be read: once is enough for all containers.
    failing: AtomicBool,
}

impl<F> Shared<F> {
    /// Of one pod.
    pub fn new(cluster: Cluster<F>, pod: &str, uid: &str, pace: LogPace) -> Arc<Self> {
        let (pod, uid) = (pod.to_owned(), uid.to_owned());
        Arc::new(Self { cluster, pod, uid, pace, failing: AtomicBool::new(false) })
    }
}

/// The log of one container, followed.
#[derive(Debug)]
pub struct Follower<F> {
    shared: Arc<Shared<F>>,
    container: Arc<str>,
    cursor: Cursor,
    sink: mpsc::Sender<Chunk>,
    progress: watch::Sender<Progress>,
    wishes: watch::Receiver<Wishes>,
    /// Of [`Wishes::unended`], those that were heard.
    asked: u32,
    /// What the last stream ended with: a line that has no end yet.
    left: Option<Reading>,
    pauses: Pauses,
    /// All lines of that start were taken.
    whole: Option<u32>,
    missing: bool,
}

/// Why nothing came, and what the server asked for.
struct Failed {
    error: KubeError,
    pause: Duration,
}

impl From<KubeError> for Failed {
    fn from(error: KubeError) -> Self {
        Self { error, pause: Duration::ZERO }
    }
}

/// Something that is said about a log.
fn note(text: &str) -> Line {
    Line { time: None, text: text.to_owned(), kind: Kind::Note }
}

/// What comes next.
enum Next {
    After(Duration),
    Over,
}

impl<F: Files> Follower<F> {
    /// Follows a container from a cursor on.
    pub fn new(
        shared: Arc<Shared<F>>,
        container: &str,
        cursor: Cursor,
        sink: mpsc::Sender<Chunk>,
        wishes: watch::Receiver<Wishes>,
    ) -> (Self, watch::Receiver<Progress>) {
        let (progress, told) = watch::channel(Progress::Behind);
        let (container, pauses) = (container.into(), shared.pace.pauses());
        let (asked, left, whole, missing) = (0, None, None, false);
        let own =
            Self { shared, container, cursor, sink, progress, wishes, asked, left, pauses, whole, missing };
        (own, told)
    }

    /// Gives all lines, until the container has ended for good, its pod is gone, or nobody takes them any more. Nothing that
    /// happens to the server ends it.
    pub async fn run(mut self) {
        loop {
            let next = match self.look().await {
                Ok(stand) => self.follow(stand).await,
                Err(failed) => Ok(Next::After(self.fails(&failed))),
            };
            match next {
                Ok(Next::After(pause)) => match self.rest(pause).await {
                    Ok(()) => {}
                    Err(Closed) => return,
                },
                Ok(Next::Over) => break,
                Err(Closed) => return,
            }
        }
        self.progress.send_replace(Progress::Done);
    }

    /// How the container stands; none when its pod is gone.
    async fn look(&mut self) -> Result<Option<Stand>, Failed> {
        let pod = self.shared.cluster.pod(&self.shared.pod).await?;
        let ours = pod.filter(|pod| pod.metadata.uid == self.shared.uid);
        Ok(ours.map(|pod| Stand::of(&pod, &self.container)))
    }

    async fn follow(&mut self, stand: Option<Stand>) -> Result<Next, Closed> {
        let Some(stand) = stand else {
            // An API server that was just restored may be behind: it is asked twice.
            let gone = std::mem::replace(&mut self.missing, true);
            return Ok(if gone { Next::Over } else { Next::After(self.shared.pace.first_pause) });
        };
        self.missing = false;
        let (started, runs, last) = match stand {
            Stand::NotStarted => {
                self.progress.send_replace(Progress::Idle);
                return Ok(Next::After(self.shared.pace.poll));
            }
            Stand::Runs(restart) => (restart, true, false),
            Stand::Ended { restart, last } => (restart, false, last),
        };
        let ended = if last { Next::Over } else { Next::After(self.shared.pace.poll) };
        if !runs && self.whole == Some(started) {
            return Ok(ended);
        }
        if let Some(pause) = self.catch_up(started).await? {
            return Ok(Next::After(pause));
        }
        let pause = match self.stream(started, false, !runs).await? {
            Ok(StreamEnd::Ended) if !runs => {
                self.whole = Some(started);
                self.progress.send_replace(Progress::Done);
                return Ok(ended);
            }
            Ok(StreamEnd::Ended | StreamEnd::OtherStart) => self.shared.pace.first_pause,
            Ok(StreamEnd::Silent) => Duration::ZERO,
            Ok(StreamEnd::Cut(why)) => {
                tracing::debug!("the log of {} was cut, it is opened again: {why}", self.container);
                self.pauses.next()
            }
            // It never ran, or nothing of it is kept.
            Ok(StreamEnd::None) if last => return Ok(Next::Over),
            Ok(StreamEnd::Gone) if last => {
                self.give(vec![note("the log is no longer kept: its last lines may be missing")]).await?;
                return Ok(Next::Over);
            }
            // The look was too early, or the pod is going: another one tells.
            Ok(StreamEnd::None | StreamEnd::Gone) => self.shared.pace.poll,
            Err(failed) => self.fails(&failed),
        };
        Ok(Next::After(pause))
    }

    /// Takes what is left of the starts before this one; or says after which pause to try again.
    async fn catch_up(&mut self, started: u32) -> Result<Option<Duration>, Closed> {
        let next = self.cursor.restart.unwrap_or_default();
        if next < started && self.whole != Some(started - 1) {
            self.progress.send_replace(Progress::Behind);
            if next + 1 < started {
                // The kubelet keeps one log beside the current one.
                let lost = "restarts came so fast that lines of earlier starts of this container are missing";
                self.begin(started - 1, Some(lost)).await?;
            }
            match self.stream(started, true, true).await? {
                Ok(StreamEnd::Ended) => {}
                Ok(StreamEnd::None | StreamEnd::Gone) => {
                    let lost = "the log of the start before is no longer kept: its last lines may be missing";
                    self.begin(started, Some(lost)).await?;
                }
                Ok(_) => return Ok(Some(self.pauses.next())),
                Err(failed) => return Ok(Some(self.fails(&failed))),
            }
        }
        if self.cursor.restart != Some(started) {
            self.begin(started, None).await?;
        }
        Ok(None)
    }

    /// From now on it is the log of that start.
    async fn begin(&mut self, restart: u32, lost: Option<&str>) -> Result<(), Closed> {
        (self.cursor, self.left) = (Cursor::of_start(restart), None);
        self.give(lost.map(note).into_iter().collect()).await
    }

    async fn give(&self, lines: Vec<Line>) -> Result<(), Closed> {
        let chunk = Chunk { container: Arc::clone(&self.container), lines, cursor: self.cursor.clone() };
        self.sink.send(chunk).await.map_err(|_| Closed)
    }

    async fn rest(&mut self, pause: Duration) -> Result<(), Closed> {
        let pace = self.shared.pace;
        let until = Instant::now() + pause;
        loop {
            let Wishes { hurried, unended } = *self.wishes.borrow_and_update();
            if std::mem::replace(&mut self.asked, unended) != unended {
                self.give_left().await?;
            }
            let until = if hurried { until.min(Instant::now() + pace.hurried_pause) } else { until };
            tokio::select! {
                () = sleep_until(until) => return Ok(()),
                changed = self.wishes.changed() => {
                    // Nobody is left who could want anything.
                    if changed.is_err() {
                        sleep_until(until).await;
                        return Ok(());
                    }
                    if !hurried && self.wishes.borrow().hurried {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Gives what stands at the end of a stream that is over, without the line's end.
    async fn give_left(&mut self) -> Result<(), Closed> {
        let Some(mut left) = self.left.take() else { return Ok(()) };
        // What a look would say that fails is said by the next one.
        drop(self.take_waiting(&mut left).await);
        if !left.lines.is_empty() {
            self.give(std::mem::take(&mut left.lines)).await?;
        }
        Ok(())
    }

    /// Says once for all containers that it does not work, and how long to wait.
    fn fails(&mut self, failed: &Failed) -> Duration {
        let Failed { error, pause } = failed;
        if self.shared.failing.swap(true, Ordering::Relaxed) {
            tracing::debug!("the log of {} cannot be read: {}", self.container, error.chain());
        } else {
            let next = error.next_step().unwrap_or_default();
            tracing::warn!("logs cannot be read, asking on: {}; next: {next}", error.chain());
        }
        let refused = if error.is_refusal() { Progress::Refused } else { Progress::Behind };
        self.progress.send_replace(refused);
        self.pauses.next().max(*pause).min(self.shared.pace.longest_pause)
    }

    fn works(&mut self) {
        self.pauses.reset();
        if self.shared.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("logs can be read again");
        }
    }
}
