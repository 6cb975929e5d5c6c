//! What every transfer shares: workers, memory, pace, patience.

use crate::grows::Logs;
use crate::rest::Rests;
use crate::{Budget, Cause, Ledger, Pace, Progress, TransferError};
use backon::BackoffBuilder;
use plx_contract::RelPath;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a failing call is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the first failure on; a call that makes progress starts anew.
    pub time: Duration,
    /// The same for a store that cannot be reached at all: a misspelt endpoint should not cost minutes.
    pub unreachable: Duration,
    /// Tries of a call that fails by itself. Throttling does not count: it is the store that asks for patience.
    pub tries: u32,
}

impl Patience {
    /// For inputs: minutes, because the job cannot start without them.
    pub const INPUTS: Self =
        Self { time: Duration::from_secs(300), unreachable: Duration::from_secs(60), tries: 10 };
    /// For one pass of many: the next pass tries again.
    pub const PASS: Self =
        Self { time: Duration::from_secs(30), unreachable: Duration::from_secs(5), tries: 3 };

    /// With another length of time.
    #[must_use]
    pub fn lasting(self, time: Duration) -> Self {
        Self { time, unreachable: self.unreachable.min(time), ..self }
    }
}

/// Settings of an [`Engine`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// Objects at a time, and requests at a time.
    pub workers: usize,
    /// The memory of all buffers.
    pub budget: Budget,
    /// How long a failing call is tried again.
    pub patience: Patience,
}

impl Settings {
    /// Small objects are bound by latency, 20 to 50 ms each on a cloud: 32 at a time took twice as long as s5cmd.
    /// A store that finds it too many says so, and the pace falls.
    pub const WORKERS: usize = 128;
    /// Of one file: enough for a fast network, however many files are sent beside it.
    const PARTS: usize = 8;
}

impl Default for Settings {
    fn default() -> Self {
        Self { workers: Self::WORKERS, budget: Budget::for_limit(None), patience: Patience::INPUTS }
    }
}

/// Shared by all transfers of one store.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) workers: usize,
    pub(crate) budget: Budget,
    pub(crate) pace: Pace,
    pub(crate) patience: Patience,
    /// Parts of one file at a time.
    pub(crate) parts: usize,
    /// No other file or part is begun once this comes.
    pub(crate) enough: CancellationToken,
    pub(crate) ledger: Ledger,
    rests: Arc<Rests>,
    refuses_conditions: Arc<AtomicBool>,
    logs: Arc<Logs>,
    lets_rest: bool,
    progress: Arc<Progress>,
}

impl Engine {
    /// An engine with its own pace and progress.
    pub fn new(settings: Settings) -> Self {
        let workers = settings.workers.max(1);
        Self {
            workers,
            budget: settings.budget,
            pace: Pace::new(workers),
            patience: settings.patience,
            parts: workers.min(Settings::PARTS),
            enough: CancellationToken::new(),
            ledger: Ledger::default(),
            rests: Arc::default(),
            refuses_conditions: Arc::default(),
            logs: Arc::default(),
            lets_rest: false,
            progress: Arc::default(),
        }
    }

    /// The same engine (memory, pace, progress) with another patience.
    #[must_use]
    pub fn with_patience(&self, patience: Patience) -> Self {
        Self { patience, ..self.clone() }
    }

    /// The same engine with fewer objects at a time.
    #[must_use]
    pub fn with_workers(&self, workers: usize) -> Self {
        Self { workers: workers.clamp(1, self.workers), ..self.clone() }
    }

    /// The same engine, which begins no other file and no other part once `enough` comes; what is under way goes on.
    #[must_use]
    pub fn until(&self, enough: CancellationToken) -> Self {
        Self { enough, ..self.clone() }
    }

    /// The same engine, and uploads that it cannot finish are kept for later in a ledger of this store.
    #[must_use]
    pub fn with_ledger(self, ledger: Ledger) -> Self {
        Self { ledger, ..self }
    }

    /// The same engine, for one pass of many: a large file that changed while it was sent, twice or more in a row, ends
    /// as [`crate::Ended::Changed`] at once, for 10 s and up to 10 minutes. Without it, as at the end of a run, every file
    /// is tried; what it remembers of them is shared.
    #[must_use]
    pub fn letting_rest(&self) -> Self {
        Self { lets_rest: true, ..self.clone() }
    }

    /// True when this large file is to be left alone for now.
    pub(crate) fn leaves_alone(&self, key: &RelPath) -> bool {
        self.lets_rest && self.rests.rests(key)
    }

    /// Large files that change faster than they can be sent.
    pub(crate) fn rests(&self) -> &Rests {
        &self.rests
    }

    /// True once the store has refused to write on a condition.
    pub(crate) fn conditions_are_refused(&self) -> bool {
        self.refuses_conditions.load(Ordering::Relaxed)
    }

    /// From now on somebody looks before a write.
    pub(crate) fn refuses_conditions(&self) {
        if !self.refuses_conditions.swap(true, Ordering::Relaxed) {
            tracing::debug!("the store does not write on conditions: what stands there is looked at first");
        }
    }

    /// Large files that do not hold still.
    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The uploads in flight.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What was done so far.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The pace of this engine's store.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Makes a call until it succeeds, fails for good, patience ends or `stop` comes. `moved` is a counter that grows
    /// when the call gets somewhere before it fails; growth renews patience.
    pub(crate) async fn attempt<T, F, Fut>(
        &self,
        stop: &CancellationToken,
        at: &str,
        moved: Option<&AtomicU64>,
        mut call: F,
    ) -> Result<T, TransferError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, TransferError>>,
    {
        let mut failing = Failing::start();
        let mut last = None;
        loop {
            let stopped = |last| TransferError::Stopped { at: at.to_owned(), last };
            let Some(turn) = self.pace.enter(stop).await else { return Err(stopped(last)) };
            self.progress.asked();
            let before = moved.map(|moved| moved.load(Ordering::Relaxed));
            // Not cancel safe in general: each call leaves things so that it can be made again, or reports Stopped.
            let result = tokio::select! {
                biased;
                result = call() => result,
                () = stop.cancelled() => return Err(stopped(last)),
            };
            drop(turn);
            let error = match result {
                Ok(value) => {
                    self.pace.succeeded();
                    return Ok(value);
                }
                Err(error) => error,
            };
            if moved.map(|moved| moved.load(Ordering::Relaxed)) != before {
                failing = Failing::start();
            }
            let Some(pause) = failing.pause(&error, self.patience, self.pace.succeeded_at()) else {
                return Err(error);
            };
            if let Some(Cause::Throttled(asked)) = error.cause() {
                self.pace.throttled(asked);
            }
            tracing::debug!("{error}; again in {pause:?}");
            last = Some(Box::new(error));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return Err(stopped(last)),
            }
        }
    }
}

/// A call that keeps failing.
struct Failing {
    since: Option<Instant>,
    tries: u32,
    pauses: backon::ExponentialBackoff,
}

impl Failing {
    fn start() -> Self {
        let pauses = backon::ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(15))
            .with_jitter()
            .without_max_times()
            .build();
        Self { since: None, tries: 0, pauses }
    }

    /// The pause before the next try; none when there is to be no other.
    fn pause(
        &mut self,
        error: &TransferError,
        patience: Patience,
        succeeded_at: Option<Instant>,
    ) -> Option<Duration> {
        if !error.may_pass() {
            return None;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let throttled = matches!(error.cause(), Some(Cause::Throttled(_)));
        if !throttled {
            self.tries = self.tries.saturating_add(1);
        }
        let unreachable = error.cause() == Some(Cause::Unreachable);
        // Whoever hands out credentials says itself when waiting for it is over.
        let waiting = error.cause() == Some(Cause::IdentityNotReady);
        let time = if unreachable { patience.unreachable } else { patience.time };
        let by_tries = !unreachable && !waiting && self.tries >= patience.tries;
        // A throttled store that serves others serves this one later: patience counts from when it last served anybody.
        let since = if throttled { since.max(succeeded_at.unwrap_or(since)) } else { since };
        if by_tries || since.elapsed() >= time {
            return None;
        }
        // A throttled call waits for its turn instead: the pace holds everybody back.
        if throttled { Some(Duration::from_millis(1)) } else { self.pauses.next() }
    }
}
