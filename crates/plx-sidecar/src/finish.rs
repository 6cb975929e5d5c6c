//! The end: pass after pass until disk and store agree, or time is up.

use crate::OnIncomplete;
use crate::pass::{PassReport, Passes, Waiting};
use indicatif::HumanBytes;
use plx_contract::Class;
use plx_runtime::Report;
use plx_transfer::Patience;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// More than two ticks of the clock that file systems take their times from.
pub(crate) const SETTLE: Duration = Duration::from_millis(30);
/// Between two passes of the end that did not settle it.
const BREATH: Duration = Duration::from_millis(500);
/// The same after several.
const LONGEST_BREATH: Duration = Duration::from_secs(5);
/// Passes that find only failures which waiting does not seem to cure.
const HOPELESS: u32 = 3;
/// How long such failures are tried all the same: a volume that hangs for a moment, a key that is being changed.
const PERSISTENCE: Duration = Duration::from_secs(15);
/// Passes that find only files which keep changing: somebody still writes, and main is gone.
const RESTLESS: u32 = 20;

/// Comparisons of disk and store that found a difference: somebody else changes what this run stores, or its listing is late.
const COMPARISONS: u32 = 3;

/// Passes until everything is stored and a look at the store agrees, nothing more can be, or `hard` says that time is up.
/// Once `asked` comes, time is short. Returns the last pass.
pub async fn finish(passes: &mut Passes, asked: &CancellationToken, hard: &CancellationToken) -> PassReport {
    let (mut hopeless, mut restless, mut compared) = (0, 0, 0);
    passes.insist();
    // What main wrote last has settled by then, and is not sent twice because its clock is coarse.
    rest(SETTLE, hard).await;
    let mut breath = BREATH;
    let mut standing_since = Instant::now();
    loop {
        // A pass's patience, not more: one file that keeps failing must not hold a worker that others wait for.
        let report = pass(passes, asked, hard).await;
        if hard.is_cancelled() {
            return report;
        }
        if report.is_settled() && report.unstorable.is_empty() {
            compared += 1;
            if compared > COMPARISONS || passes.compare(hard).await == 0 {
                return report;
            }
            rest(BREATH, hard).await;
            continue;
        }
        let is_cut_off = report.waiting.values().any(|waiting| *waiting == Waiting::Unreached);
        if report.stored + report.deleted + report.vanished > 0 || is_cut_off {
            // What was stored may have changed since: the next pass looks again, at once.
            (hopeless, restless, breath, standing_since) = (0, 0, BREATH, Instant::now());
            continue;
        }
        let may_pass = |waiting: &Waiting| matches!(waiting, Waiting::Failed { may_pass: true, .. });
        if report.waiting.values().any(|waiting| *waiting == Waiting::Changing) {
            restless += 1;
        } else if !report.waiting.values().any(may_pass) {
            // Held deletes: the guard lets them through once two later scans agree, or holds them for good. Or what
            // seems to be for good: a disk that is full, a key that is refused. Those get a little longer.
            hopeless += 1;
        }
        let stands =
            standing_since.elapsed() >= PERSISTENCE || report.is_quiet() && report.unstorable.is_empty();
        if restless >= RESTLESS || hopeless >= HOPELESS && stands {
            return report;
        }
        rest(breath, hard).await;
        breath = (breath * 2).min(LONGEST_BREATH);
    }
}

fn tenths_of(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

async fn rest(time: Duration, hard: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = hard.cancelled() => {}
    }
}

/// A pass that SIGTERM breaks off, so that the next can begin with what is worth most.
pub(crate) async fn pass(
    passes: &mut Passes,
    asked: &CancellationToken,
    hard: &CancellationToken,
) -> PassReport {
    if asked.is_cancelled() {
        passes.hurry();
        return Box::pin(passes.run(Patience::PASS, hard)).await;
    }
    let broken_off = hard.child_token();
    let mut pass = Box::pin(passes.run(Patience::PASS, &broken_off));
    tokio::select! {
        report = &mut pass => report,
        () = asked.cancelled() => {
            broken_off.cancel();
            pass.await
        }
    }
}

/// Keys that are named in the report; the rest is counted.
const NAMED: usize = 50;

/// The report of the whole run.
pub fn report(
    passes: &mut Passes,
    last: Option<&PassReport>,
    on_incomplete: OnIncomplete,
    out_of_time: bool,
) -> Report {
    // No look came to its end: what the one before said is all that is known.
    let is_known = last.is_some();
    let before = passes.as_of_before();
    let last = last.unwrap_or(&before);
    let totals = passes.end_record();
    let stored = format!(
        "{} files in the store; {} uploads ({}, {} of them again) in {} passes and {} requests, the store at most {:.1} s behind",
        passes.stored(),
        totals.stored,
        HumanBytes(totals.bytes),
        HumanBytes(totals.again),
        totals.passes,
        totals.requests,
        totals.behind,
    );
    let mut details = vec![
        ("stored", json!(passes.stored())),
        ("uploads", json!(totals.stored)),
        ("bytes", json!(totals.bytes)),
        ("again", json!(totals.again)),
        ("passes", json!(totals.passes)),
        ("requests", json!(totals.requests)),
        ("behind", json!(totals.behind)),
        ("behind_mean", json!(tenths_of(totals.behind_mean))),
        ("deleted", json!(totals.deleted)),
    ];
    let (aside, folder) = passes.aside();
    let stored = match aside {
        0 => stored,
        _ => format!(
            "{stored}; {aside} of them below {folder}, as another pod of the run stored files of these names"
        ),
    };
    if aside > 0 {
        details.push(("aside", json!(aside)));
    }
    let unstored = last.waiting.len() + last.unstorable.len();
    if unstored == 0 && !out_of_time {
        if let Some(held) = &last.held {
            details.push(("held", json!(held)));
        }
        details.push(("waiting", json!([])));
        return Report { class: Class::Done, exit: None, message: stored, next: None, details };
    }
    let waiting = last.waiting.iter().map(|(key, waiting)| format!("{key}: {}", waiting.why()));
    let first = waiting.chain(last.unstorable.iter().cloned()).next();
    let why = first.map_or_else(String::new, |first| format!("; first {first}"));
    let what = match (out_of_time, unstored) {
        (true, _) if !is_known => {
            format!(
                "time was up, and the disk or the store did not answer; {unstored} were not stored before that"
            )
        }
        // Main may run, or may have ended without a word: an old kubelet tells nobody of it while its pod is deleted.
        (true, 0) if last.is_settled() => {
            "time was up before anything said that main had ended; all is stored that the last look found"
                .to_owned()
        }
        (true, 0) => "time was up while files still changed".to_owned(),
        (true, _) => format!("time was up, {unstored} not stored"),
        (false, _) => format!("some files could not be stored, {unstored} in all"),
    };
    details.push(("unstored", json!(unstored)));
    let names = last.waiting.keys().map(ToString::to_string).chain(last.unstorable.iter().cloned());
    details.push(("waiting", json!(names.take(NAMED).collect::<Vec<_>>())));
    Report {
        class: Class::Incomplete,
        exit: match on_incomplete {
            OnIncomplete::Report => Some(0),
            OnIncomplete::Fail => None,
        },
        message: format!("outputs incomplete: {what}{why}; {stored}"),
        next: Some(
            "look at the reason of the first; more time is the pod's terminationGracePeriodSeconds, or --finish-timeout"
                .to_owned(),
        ),
        details,
    }
}
