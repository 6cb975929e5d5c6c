//! How far a transfer is: numbers for everybody, a bar for people at a terminal, plain lines for everybody else.

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_EVERY: Duration = Duration::from_millis(120);

/// Counters of one engine. They only grow.
#[derive(Debug, Default)]
pub struct Progress {
    objects_planned: AtomicU64,
    bytes_planned: AtomicU64,
    objects: AtomicU64,
    bytes: AtomicU64,
    requests: AtomicU64,
}

impl Progress {
    /// Adds to what is to be done.
    pub fn planned(&self, objects: u64, bytes: u64) {
        self.objects_planned.fetch_add(objects, Ordering::Relaxed);
        self.bytes_planned.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn moved(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn finished_one(&self) {
        self.objects.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes moved so far, repeated ones included.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Requests made so far, repeated ones included. The pages of one listing count once.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Objects finished so far.
    pub fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }
}

/// Something whose progress can be shown.
pub trait Shown {
    /// How much is done, and the whole; the whole is nothing as long as it is not known.
    fn part(&self) -> (u64, u64);
    /// One line for a person, after so much time.
    fn line(&self, took: Duration) -> String;
}

impl Shown for Progress {
    fn part(&self) -> (u64, u64) {
        (self.bytes(), self.bytes_planned.load(Ordering::Relaxed))
    }

    fn line(&self, took: Duration) -> String {
        let (objects, bytes) = (self.objects(), self.bytes());
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for people"
        )]
        let rate = (bytes as f64 / took.as_secs_f64().max(0.001)) as u64;
        format!(
            "{objects} of {} objects, {} of {}, {}/s",
            self.objects_planned.load(Ordering::Relaxed).max(objects),
            HumanBytes(bytes),
            HumanBytes(self.bytes_planned.load(Ordering::Relaxed).max(bytes)),
            HumanBytes(rate)
        )
    }
}

/// Runs `work` and shows `progress` meanwhile: as a bar when `terminal`, else as a log line every few seconds. Work that
/// is done within the first seconds shows nothing.
pub async fn show<T>(what: &str, progress: &impl Shown, terminal: bool, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let every = if terminal { BAR_EVERY } else { LINE_EVERY };
    let mut ticks = interval_at(started + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut bar = None;
    tokio::pin!(work);
    let done = loop {
        // Cancel safe: `work` is pinned and polled on, a tick holds nothing.
        tokio::select! {
            done = &mut work => break done,
            _ = ticks.tick() => {
                if terminal {
                    draw(bar.get_or_insert_with(|| new_bar(what)), progress, started.elapsed());
                } else {
                    tracing::info!("{what}: {}", progress.line(started.elapsed()));
                }
            }
        }
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    done
}

fn new_bar(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {msg}")
        .expect("the template is correct")
        .progress_chars("=> ");
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr()).with_style(style);
    bar.set_prefix(what.to_owned());
    bar
}

fn draw(bar: &ProgressBar, progress: &impl Shown, took: Duration) {
    let (done, all) = progress.part();
    bar.set_length(all.max(1));
    bar.set_position(done);
    bar.set_message(progress.line(took));
}
