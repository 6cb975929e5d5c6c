//! Writers that never rest, on the real clock: no version that is published is a mix of two, or a part of one.

use crate::world::{RUN, World, after, pass};
use plx_sidecar::pass::Waiting;
use plx_testkit::Snapshot;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::task::JoinSet;

/// Pods at once, each with writers and passes of its own.
const PODS: u64 = 10;
const PASSES: u64 = 500;

/// A version: its check, then that many bytes of a pattern that follows from its number.
fn version(number: u64) -> Vec<u8> {
    let length = 3_000 + usize::try_from(number * 7919 % 60_000).unwrap();
    let pattern = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let body: Vec<u8> = pattern.iter().copied().cycle().take(length).collect();
    let mut whole = plx_testkit::Content::of(&body).hash.to_le_bytes().to_vec();
    whole.extend(body);
    whole
}

fn checks(content: &[u8]) -> bool {
    let Some((check, body)) = content.split_first_chunk::<8>() else { return false };
    plx_testkit::Content::of(body).hash == u64::from_le_bytes(*check)
}

/// How a writer brings a new version about.
#[derive(Debug, Clone, Copy)]
enum How {
    /// Emptied and written again, in pieces.
    Truncated,
    /// Written over, in pieces, then cut.
    Overwritten,
    /// Under another name, and renamed.
    Renamed,
}

fn write(how: How, path: &Path, content: &[u8]) {
    let pieces = |mut file: File| {
        for piece in content.chunks(4096) {
            file.write_all(piece).unwrap();
        }
        file
    };
    match how {
        How::Truncated => drop(pieces(File::create(path).unwrap())),
        How::Overwritten => {
            let file = File::options().write(true).create(true).truncate(false).open(path).unwrap();
            pieces(file).set_len(content.len() as u64).unwrap();
        }
        How::Renamed => {
            let temp = path.with_extension("tmp");
            drop(pieces(File::create(&temp).unwrap()));
            fs::rename(&temp, path).unwrap();
        }
    }
}

/// Rewrites a file until the other end of the channel is gone, now without a pause, now with one that a pass can use: a
/// program that works between its checkpoints.
fn writer(how: How, path: PathBuf, seed: u64, over: Receiver<()>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut number = seed;
        loop {
            number += 1;
            write(how, &path, &version(number));
            let pause = [0, 1, 3, 240, 7, 90, 350][usize::try_from(number % 7).unwrap()];
            if over.recv_timeout(Duration::from_millis(pause)) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
        }
    })
}

/// Looks at everything the store holds; a version is looked at once.
async fn check(world: &World, checked: &mut BTreeMap<String, u64>) -> u64 {
    let below = format!("base/{RUN}");
    let stored = Snapshot::of_store(world.store.beneath(), &below).await.unwrap();
    let mut new = 0;
    for (name, content) in stored.files {
        if name.ends_with(".tmp") || checked.insert(name.clone(), content.hash) == Some(content.hash) {
            continue;
        }
        let bytes = world.store.content(&format!("{below}/{name}")).await.unwrap();
        assert!(checks(&bytes), "{name} is torn: {} bytes", bytes.len());
        new += 1;
    }
    new
}

#[tokio::test]
async fn no_version_that_is_published_is_torn() {
    let (done, versions) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut pods = JoinSet::new();
    for pod in 0..PODS {
        let (done, versions) = (Arc::clone(&done), Arc::clone(&versions));
        pods.spawn(async move {
            let world = World::new();
            fs::create_dir_all(world.run("outputs")).unwrap();
            let hows = [How::Truncated, How::Overwritten, How::Renamed];
            let (over, ends): (Vec<_>, Vec<_>) = hows.iter().map(|_| mpsc::channel()).unzip();
            let writers = hows
                .into_iter()
                .zip(ends)
                .map(|(how, end)| writer(how, world.run(&format!("outputs/{how:?}")), pod * 1_000_000, end));
            let writers: Vec<_> = writers.collect();
            let (mut passes, mut checked) = (world.passes(), BTreeMap::new());
            let mut changing = 0;
            while done.load(Ordering::Relaxed) < PASSES {
                let report = pass(&mut passes).await;
                // Passes that find nothing to do are quick and show nothing.
                done.fetch_add(u64::from(!report.is_quiet()), Ordering::Relaxed);
                changing += report.waiting.values().filter(|why| **why == Waiting::Changing).count();
                versions.fetch_add(check(&world, &mut checked).await, Ordering::Relaxed);
            }
            drop(over);
            for (how, writer) in hows.into_iter().zip(writers) {
                writer.join().unwrap();
                // Nobody writes any more: the last version of each is stored.
                loop {
                    let report = pass(&mut passes).await;
                    if report.is_settled() {
                        break;
                    }
                }
                let stored = world.store.content(&format!("base/{RUN}/outputs/{how:?}")).await.unwrap();
                assert!(checks(&stored), "{how:?}");
            }
            check(&world, &mut checked).await;
            assert_eq!(world.difference().await, "");
            changing
        });
    }
    let changing: usize = pods.join_all().await.into_iter().sum();
    let versions = versions.load(Ordering::Relaxed);
    eprintln!("{PASSES} passes: {versions} versions published, {changing} times a file was still changing");
    assert!(versions > PASSES / 2 && changing > 0, "{versions} versions, {changing} times changing");
}

/// Appends to a file without a pause that anybody could use, on the paused clock.
async fn logger(path: PathBuf) {
    let mut file = File::options().append(true).open(path).unwrap();
    loop {
        file.write_all(&b"a line of a log\n".repeat(300)).unwrap();
        after(0.05).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_log_that_never_pauses_is_stored_as_far_as_it_was_and_not_at_every_pass() {
    let world = World::new();
    world.write("outputs/log", &"a line of a log\n".repeat(600_000));
    let mut logger = tokio::spawn(logger(world.run("outputs/log")));
    let (mut passes, mut sent, mut stored) = (world.passes(), 0, 0);
    // 1 MB every 10 s; in 4 minutes a log of 10 MB is one of 33 MB.
    for number in 0..24 {
        let report = pass(&mut passes).await;
        (sent, stored) = (sent + report.bytes, stored + report.stored);
        assert!(report.stored > 0 || !report.waiting.is_empty(), "what came since waits");
        assert!(number < 12 || stored > 0, "after two minutes");
        after(10.0).await;
    }
    let (there, log) =
        (world.stored("outputs/log").await.unwrap(), fs::read(world.run("outputs/log")).unwrap());
    assert!(
        log.starts_with(there.as_bytes()) && there.len() * 2 > log.len(),
        "{} of {}",
        there.len(),
        log.len()
    );
    assert!(stored < 12 && sent < log.len() as u64 * 5, "{stored} times, {sent} of {}", log.len());
    logger.abort();
    (&mut logger).await.unwrap_err();
    world.settle();
    after(600.0).await;
    pass(&mut passes).await;
    assert_eq!(world.difference().await, "");
}
