//! A log that is written without a pause, on the real clock: the writer is a thread of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use object_store::ObjectStore;
use plx_contract::RelPath;
use plx_testkit::FaultStore;
use plx_transfer::{Ended, Engine, Remote, Settings, Upload, upload};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// A look at the log may come when its writer had no turn for long: what holds still then has changed a moment later.
const PASSES: usize = 5;

/// Sends the log until it is stored, beside its writer; says what was stored.
async fn stored_of(log: &Path, remote: &Remote) -> Option<u64> {
    let job = || Upload { key: RelPath::parse("log").unwrap(), path: log.to_owned(), size: 1 };
    let (engine, stop) = (Engine::new(Settings::default()), CancellationToken::new());
    for _ in 0..PASSES {
        let mut ended = Vec::new();
        upload(&engine, remote, vec![job()], &stop, |_, how| ended.push(how)).await;
        match ended.remove(0) {
            Ended::Landed { stat, .. } => return Some(stat.size),
            Ended::Changed => {}
            other => panic!("{other:?}"),
        }
    }
    None
}

#[tokio::test]
async fn a_log_that_is_written_without_a_pause_is_stored() {
    for is_volume in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (log, to) = (folder.path().join("log"), folder.path().join("to"));
        std::fs::create_dir(&to).unwrap();
        let store = Arc::new(FaultStore::new());
        let remote = if is_volume {
            Remote::volume(&to)
        } else {
            let objects = Arc::clone(&store) as Arc<dyn ObjectStore>;
            Remote::bucket(objects, Arc::clone(&store) as _, RelPath::root(), "s3://fault")
        };
        let done = Arc::new(AtomicBool::new(false));
        let mut file = std::fs::File::create(&log).unwrap();
        file.write_all(b"line\n").unwrap();
        let writer = std::thread::spawn({
            let done = Arc::clone(&done);
            move || {
                while !done.load(Ordering::Relaxed) {
                    file.write_all(b"line\n").unwrap();
                    std::thread::yield_now();
                }
            }
        });
        let size = stored_of(&log, &remote).await;
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        let size = size.expect("it was never stored");
        let stored = match is_volume {
            true => std::fs::read(to.join("log")).unwrap(),
            false => store.content("log").await.unwrap().to_vec(),
        };
        assert_eq!(stored.len() as u64, size);
        assert!(std::fs::read(&log).unwrap().starts_with(&stored));
    }
}
