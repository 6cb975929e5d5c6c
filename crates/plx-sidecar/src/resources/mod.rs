//! What main uses, where nobody else says it: rows in `resources/metric/cpu.plx` and `memory.plx`, as Polyaxon's client writes
//! them (`traceml/processors/psutil_processor.py`), so that its UI shows them.
//!
//! A task of its own looks every [`TICK`], at the metrics API or at main's processes ([`meter`]), and adds a row when one is due
//! ([`rows`]). The client in main comes first: once anybody else writes below `resources/`, nothing more is written here.

mod capacity;
mod meter;
mod processes;
mod rows;

use crate::Config;
use futures::future::BoxFuture;
use meter::PodMeter;
use plx_contract::Env;
use plx_runtime::Stop;
use rows::{Rows, Written};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Between two looks; Polyaxon's client takes as long.
pub const TICK: Duration = Duration::from_secs(10);
/// For one look.
const LOOK: Duration = Duration::from_secs(5);
/// So many looks pass before the first row: a client that writes every ten seconds has shown itself by then.
const SILENT: u32 = 2;
/// For the last row.
const LAST: Duration = Duration::from_secs(2);

/// What main used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Of the CPU it may use, in percent.
    pub cpu: f64,
    /// Of the memory it may use, in percent.
    pub memory: f64,
}

/// What a look at main found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Look {
    /// What it used since the look before.
    Used(Sample),
    /// Nothing new.
    Nothing,
    /// Nobody wants to know.
    Unwanted,
}

/// Looks at main.
pub trait Meter: Send + 'static {
    /// One look. Cancel safe.
    fn look(&mut self) -> BoxFuture<'_, Look>;
}

/// What main uses, being collected.
pub struct Resources {
    last: watch::Sender<bool>,
    /// Aborted with this.
    tasks: JoinSet<()>,
}

impl Resources {
    /// Collects what main uses, when the environment or main's own in the pod says so; none where neither can.
    pub fn follow(config: &Config, env: &impl Env, stop: &Stop) -> Option<Self> {
        let meter = PodMeter::of(config, env)?;
        Some(Self::told_by(Box::new(meter), config, stop))
    }

    /// The same from any meter. Must be called within a runtime.
    pub fn told_by(meter: Box<dyn Meter>, config: &Config, stop: &Stop) -> Self {
        let folder = config.layout.run(&config.run.uuid).join("resources");
        let (last, ends) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(work(meter, Rows::below(folder), stop.asked.clone(), ends));
        Self { last, tasks }
    }

    /// Adds what was seen since the last row, within a bound.
    pub async fn finish(mut self, hard: &CancellationToken) {
        self.last.send_replace(true);
        tokio::select! {
            ended = timeout(LAST, self.tasks.join_next()) => {
                if let Ok(Some(Err(error))) = ended {
                    tracing::warn!("what main uses is collected no more: {error}");
                }
            }
            () = hard.cancelled() => {}
        }
        self.tasks.shutdown().await;
    }
}

/// Samples since the last row: of the CPU their mean, of memory the highest.
#[derive(Debug, Default)]
struct Since {
    cpu: f64,
    memory: f64,
    samples: u32,
}

impl Since {
    fn take(&mut self, sample: Sample) {
        self.samples += 1;
        self.cpu += (sample.cpu - self.cpu) / f64::from(self.samples);
        self.memory = self.memory.max(sample.memory);
    }
}

async fn work(
    mut meter: Box<dyn Meter>,
    rows: Rows,
    asked: CancellationToken,
    mut ends: watch::Receiver<bool>,
) {
    // None while it is being written.
    let mut rows = Some(rows);
    let (mut since, mut looks, mut added) = (Since::default(), 0, Instant::now());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            biased;
            _ = ends.wait_for(|last| *last) => true,
            _ = ticks.tick() => false,
        };
        if !last {
            let mut look = meter.look();
            let found = tokio::select! {
                found = timeout(LOOK, &mut look) => Some(found.unwrap_or(Look::Nothing)),
                _ = ends.wait_for(|last| *last) => None,
            };
            let look = match found {
                Some(found) => found,
                // What is about to be answered may be all there is to say of a short run.
                None => timeout(LAST / 2, look).await.unwrap_or(Look::Nothing),
            };
            match look {
                Look::Used(sample) => since.take(sample),
                Look::Nothing => {}
                Look::Unwanted => return,
            }
            looks += 1;
        }
        // After SIGTERM quiet may be the sign of main's end, and a row would break it. The last one comes at the end.
        let may_add = last || looks > SILENT && !asked.is_cancelled();
        let taken = Since { ..since };
        let Some(mut open) = rows.take() else { return };
        let elapsed = added.elapsed();
        let written = spawn_blocking(move || {
            let sample = Sample { cpu: taken.cpu, memory: taken.memory };
            let due = may_add && taken.samples > 0 && (last || elapsed + TICK / 2 >= open.period());
            let written = open.look(due.then_some(sample));
            (open, written)
        });
        match written.await {
            Ok((open, written)) => {
                rows = Some(open);
                match written {
                    Written::Added => (since, added) = (Since::default(), Instant::now()),
                    Written::Not => {}
                    Written::ByOthers(path) => {
                        tracing::info!(
                            "{path} is written by main itself: what it uses is not collected here"
                        );
                        return;
                    }
                }
            }
            Err(error) => return tracing::error!("what main uses is collected no more: {error}"),
        }
        if last {
            return;
        }
    }
}
