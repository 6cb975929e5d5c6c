//! A pass when time is short: in order of worth, one kind after the other.
//!
//! All at once, a slow store would have a little of everything and nothing whole when the kill comes.

use super::look;
use super::store::{Ends, Judge};
use super::worth::ByWorth;
use crate::peers::Others;
use futures::stream::{FuturesUnordered, StreamExt};
use plx_contract::{Layout, run::RunUuid};
use plx_journal::{Put, Seen};
use plx_transfer::{Ended, Engine, Remote, Upload, upload};
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Small files at a time: enough for a store that is far away, few enough that a slow one finishes some every second.
const FIRST: usize = 32;
/// Of the rest.
const REST: usize = 2;
/// What goes first and gets nowhere for so long does not hold up the newest checkpoint.
const STANDSTILL: Duration = Duration::from_secs(3);
/// Between two looks for something that is worth more than the rest.
const LOOK: Duration = Duration::from_secs(1);

/// What is told how uploads end, and says what becomes of those whose key holds something else.
pub(super) struct Fate<'a, 'b, F> {
    /// Who else lives; asked for only when that matters.
    pub known: F,
    pub judge: Judge<'a>,
    pub ends: &'a mut Ends<'b>,
}

/// Sends files in order of worth. Of the rest, no other is begun once `newer` says that there is something new.
pub(super) async fn store<F: Future<Output = Others>>(
    engine: &Engine,
    remote: &Remote,
    puts: Vec<Put>,
    job: impl Fn(&Put) -> Upload,
    newer: impl Future<Output = ()>,
    hard: &CancellationToken,
    fate: Fate<'_, '_, F>,
) {
    let ByWorth { first, newest, rest } = ByWorth::of(puts);
    let (told, mut ended) = mpsc::unbounded_channel();
    let send_jobs = |engine: Engine, jobs: Vec<Upload>| {
        let told = told.clone();
        // Whoever listens does so for longer than anybody sends.
        async move { upload(&engine, remote, jobs, hard, |job, how| drop(told.send((job, how)))).await }
    };
    let send = |engine: Engine, puts: Vec<Put>| send_jobs(engine, puts.iter().map(&job).collect());
    let (first_ended, newest_ended, enough) =
        (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let first = async {
        send(engine.with_workers(FIRST), first).await;
        first_ended.cancel();
    };
    let newest = async {
        tokio::select! {
            () = first_ended.cancelled() => {}
            () = standstill(engine) => {}
        }
        // One after the other: of two halves nobody can go on.
        send(engine.with_workers(1), newest).await;
        newest_ended.cancel();
    };
    let rest = async {
        newest_ended.cancelled().await;
        let sent = send(engine.with_workers(REST).until(enough.clone()), rest);
        let watch = async {
            newer.await;
            enough.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = sent => {}
            () = watch => {}
        }
    };
    let all = async {
        tokio::join!(first, newest, rest);
    };
    tokio::pin!(all);
    let Fate { known: asking, judge, ends } = fate;
    tokio::pin!(asking);
    let (mut known, mut others, mut again) = (None, Vec::new(), FuturesUnordered::new());
    let (mut tried, mut is_over) = (HashSet::new(), false);
    loop {
        if let Some(known) = &known
            && !others.is_empty()
        {
            let jobs = others.drain(..).filter_map(|(job, present)| judge.again(ends, known, job, present));
            let jobs: Vec<Upload> = jobs.collect();
            tried.extend(jobs.iter().map(|job| job.key.clone()));
            again.push(send_jobs(engine.with_workers(FIRST), jobs));
        }
        if is_over && others.is_empty() && again.is_empty() && ended.is_empty() {
            break;
        }
        // Cancel safe: what was told stays in the channel, the others are pinned.
        tokio::select! {
            biased;
            Some((job, how)) = ended.recv() => match how {
                // One that is refused once more is for the next pass.
                Ended::Other(present) if !tried.contains(&job.key) => others.push((job, present)),
                how => ends.take(job, how),
            },
            answer = &mut asking, if known.is_none() && !others.is_empty() => known = Some(answer),
            Some(()) = again.next(), if !again.is_empty() => {}
            () = &mut all, if !is_over => is_over = true,
        }
    }
}

/// Comes when nothing was moved for a while.
async fn standstill(engine: &Engine) {
    let mut moved = engine.progress().bytes();
    loop {
        tokio::time::sleep(STANDSTILL).await;
        let now = engine.progress().bytes();
        if now == moved {
            return;
        }
        moved = now;
    }
}

/// Comes when a file is there that `seen` does not have as it is now.
pub(super) async fn newer(layout: &Layout, run: &RunUuid, seen: &Seen) {
    loop {
        tokio::time::sleep(LOOK).await;
        let (now, _) = look(layout, run).await;
        let known = |(key, file): (_, &plx_journal::SeenFile)| {
            seen.files.get(key).is_some_and(|before| before.stat.same_version(&file.stat))
        };
        if !now.files.iter().all(known) {
            return;
        }
    }
}
