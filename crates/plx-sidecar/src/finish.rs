//! The end: pass after pass until disk and store agree, or time is up.

use crate::OnIncomplete;
use crate::pass::{PassReport, Passes, Waiting};
use indicatif::HumanBytes;
use plx_contract::Class;
use plx_runtime::Report;
use plx_transfer::Patience;
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// More than two ticks of the clock that file systems take their times from.
const SETTLE: Duration = Duration::from_millis(30);
/// Between two passes of the end that did not settle it.
const BREATH: Duration = Duration::from_millis(500);
/// Passes that find only failures which waiting does not cure.
const HOPELESS: u32 = 3;
/// Passes that find only files which keep changing: somebody still writes, and main is gone.
const RESTLESS: u32 = 20;

/// Passes until everything is stored, nothing more can be, or `hard` says that time is up. Returns the last pass.
pub async fn finish(passes: &mut Passes, hard: &CancellationToken) -> PassReport {
    let (mut hopeless, mut restless) = (0, 0);
    // What main wrote last has settled by then, and is not sent twice because its clock is coarse.
    tokio::select! {
        () = tokio::time::sleep(SETTLE) => {}
        () = hard.cancelled() => {}
    }
    loop {
        let report = passes.run(Patience::UNTIL_STOPPED, hard).await;
        if report.is_settled() || hard.is_cancelled() {
            return report;
        }
        let may_pass = |waiting: &Waiting| matches!(waiting, Waiting::Failed { may_pass: true, .. });
        let moved = report.stored + report.deleted > 0;
        if !moved && !report.waiting.is_empty() && !report.waiting.values().any(may_pass) {
            let changing = report.waiting.values().any(|waiting| *waiting == Waiting::Changing);
            let count = if changing { &mut restless } else { &mut hopeless };
            *count += 1;
            if hopeless >= HOPELESS || restless >= RESTLESS {
                return report;
            }
        } else if !moved && report.waiting.is_empty() {
            // Held deletes: the guard lets them through once two later scans agree, or holds them for good. Or files
            // that vanished: the next pass sees under which name they are there.
            hopeless += 1;
            if hopeless >= HOPELESS {
                return report;
            }
        } else {
            hopeless = 0;
        }
        // What was stored may have changed since: the next pass looks again, at once when there was something to do.
        if !moved {
            tokio::select! {
                () = tokio::time::sleep(BREATH) => {}
                () = hard.cancelled() => {}
            }
        }
    }
}

/// Keys that are named in the report; the rest is counted.
const NAMED: usize = 50;

/// The report of the whole run.
pub fn report(passes: &Passes, last: &PassReport, on_incomplete: OnIncomplete, out_of_time: bool) -> Report {
    let totals = passes.totals();
    let stored = format!(
        "{} files in the store; {} uploads ({}) in {} passes",
        passes.stored(),
        totals.stored,
        HumanBytes(totals.bytes),
        totals.passes
    );
    let mut details = vec![
        ("stored", json!(passes.stored())),
        ("uploads", json!(totals.stored)),
        ("bytes", json!(totals.bytes)),
        ("passes", json!(totals.passes)),
        ("deleted", json!(totals.deleted)),
    ];
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
        (true, 0) => "time was up while files still changed or main still ran".to_owned(),
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
