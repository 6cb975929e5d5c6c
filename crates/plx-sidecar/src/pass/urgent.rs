//! A pass when time is short: in order of worth, one kind after the other.
//!
//! All at once, a slow store would have a little of everything and nothing whole when the kill comes.

use super::look;
use super::worth::ByWorth;
use plx_contract::{Layout, run::RunUuid};
use plx_journal::{Put, Seen};
use plx_transfer::{Ended, Engine, Remote, Upload, upload};
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

/// Sends files in order of worth. Of the rest, no other is begun once `newer` says that there is something new.
pub(super) async fn store(
    engine: &Engine,
    remote: &Remote,
    puts: Vec<Put>,
    job: impl Fn(&Put) -> Upload,
    newer: impl Future<Output = ()>,
    hard: &CancellationToken,
    mut each: impl FnMut(Upload, Ended),
) {
    let ByWorth { first, newest, rest } = ByWorth::of(puts);
    let (told, mut ended) = mpsc::unbounded_channel();
    let send = |engine: Engine, puts: Vec<Put>| {
        let told = told.clone();
        let jobs = puts.iter().map(&job).collect();
        // Whoever listens does so for longer than anybody sends.
        async move { upload(&engine, remote, jobs, hard, |job, how| drop(told.send((job, how)))).await }
    };
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
    loop {
        // Cancel safe: what was told stays in the channel, `all` is pinned.
        tokio::select! {
            biased;
            Some((job, how)) = ended.recv() => each(job, how),
            () = &mut all => break,
        }
    }
    while let Ok((job, how)) = ended.try_recv() {
        each(job, how);
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
