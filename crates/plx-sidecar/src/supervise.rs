//! The loop: events, one decision each.
//!
//! SIGTERM does not mean that main is gone. On a pod's deletion both get it together, and main may still write its last
//! checkpoint. So it starts the clock, and passes go on until main is gone by any other sign, or time is up. Where no
//! other sign can come, a short quiet spell after SIGTERM is the sign.

use crate::beside::Beside;
use crate::logs::Logs;
use crate::main_container::{Gone, MainContainer, Marker, Process, Signs};
use crate::pass::{PassReport, Passes};
use crate::pod_status::PodStatus;
use crate::spec::Source;
use crate::summaries::{LAST_DELIVERY, Summaries};
use crate::wrapped::Wrapped;
use crate::{Config, DEFAULT_GRACE, SidecarError, finish, unfinished};
use plx_contract::Class;
use plx_contract::env::SharedEnv;
use plx_journal::{FsFile, Journal, Underway};
use plx_kube::Cluster;
use plx_runtime::{DiskFiles, Report, Stop, memory_limit};
use plx_store::{Bucket, Opened};
use plx_transfer::{Budget, Engine, Patience, Remote, Settings};
use serde_json::json;
use std::future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// After SIGTERM a pass begins this often: what is stored by then need not be stored in the last seconds.
const TERMINATING_PERIOD: Duration = Duration::from_secs(1);
/// Between two looks whether main lives.
const LONGEST_LOOK: Duration = Duration::from_secs(600);
/// How long uploads that nobody will finish are aborted for, where time is not up.
const ABORTS: Duration = Duration::from_secs(10);
/// Passes without any change after SIGTERM that count as main's end, where nothing else tells.
const QUIET_PASSES: u32 = 3;

/// So long before time is up every line goes with the next pass, however few there are.
const LAST_LINES: Duration = Duration::from_secs(4);
/// For the API to take a warning, when there is time.
const WARNING: Duration = Duration::from_secs(10);

/// How passes came to their end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ended {
    Main(Gone),
    Quiet,
    Lifeless(Duration),
    OutOfTime,
}

enum Event {
    MainGone(Gone),
    Terminate,
    OutOfTime,
    Tick,
    Look,
}

/// Runs a sidecar to its end.
///
/// # Errors
/// When it cannot start. What it could not store is in the report.
pub async fn run(config: Config, env: &impl SharedEnv, stop: Stop) -> Result<Report, SidecarError> {
    let artifacts = config.layout.artifacts();
    if !artifacts.is_dir() {
        return Err(SidecarError::NoArtifacts { path: artifacts });
    }
    let remote = open(&config, env)?;
    let mut signs = Signs::default();
    if let Some(pid) = config.main_pid {
        signs = signs.and(Process::watch(pid)?);
    }
    if let Some(path) = &config.main_marker {
        signs = signs.and(Marker::watch(path.clone()));
    }
    let (said, grace) = watch::channel(DEFAULT_GRACE);
    if let Some(folder) = &config.wrapped_main {
        signs = signs.and(Wrapped::watch(folder.clone(), stop.asked.clone()));
    } else if let Some(status) = PodStatus::follow(&config, env, &stop, said) {
        signs = signs.and(status);
    }
    tracing::info!("run {} of pod {} to {remote}/{}", config.run.uuid, config.pod, config.run.uuid);
    let summaries = Summaries::start(&config, env, &DiskFiles);
    let cluster = Cluster::of_this_pod(env, DiskFiles).ok();
    let cluster = cluster.map(|cluster| Arc::new(cluster) as Arc<dyn Source>);
    let mut passes = passes(&config, remote).with_summaries(summaries).with_peers(cluster, &config);
    let logs = if config.monitor_logs { Logs::follow(&config, env) } else { None };
    let beside = Beside::start(&config, env, &stop);
    Ok(supervise(&config, &mut passes, signs, logs, beside, grace, stop).await)
}

/// Passes into a store, with the journal of this pod, or what init left.
pub fn passes(config: &Config, remote: Remote) -> Passes {
    let budget = config.buffer_bytes.map_or_else(|| Budget::for_limit(memory_limit(&DiskFiles)), Budget::new);
    let engine = Engine::new(Settings { budget, patience: Patience::PASS, ..Settings::default() })
        .with_ledger(unfinished::ledger(config, &remote));
    let journal = open_journal(config);
    Passes::new(engine, remote, config, journal)
}

/// The life of a sidecar, from its first tick to its report. `grace` is what the pod says; what is configured wins.
pub async fn supervise(
    config: &Config,
    passes: &mut Passes,
    mut main: Signs,
    logs: Option<Logs>,
    beside: Beside,
    grace: watch::Receiver<Duration>,
    stop: Stop,
) -> Report {
    let grace = config.grace.map_or(grace, |given| watch::channel(given).1);
    let hard = CancellationToken::new();
    let mut clocks = JoinSet::new();
    clocks.spawn(second_signal(stop.now.clone(), hard.clone()));
    // On a task of its own: a signal in the middle of a pass, the last one too, counts from when it came.
    clocks.spawn(terminate(stop.asked.clone(), grace.clone(), hard.clone()));
    let time = Time { hard: hard.clone(), grace, up: OnceLock::new() };
    let mut ticks = config.schedule.period().map(every);
    let mut life = Life::new(config.lifeless);
    let mut terminating = false;
    let mut asked_at = None;
    let mut quiet = 0;
    let ended = loop {
        // Each branch is cancel safe: tokens and signs keep their state, a tick that is not taken comes again.
        let event = tokio::select! {
            biased;
            gone = main.gone() => Event::MainGone(gone),
            () = stop.asked.cancelled(), if !terminating => Event::Terminate,
            () = hard.cancelled() => Event::OutOfTime,
            // Before the ticks: passes that take longer than their interval leave no room between them.
            () = tick(&mut life.looks) => Event::Look,
            () = tick(&mut ticks) => Event::Tick,
        };
        match event {
            Event::MainGone(gone) => break Ended::Main(gone),
            Event::OutOfTime => break Ended::OutOfTime,
            // Where nothing else tells, a change on disk is the sign that main lives: somebody has to look for one.
            Event::Look => {
                // Passes see changes; where there is none before the end, this is all that looks.
                let changed = async { ticks.is_none() && passes.has_changed().await };
                match time.step(3, changed).await {
                    None => break Ended::OutOfTime,
                    Some(changed) if changed || main.lives() => life.seen(),
                    Some(_) => {}
                }
                if life.is_over() {
                    break Ended::Lifeless(life.limit);
                }
            }
            Event::Terminate => {
                terminating = true;
                asked_at = Some(Instant::now());
                ticks = Some(every(TERMINATING_PERIOD));
            }
            Event::Tick => {
                // Where quiet is the sign of main's end, a part of the logs must not break it. They come at the end.
                let part = logs.as_ref().filter(|_| !terminating || main.can_tell());
                // What is collected only when time is up comes too late to be sent.
                let last = asked_at.is_some_and(|asked: Instant| {
                    let grace = *time.grace.borrow();
                    asked.elapsed() + LAST_LINES >= grace.saturating_sub(margin(grace))
                });
                let report = {
                    passes.beside_init(main.is_prepared());
                    let pass = async {
                        if let Some(logs) = part {
                            logs.publish(last).await;
                        }
                        finish::pass(passes, &stop.asked, &hard).await
                    };
                    let pass = time.step(3, pass);
                    tokio::pin!(pass);
                    // A pass into a store that does not answer is long: the last pass's clock must not wait for it.
                    tokio::select! {
                        report = &mut pass => report,
                        _ = main.gone() => {
                            clocks.spawn(expire(config.finish, hard.clone()));
                            pass.await
                        }
                    }
                };
                // A disk or a volume that hangs ends no pass.
                let Some(report) = report else { break Ended::OutOfTime };
                if report.found_change() {
                    life.seen();
                }
                // Only passes without a sign count: one refusal of the API in a long quiet is not main's end.
                quiet = if terminating && report.is_quiet() && !main.can_tell() { quiet + 1 } else { 0 };
                if quiet >= QUIET_PASSES {
                    break Ended::Quiet;
                }
            }
        }
    };
    tracing::info!("{}", words(&ended));
    if !terminating {
        clocks.spawn(expire(config.finish, hard.clone()));
    }
    let beside = beside.finish(matches!(ended, Ended::Main(_)), &hard);
    if let Some(logs) = logs {
        let last = logs.finish(&config.container, matches!(ended, Ended::Main(_)), &hard);
        if time.step(1, last).await.is_none() {
            tracing::warn!("the last lines of the logs could not be written in time");
        }
    }
    if time.step(1, beside).await.is_none() {
        tracing::debug!("what is collected beside the passes did not end in time");
    }
    passes.beside_init(main.is_prepared());
    // Out of time, one more look says what is missing; a disk that hangs must not cost the report.
    let last = time.step(3, finish::finish(passes, &stop.asked, &hard)).await;
    if time.step(2, passes.close(ABORTS)).await.is_none() {
        tracing::warn!("uploads in parts may be left open: there was no time to abort them");
    }
    // Once the files are stored. Out of time, no more than a moment of what is kept for the report.
    let untold = match time.left(1) {
        None => passes.summaries().finish(LAST_DELIVERY, &hard).await,
        Some(moment) => passes.summaries().finish(moment, &CancellationToken::new()).await,
    };
    // Nothing of this pod is stored after this.
    if time.step(1, passes.leave()).await.is_none() {
        tracing::debug!("no time to take away the pod's mark in the store");
    }
    let is_settled = last.as_ref().is_some_and(PassReport::is_settled);
    let out_of_time = ended == Ended::OutOfTime || (hard.is_cancelled() && !is_settled);
    let mut report = finish::report(passes, last.as_ref(), config.on_incomplete, out_of_time);
    if report.class != Class::Done && time.step(1, passes.summaries().warn(&report, WARNING)).await.is_none()
    {
        tracing::warn!("there was no time to add a warning to the run's statuses");
    }
    clocks.shutdown().await;
    untold.add_to(&mut report);
    report.details.insert(0, ("main", json!(words(&ended).trim_end_matches(": the last pass"))));
    match report.class {
        Class::Done => tracing::info!("{}", report.message),
        _ => tracing::error!("{}", report.message),
    }
    report
}

fn words(ended: &Ended) -> String {
    match ended {
        Ended::Main(Gone { by, exit_code: Some(code) }) => {
            format!("main ended with {code} ({by}): the last pass")
        }
        Ended::Main(Gone { by, exit_code: None }) => format!("main is gone ({by}): the last pass"),
        Ended::Quiet => "quiet since SIGTERM: the last pass".to_owned(),
        Ended::Lifeless(limit) => format!(
            "no sign of main's life and no change on disk for {} s (--lifeless-timeout): the last pass",
            limit.as_secs()
        ),
        Ended::OutOfTime => "time is up".to_owned(),
    }
}

/// Whether main may still be expected to do something, where nobody can tell its end: an API that refuses, no process, a
/// marker whose writer may have been killed, an image that cannot be had.
struct Life {
    limit: Duration,
    last: Instant,
    looks: Option<Interval>,
}

impl Life {
    fn new(limit: Option<Duration>) -> Self {
        let looks = limit.map(|limit| every(LONGEST_LOOK.min(limit / 4).max(Duration::from_secs(1))));
        Self { limit: limit.unwrap_or_default(), last: Instant::now(), looks }
    }

    /// There is a sign of it.
    fn seen(&mut self) {
        self.last = Instant::now();
    }

    fn is_over(&self) -> bool {
        self.last.elapsed() >= self.limit
    }
}

/// Time at the end: every step has as much as it takes while there is some, and once it is up a share of the margin. A
/// quarter of that stays for the report, however slow disk and network are.
struct Time {
    hard: CancellationToken,
    grace: watch::Receiver<Duration>,
    /// When it was up.
    up: OnceLock<Instant>,
}

impl Time {
    /// Runs a step. Once time is up, at most so many eighths of the margin more; none when that did not suffice.
    async fn step<T>(&self, eighths: u32, step: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(step);
        tokio::select! {
            biased;
            done = &mut step => return Some(done),
            () = self.hard.cancelled() => {}
        }
        let left = self.left(eighths).unwrap_or_default();
        tokio::time::timeout(left, step).await.ok()
    }

    /// What a step of so many eighths of the margin may take now; none as long as time is not up.
    fn left(&self, eighths: u32) -> Option<Duration> {
        if !self.hard.is_cancelled() {
            return None;
        }
        let margin = margin(*self.grace.borrow());
        let up = *self.up.get_or_init(Instant::now);
        Some((margin * eighths / 8).min((margin * 3 / 4).saturating_sub(up.elapsed())))
    }
}

/// What is left of the grace period for the report and for clean-up.
fn margin(grace: Duration) -> Duration {
    (grace / 8).clamp(Duration::from_secs(1), Duration::from_secs(4))
}

async fn second_signal(now: CancellationToken, hard: CancellationToken) {
    now.cancelled().await;
    hard.cancel();
}

async fn expire(after: Duration, hard: CancellationToken) {
    tokio::time::sleep(after).await;
    hard.cancel();
}

/// A deletion says how much time it gives, and a second one may give less.
async fn terminate(asked: CancellationToken, mut grace: watch::Receiver<Duration>, hard: CancellationToken) {
    asked.cancelled().await;
    let begun = Instant::now();
    loop {
        let given = *grace.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep_until(begun + given.saturating_sub(margin(given))) => break hard.cancel(),
            Ok(()) = grace.changed() => {}
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    // From start to start; a pass that takes longer than the period is followed by the next at once, and only by one.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => future::pending().await,
    }
}

fn open(config: &Config, env: &impl SharedEnv) -> Result<Remote, SidecarError> {
    Ok(match plx_store::open(&config.store, env, &DiskFiles)? {
        Opened::Bucket(Bucket { store, parts, prefix, place, about, empty_uploads, .. }) => {
            Remote::bucket(store, parts, prefix, place).reached(&about.endpoint, empty_uploads)
        }
        Opened::Volume(volume) if volume.read_only => {
            return Err(SidecarError::ReadOnly { name: config.store.name.clone() });
        }
        Opened::Volume(volume) => Remote::volume(volume.root),
    })
}

/// The journal of this pod, or what init left. Neither being readable stops nothing: files are then sent again.
fn open_journal(config: &Config) -> Journal {
    // Init may still be writing it: passes look again, and say so when it cannot be read.
    let path = config.layout.fs_file();
    let hand_over = (!Underway::is(&path)).then(|| FsFile::load(&path).unwrap_or_default()).flatten();
    let run = Some(&config.run.uuid);
    let journal = Journal::open(&config.layout.own_state(&config.pod), run, hand_over.as_ref());
    let journal = journal.unwrap_or_else(|error| {
        tracing::warn!("{error}; kept in memory only, after a restart files are sent again");
        Journal::in_memory(run, hand_over.as_ref())
    });
    for note in journal.notes() {
        tracing::warn!("{note}");
    }
    journal
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time that is up, of a grace period with a margin of 4 s.
    fn up() -> Time {
        let hard = CancellationToken::new();
        hard.cancel();
        Time { hard, grace: watch::channel(Duration::from_secs(60)).1, up: OnceLock::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn steps_that_hang_have_their_share_and_leave_a_quarter_of_the_margin_for_the_report() {
        let (time, begun) = (up(), Instant::now());
        assert_eq!(time.step(1, future::pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), Duration::from_millis(500));
        for _ in 0..4 {
            assert_eq!(time.step(3, future::pending::<()>()).await, None);
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
        assert_eq!(time.step(1, future::ready(7)).await, Some(7), "what takes no time is done all the same");
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_hangs_when_time_comes_up_is_given_up_then_and_not_before() {
        let time = Time { hard: CancellationToken::new(), ..up() };
        let (hard, begun) = (time.hard.clone(), Instant::now());
        let clock = expire(Duration::from_secs(100), hard);
        let (given_up, ()) = tokio::join!(time.step(2, future::pending::<()>()), clock);
        assert_eq!((given_up, begun.elapsed()), (None, Duration::from_secs(101)));
    }
}
