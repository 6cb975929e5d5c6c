//! What a transfer does while its store fails, on a paused clock: minutes of patience cost nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use object_store::ObjectStore;
use plx_contract::fault::HttpFault;
use plx_contract::layout::TEMP_PREFIX;
use plx_contract::{Class, Classified, RelPath};
use plx_testkit::{Content, Fault, FaultStore, Op, Snapshot, Times, Tree};
use plx_transfer::{
    Budget, Cause, Ended, Engine, Expected, Outcome, Patience, Remote, Settings, TransferError, Upload, Want,
    WantKind, download, plan, remove, upload,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
/// Far beyond every patience: whatever takes longer hangs.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// A store that fails, an engine, and a folder.
struct World {
    store: FaultStore,
    engine: Engine,
    folder: TempDir,
    stop: CancellationToken,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        Self {
            store: FaultStore::new(),
            engine: Engine::new(settings),
            folder: tempfile::tempdir().unwrap(),
            stop: CancellationToken::new(),
        }
    }

    fn remote(&self) -> Remote {
        let store = Arc::new(self.store.clone());
        Remote::bucket(Arc::clone(&store) as Arc<dyn ObjectStore>, store, rel("base"), "s3://fault")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of so many bytes and says what is in it.
    fn file(&self, name: &str, size: u64) -> Content {
        Tree::new(1).file(name, size).write_to(&self.path("from")).unwrap().files[name]
    }

    fn job(&self, name: &str, size: u64) -> Upload {
        Upload { key: rel(name), path: self.path("from").join(name), size, expected: Expected::Anything }
    }

    async fn send(&self, jobs: Vec<Upload>) -> Vec<(Upload, Ended)> {
        let mut ended = Vec::new();
        let remote = self.remote();
        let all = upload(&self.engine, &remote, jobs, &self.stop, |job, how| ended.push((job, how)));
        tokio::time::timeout(FOREVER, all).await.expect("the upload hangs");
        ended
    }

    async fn send_one(&self, name: &str, size: u64) -> Ended {
        let mut ended = self.send(vec![self.job(name, size)]).await;
        assert_eq!(ended.len(), 1);
        ended.remove(0).1
    }

    /// Sends a whole tree from `from`.
    async fn send_tree(&self, tree: &Snapshot) -> Vec<(Upload, Ended)> {
        self.send(tree.files.iter().map(|(name, content)| self.job(name, content.size)).collect()).await
    }

    /// Fetches a folder of the store to `to`.
    async fn fetch(&self, from: &str, kind: WantKind) -> Outcome {
        let want = Want { from: rel(from), to: rel(if kind == WantKind::File { from } else { "" }), kind };
        let work = async {
            let plan = plan(&self.engine, &self.remote(), vec![want], &self.stop).await;
            assert!(plan.missing.is_empty(), "{:?}", plan.missing);
            download(&self.engine, &self.remote(), plan, &self.path("to"), &self.stop).await
        };
        tokio::time::timeout(FOREVER, work).await.expect("the download hangs")
    }

    async fn fetch_all(&self) -> Outcome {
        self.fetch("", WantKind::Folder).await
    }

    async fn stored(&self) -> Snapshot {
        Snapshot::of_store(self.store.beneath(), "base").await.unwrap()
    }

    fn fetched(&self) -> Snapshot {
        Snapshot::of(&self.path("to")).unwrap()
    }

    /// Puts an object of so many bytes there and says what is in it.
    async fn insert(&self, key: &str, size: u64, seed: u64) -> Content {
        let content = bytes(key, size, seed);
        let known = Content::of(&content);
        self.store.insert(&format!("base/{key}"), content).await;
        known
    }
}

fn rel(path: &str) -> RelPath {
    RelPath::parse(path).unwrap()
}

fn bytes(key: &str, size: u64, seed: u64) -> Vec<u8> {
    Tree::new(seed).content(key, size).flatten().collect()
}

fn landed(ended: &[(Upload, Ended)]) -> usize {
    for (job, how) in ended {
        assert!(matches!(how, Ended::Landed { .. }), "{}: {how:?}", job.key);
    }
    ended.len()
}

fn only_error(outcome: &Outcome) -> &TransferError {
    assert_eq!(outcome.failed.len(), 1, "{outcome:?}");
    &outcome.failed[0]
}

/// Temporary files that were left behind.
fn left_behind(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let temp = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(TEMP_PREFIX));
    temp.map(walkdir::DirEntry::into_path).collect()
}

/// A file grows by a byte.
fn grow(path: &Path) {
    use std::io::Write;
    std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"!").unwrap();
}

fn throttle_for(seconds: u64) -> Fault {
    Fault::Status(HttpFault {
        status: 503,
        code: Some("SlowDown".to_owned()),
        retry_after: Some(Duration::from_secs(seconds)),
        ..HttpFault::default()
    })
}

// Uploads.

#[tokio::test(start_paused = true)]
async fn every_upload_lands_although_the_first_two_attempts_of_some_fail() {
    let world = World::new();
    let tree =
        Tree::new(5).small(60, 2000).file("big", 20 * MIB).odd_names().write_to(&world.path("from")).unwrap();
    for key in ["00003", "00017", "00042", "big"] {
        world.store.fail(Op::Put, key, Fault::status(500, "InternalError"), Times::Nth(1));
        world.store.fail(Op::Put, key, Fault::Reset, Times::First(1));
        world.store.fail(Op::Create, key, Fault::throttle(), Times::Nth(1));
        world.store.fail(Op::PutPart, key, Fault::Reset, Times::First(2));
        world.store.fail(Op::Complete, key, Fault::status(503, "SlowDown"), Times::First(2));
    }
    assert_eq!(landed(&world.send_tree(&tree).await), tree.files.len());
    assert_eq!(world.stored().await.diff(&tree), "");
    assert_eq!(world.store.open_multipart(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_the_work_was_done_is_no_error() {
    let world = World::new();
    let tree = Tree::new(5).file("small", 100).file("big", 20 * MIB).write_to(&world.path("from")).unwrap();
    world.store.fail(Op::Put, "", Fault::Lost, Times::First(1));
    world.store.fail(Op::PutPart, "", Fault::Lost, Times::Nth(2));
    world.store.fail(Op::Complete, "", Fault::Lost, Times::First(1));
    landed(&world.send_tree(&tree).await);
    assert_eq!(world.stored().await.diff(&tree), "");
    assert_eq!(world.store.open_multipart(), 0);
    assert_eq!(
        (world.store.count(Op::Put), world.store.count(Op::PutPart), world.store.count(Op::Complete)),
        (2, 4, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_the_store_lost_is_not_called_landed() {
    let world = World::new();
    world.file("big", 20 * MIB);
    world.store.fail(Op::Complete, "", Fault::Reset, Times::Nth(1));
    world.store.fail(Op::Complete, "", Fault::NotFound, Times::Always);
    let ended = world.send_one("big", 20 * MIB).await;
    assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
    assert_eq!(world.store.content("base/big").await, None);
}

#[tokio::test(start_paused = true)]
async fn failing_parts_are_sent_again_under_their_own_number() {
    let world = World::new();
    let content = world.file("big", 50 * MIB + 7);
    world.store.set_min_part(5 * MIB);
    world.store.fail(Op::PutPart, "", Fault::Reset, Times::Every(3));
    landed(&[(world.job("big", 0), world.send_one("big", 50 * MIB + 7).await)]);
    // The store takes an upload only with every part, in order, by the id it got last.
    assert_eq!(world.stored().await.files["big"], content);
    assert_eq!((world.store.open_multipart(), world.store.count(Op::Create)), (0, 1));
    assert!(world.store.count(Op::PutPart) > 7);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_fails_for_good_is_aborted_and_nothing_is_published() {
    for op in [Op::PutPart, Op::Complete] {
        let world = World::new();
        world.file("big", 50 * MIB);
        world.store.fail(op, "", Fault::Denied, Times::First(1));
        let ended = world.send_one("big", 50 * MIB).await;
        let Ended::Failed(error) = ended else { panic!("{ended:?}") };
        assert_eq!((error.cause(), error.class()), (Some(Cause::Denied), Class::Denied));
        assert_eq!((world.store.open_multipart(), world.store.count(Op::Abort)), (0, 1), "{op:?}");
        assert_eq!(world.store.content("base/big").await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_aborts_the_upload() {
    for op in [Op::PutPart, Op::Complete] {
        let world = World::new();
        world.file("big", 50 * MIB);
        world.store.fail(op, "", Fault::Stall, Times::Always);
        let (ended, stopped) = tokio::join!(world.send_one("big", 50 * MIB), async {
            world.store.called(op, "big", 1).await;
            world.stop.cancel();
            Instant::now()
        });
        assert!(matches!(ended, Ended::Failed(TransferError::Stopped { .. })), "{ended:?}");
        assert_eq!(stopped.elapsed(), Duration::ZERO);
        assert_eq!((world.store.open_multipart(), world.store.count(Op::Abort)), (0, 1), "{op:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_between_its_parts_is_not_published() {
    let world = World::new();
    world.file("big", 50 * MIB);
    world.store.insert("base/big", "the version before").await;
    world.store.set_latency(Duration::from_secs(1));
    let (ended, ()) = tokio::join!(world.send_one("big", 50 * MIB), async {
        world.store.called(Op::PutPart, "big", 1).await;
        grow(&world.path("from/big"));
    });
    assert!(matches!(ended, Ended::Changed), "{ended:?}");
    assert_eq!(world.store.content("base/big").await.unwrap(), "the version before");
    assert_eq!((world.store.open_multipart(), world.store.count(Op::Complete)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_at_its_first_part_costs_no_part_more() {
    let world = World::with(|settings| settings.budget = Budget::new(Budget::LEAST));
    world.file("big", 100 * MIB);
    world.store.set_latency(Duration::from_secs(1));
    let (ended, ()) = tokio::join!(world.send_one("big", 100 * MIB), async {
        world.store.called(Op::PutPart, "big", 1).await;
        grow(&world.path("from/big"));
    });
    assert!(matches!(ended, Ended::Changed), "{ended:?}");
    let parts = world.store.count(Op::PutPart);
    assert!(parts <= 4, "{parts} of 20");
}

#[tokio::test(start_paused = true)]
async fn a_large_file_that_keeps_changing_rests_until_the_end() {
    let mut world = World::new();
    world.file("big", 20 * MIB);
    world.store.set_latency(Duration::from_secs(1));
    let last = world.engine.clone();
    world.engine = world.engine.letting_rest();
    let changes = async |world: &World| {
        world.store.forget_calls();
        let (ended, ()) = tokio::join!(world.send_one("big", 20 * MIB), async {
            world.store.called(Op::PutPart, "big", 1).await;
            grow(&world.path("from/big"));
        });
        assert!(matches!(ended, Ended::Changed), "{ended:?}");
    };
    changes(&world).await;
    changes(&world).await;
    world.store.forget_calls();
    let ended = world.send_one("big", 20 * MIB).await;
    assert!(matches!(ended, Ended::Changed), "{ended:?}");
    assert!(world.store.calls().is_empty(), "{:?}", world.store.calls());
    tokio::time::advance(Duration::from_secs(10)).await;
    changes(&world).await;
    // The end waits for nothing.
    world.engine = last;
    let ended = world.send_one("big", 20 * MIB).await;
    assert!(matches!(ended, Ended::Landed { .. }), "{ended:?}");
    // And once it was stored all is forgotten.
    world.engine = world.engine.letting_rest();
    grow(&world.path("from/big"));
    let ended = world.send_one("big", 20 * MIB).await;
    assert!(matches!(ended, Ended::Landed { .. }), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_shrinks_between_its_parts_is_not_published() {
    let world = World::with(|settings| settings.budget = Budget::new(Budget::LEAST));
    world.file("big", 50 * MIB);
    world.store.set_latency(Duration::from_secs(1));
    let (ended, ()) = tokio::join!(world.send_one("big", 50 * MIB), async {
        world.store.called(Op::PutPart, "big", 1).await;
        std::fs::OpenOptions::new().write(true).open(world.path("from/big")).unwrap().set_len(MIB).unwrap();
    });
    assert!(matches!(ended, Ended::Changed), "{ended:?}");
    assert_eq!((world.store.open_multipart(), world.store.count(Op::Complete)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_small_file_that_never_holds_still_is_not_published() {
    let world = World::new();
    // Its status says no bytes, and every read finds some.
    let job = Upload {
        key: rel("stat"),
        path: PathBuf::from("/proc/self/stat"),
        size: 0,
        expected: Expected::Anything,
    };
    let ended = world.send(vec![job]).await;
    assert!(matches!(ended[0].1, Ended::Changed), "{ended:?}");
    assert_eq!(world.store.count(Op::Put), 0);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_outgrows_the_memory_it_waits_for_is_tried_again_later() {
    let world = World::with(|settings| settings.budget = Budget::new(Budget::LEAST));
    world.file("a", 5 * MIB);
    world.file("b", 5 * MIB);
    // Both fit the budget alone, not together; the first keeps its room while the store thinks.
    world.store.fail(Op::Put, "", Fault::Slow(Duration::from_secs(10)), Times::First(1));
    let jobs = vec![world.job("a", 5 * MIB), world.job("b", 5 * MIB)];
    let (ended, ()) = tokio::join!(world.send(jobs), async {
        world.store.called(Op::Put, "", 1).await;
        // The clock moves when nothing else can: by then the other one waits for room.
        tokio::time::sleep(Duration::from_secs(5)).await;
        for name in ["from/a", "from/b"] {
            std::fs::OpenOptions::new()
                .write(true)
                .open(world.path(name))
                .unwrap()
                .set_len(900 * MIB)
                .unwrap();
        }
    });
    let changed = ended.iter().filter(|(_, how)| matches!(how, Ended::Changed)).count();
    assert_eq!((changed, world.store.count(Op::Put)), (1, 1), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_gone_is_vanished_and_no_failure() {
    let world = World::new();
    world.file("there", 10);
    let jobs = vec![world.job("gone", 10), world.job("there/below-a-file", 10), world.job("there", 10)];
    let ended = world.send(jobs).await;
    let vanished = ended.iter().filter(|(_, how)| matches!(how, Ended::Vanished)).count();
    assert_eq!((vanished, world.stored().await.files.len()), (2, 1), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_tried_again() {
    let world = World::new();
    world.file("small", 10);
    world.insert("there", 10, 1).await;
    for (fault, cause) in [
        (Fault::Denied, Cause::Denied),
        (Fault::status(403, "AccessDenied"), Cause::Denied),
        (Fault::status(403, "SignatureDoesNotMatch"), Cause::BadSignature),
        (Fault::status(404, "NoSuchBucket"), Cause::NoBucket),
        (Fault::status(400, "ExpiredToken"), Cause::Expired),
        (Fault::status(403, "RequestTimeTooSkewed"), Cause::ClockSkew),
        (Fault::status(301, "PermanentRedirect"), Cause::WrongRegion),
        (Fault::status(400, "InvalidRequest"), Cause::Refused),
    ] {
        world.store.forget_calls();
        world.store.clear_faults();
        for op in [Op::Put, Op::Get, Op::Head, Op::List, Op::Delete] {
            world.store.fail(op, "", fault.clone(), Times::Always);
        }
        let Ended::Failed(error) = world.send_one("small", 10).await else { panic!("{fault:?}") };
        assert_eq!(error.cause(), Some(cause));
        for kind in [WantKind::File, WantKind::Folder] {
            let want = Want { from: rel("there"), to: rel("there"), kind };
            let plan = plan(&world.engine, &world.remote(), vec![want], &world.stop).await;
            assert_eq!(plan.missing[0].cause(), Some(cause), "{plan:?}");
        }
        let mut removed = Vec::new();
        remove(&world.engine, &world.remote(), vec![rel("there")], &world.stop, |_, how| removed.push(how))
            .await;
        assert_eq!(removed[0].as_ref().unwrap_err().cause(), Some(cause));
        world.store.clear_faults();
        world.store.fail(Op::Get, "", fault.clone(), Times::Always);
        assert_eq!(only_error(&world.fetch_all().await).cause(), Some(cause));
        let counts = [Op::Put, Op::Head, Op::Delete, Op::Get].map(|op| world.store.count(op));
        assert_eq!(counts, [1; 4], "{fault:?}");
        assert!(left_behind(world.folder.path()).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_answers_is_given_up_and_made_again() {
    let world = World::new();
    let tree = Tree::new(5).file("small", 100).file("big", 20 * MIB).write_to(&world.path("from")).unwrap();
    for op in [Op::Put, Op::Create, Op::PutPart, Op::Complete, Op::Head, Op::List, Op::Get, Op::Delete] {
        world.store.fail(op, "", Fault::Stall, Times::First(1));
    }
    let started = Instant::now();
    landed(&world.send_tree(&tree).await);
    assert_eq!(world.stored().await.diff(&tree), "");
    assert!(started.elapsed() >= Duration::from_secs(60));
    let outcome = world.fetch_all().await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert_eq!(world.fetched().diff(&tree), "");
    let outcome = world.fetch("small", WantKind::File).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    let mut removed = 0;
    let keys = vec![rel("small"), rel("big")];
    remove(&world.engine, &world.remote(), keys, &world.stop, |_, how| removed += usize::from(how.is_ok()))
        .await;
    assert_eq!((removed, world.stored().await.files.len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_answer_is_lost_is_done() {
    let world = World::new();
    world.insert("a", 10, 1).await;
    world.store.fail(Op::Delete, "", Fault::Lost, Times::First(1));
    world.store.fail(Op::Delete, "", Fault::NotFound, Times::First(1));
    let mut ended = Vec::new();
    remove(&world.engine, &world.remote(), vec![rel("a")], &world.stop, |_, how| ended.push(how)).await;
    assert!(matches!(ended[..], [Ok(())]), "{ended:?}");
    assert_eq!(world.store.count(Op::Delete), 2);
}

// Pace and memory.

#[tokio::test(start_paused = true)]
async fn never_more_requests_under_way_than_workers() {
    let world = World::with(|settings| settings.workers = 7);
    let tree = Tree::new(5)
        .small(200, 100)
        .file("big", 50 * MIB)
        .file("big2", 50 * MIB)
        .write_to(&world.path("from"))
        .unwrap();
    world.store.set_latency(Duration::from_millis(50));
    landed(&world.send_tree(&tree).await);
    assert_eq!(world.store.max_in_flight(), 7);
    world.store.forget_calls();
    assert!(world.fetch_all().await.failed.is_empty());
    assert_eq!(world.store.max_in_flight(), 7);
    assert_eq!(world.fetched().diff(&tree), "");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_store_is_left_alone_by_all_and_asked_at_full_pace_again_later() {
    let world = World::with(|settings| settings.workers = 16);
    let tree = Tree::new(5).small(64, 100).write_to(&world.path("from")).unwrap();
    world.store.set_latency(Duration::from_millis(50));
    world.store.fail(Op::Put, "", throttle_for(7), Times::First(16));
    let (ended, ()) = tokio::join!(world.send_tree(&tree), async {
        world.store.called(Op::Put, "", 16).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        // Sixteen were refused together: that is one sign. Nobody asks before the time is over.
        assert_eq!((world.store.count(Op::Put), world.store.in_flight()), (16, 0));
        assert_eq!(world.engine.pace().limit(), 8);
        world.store.forget_calls();
    });
    assert_eq!(landed(&ended), 64);
    assert_eq!(world.stored().await.diff(&tree), "");
    assert!(world.store.max_in_flight() < 16, "{}", world.store.max_in_flight());
    for _ in 0..4 {
        landed(&world.send_tree(&tree).await);
    }
    assert_eq!(world.engine.pace().limit(), 16);
    world.store.forget_calls();
    landed(&world.send_tree(&tree).await);
    assert_eq!(world.store.max_in_flight(), 16);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_throttles_for_minutes_fails_nothing_while_patience_lasts() {
    let world = World::with(|settings| settings.patience = Patience { tries: 3, ..Patience::INPUTS });
    let tree = Tree::new(5).small(20, 100).write_to(&world.path("from")).unwrap();
    for status in [429, 503] {
        world.store.fail(Op::Put, "", Fault::status(status, ""), Times::Always);
        let (ended, ()) = tokio::join!(world.send_tree(&tree), async {
            tokio::time::sleep(Duration::from_secs(240)).await;
            world.store.clear_faults();
        });
        assert_eq!(landed(&ended), 20);
        // A storm of requests would be thousands.
        assert!(world.store.count(Op::Put) < 150, "{}", world.store.count(Op::Put));
        world.store.forget_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_throttles_for_ever_fails_when_patience_ends() {
    let world = World::with(|settings| settings.patience = Patience::PASS);
    world.file("a", 10);
    world.store.fail(Op::Put, "", Fault::throttle(), Times::Always);
    let started = Instant::now();
    let Ended::Failed(error) = world.send_one("a", 10).await else { panic!("it cannot land") };
    assert_eq!((error.cause(), error.class()), (Some(Cause::Throttled(None)), Class::Unavailable));
    assert!(error.next_step().unwrap().contains("slow down"), "{error:?}");
    assert!(
        (Patience::PASS.time..Duration::from_secs(120)).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn the_least_budget_moves_a_large_file_both_ways() {
    let world = World::with(|settings| settings.budget = Budget::new(Budget::LEAST));
    world.file("big", 64 * MIB);
    let tree = Tree::new(1).small(40, 200 << 10).file("big", 64 * MIB).write_to(&world.path("from")).unwrap();
    world.store.set_min_part(5 * MIB);
    landed(&world.send_tree(&tree).await);
    assert_eq!(world.stored().await.diff(&tree), "");
    assert_eq!((world.store.open_multipart(), world.store.count(Op::PutPart)), (0, 13));
    assert!(world.fetch_all().await.failed.is_empty());
    assert_eq!(world.fetched().diff(&tree), "");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_download_in_little_memory_does_not_wait_for_itself() {
    // Small objects take memory and wait for a turn; larger ones must not take a turn and wait for memory.
    let world = World::with(|settings| settings.budget = Budget::new(Budget::LEAST));
    for index in 0..160 {
        let (kind, size) = if index % 32 == 16 { ("large", MIB) } else { ("small", 256 << 10) };
        world.insert(&format!("{index:03}-{kind}"), size, 1).await;
    }
    world.store.set_latency(Duration::from_millis(20));
    // Until the pace is one request at a time, and for some rounds more.
    world.store.fail(Op::Get, "small", Fault::throttle(), Times::First(72));
    let outcome = world.fetch_all().await;
    assert_eq!((outcome.objects, outcome.failed.len()), (160, 0), "{:?}", outcome.failed);
}

#[tokio::test(start_paused = true)]
async fn a_store_near_its_limit_is_used_up_to_it() {
    let world = World::new();
    for index in 0..500 {
        world.insert(&format!("{index:03}"), 100, 1).await;
    }
    world.store.set_latency(Duration::from_millis(20));
    world.store.fail(Op::Get, "", Fault::throttle(), Times::Every(10));
    let started = Instant::now();
    let outcome = world.fetch_all().await;
    assert_eq!((outcome.objects, outcome.failed.len()), (500, 0), "{:?}", outcome.failed);
    // Some fifty refusals, each worth half a second to a second; not the longest pause each.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_keeps_its_patience_while_the_store_serves_others() {
    let world = World::with(|settings| settings.patience = Patience::PASS);
    for index in 0..400 {
        world.insert(&format!("{index:03}"), 100, 1).await;
    }
    world.store.set_latency(Duration::from_secs(1));
    world.store.fail(Op::Get, "007", Fault::throttle(), Times::First(9));
    world.store.fail(Op::Get, "", Fault::throttle(), Times::Every(3));
    let outcome = world.fetch_all().await;
    assert_eq!((outcome.objects, outcome.failed.len()), (400, 0), "{:?}", outcome.failed);
}

// Downloads.

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_goes_on_from_where_it_was() {
    let world = World::new();
    let middle = world.insert("middle", 12 * MIB, 1).await;
    let large = world.insert("large", 40 * MIB, 1).await;
    world.store.fail(Op::Get, "middle", Fault::Truncate(5 * MIB), Times::First(1));
    world.store.fail(Op::Get, "middle", Fault::Truncate(3 * MIB + 5), Times::First(1));
    world.store.fail(Op::Get, "large", Fault::Truncate(7 * MIB), Times::Every(2));
    let outcome = world.fetch_all().await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert_eq!(world.fetched().files, [("large".to_owned(), large), ("middle".to_owned(), middle)].into());
    // Not one byte was asked for twice.
    assert_eq!(world.engine.progress().bytes(), 52 * MIB);
}

#[tokio::test(start_paused = true)]
async fn progress_renews_patience() {
    let world = World::with(|settings| settings.patience = Patience { tries: 3, ..Patience::INPUTS });
    let content = world.insert("middle", 12 * MIB, 1).await;
    world.store.fail(Op::Get, "middle", Fault::Truncate(MIB), Times::First(11));
    let outcome = world.fetch_all().await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert_eq!(world.fetched().files["middle"], content);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_too_early_is_noticed_and_read_again() {
    let world = World::new();
    for (key, size) in [("small", 1000), ("middle", 12 * MIB), ("large", 40 * MIB)] {
        world.insert(key, size, 1).await;
        world.store.fail(Op::Get, key, Fault::Short(10), Times::First(2));
    }
    let outcome = world.fetch_all().await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert_eq!(world.fetched().diff(&world.stored().await), "");
}

#[tokio::test(start_paused = true)]
async fn what_never_comes_whole_is_never_put_under_its_name() {
    let world = World::new();
    for (key, size) in [("small", 1000), ("middle", 12 * MIB), ("large", 40 * MIB)] {
        world.insert(key, size, 1).await;
        world.store.fail(Op::Get, key, Fault::Short(0), Times::Always);
    }
    std::fs::create_dir(world.path("to")).unwrap();
    std::fs::write(world.path("to/small"), "what was there before").unwrap();
    let outcome = world.fetch_all().await;
    assert_eq!((outcome.failed.len(), outcome.objects), (3, 0), "{outcome:?}");
    for error in &outcome.failed {
        assert_eq!((error.cause(), error.class()), (Some(Cause::Passing), Class::Unavailable));
    }
    assert_eq!(std::fs::read(world.path("to/small")).unwrap(), b"what was there before");
    assert_eq!(world.fetched().files.len(), 1, "{:?}", world.fetched());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stands_still_is_given_up() {
    let world = World::new();
    for (key, size) in [("small", 100_000), ("middle", 12 * MIB), ("large", 40 * MIB)] {
        world.insert(key, size, 1).await;
        world.store.fail(Op::Get, key, Fault::StallAfter(size / 10), Times::First(1));
    }
    world.store.fail(Op::List, "", Fault::StallAfter(1), Times::First(1));
    let outcome = world.fetch_all().await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert_eq!(world.fetched().diff(&world.stored().await), "");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_replaced_after_the_listing_comes_as_the_new_one() {
    let world = World::new();
    let keys = ["small", "middle", "large", "other-size"];
    for (key, size) in keys.into_iter().zip([1000, 12 * MIB, 40 * MIB, 40 * MIB]) {
        world.insert(key, size, 1).await;
    }
    let want = Want { from: rel(""), to: rel(""), kind: WantKind::Folder };
    let plan = plan(&world.engine, &world.remote(), vec![want], &world.stop).await;
    for (key, size) in keys.into_iter().zip([1000, 12 * MIB, 40 * MIB, 17 * MIB]) {
        world.insert(key, size, 2).await;
    }
    let outcome = download(&world.engine, &world.remote(), plan, &world.path("to"), &world.stop).await;
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert_eq!(world.fetched().diff(&world.stored().await), "");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_replaced_between_its_ranges_is_never_a_mix() {
    let world = World::with(|settings| settings.workers = 2);
    world.insert("large", 26 * MIB, 1).await;
    world.store.set_latency(Duration::from_secs(1));
    let (outcome, new) = tokio::join!(world.fetch_all(), async {
        world.store.called(Op::Get, "large", 3).await;
        world.insert("large", 26 * MIB, 2).await
    });
    assert!(outcome.failed.is_empty(), "{outcome:?}");
    assert_eq!(world.fetched().files["large"], new);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_replaced_all_the_time_is_an_error_and_the_old_file_stays() {
    let world = World::with(|settings| settings.workers = 2);
    world.insert("large", 26 * MIB, 0).await;
    world.store.set_latency(Duration::from_secs(1));
    std::fs::create_dir(world.path("to")).unwrap();
    std::fs::write(world.path("to/large"), "what was there before").unwrap();
    let replacing = async {
        for seed in 1.. {
            world.store.called(Op::Get, "large", 3 * seed).await;
            world.insert("large", 26 * MIB, seed as u64).await;
        }
    };
    let outcome = tokio::select! {
        outcome = world.fetch_all() => outcome,
        () = replacing => unreachable!(),
    };
    let error = only_error(&outcome);
    assert!(matches!(error, TransferError::Changed { times: 4, .. }), "{error:?}");
    assert_eq!(error.class(), Class::Unavailable);
    assert_eq!(std::fs::read(world.path("to/large")).unwrap(), b"what was there before");
    assert!(left_behind(world.folder.path()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_after_the_listing_is_absent_and_the_others_come() {
    let world = World::new();
    for key in ["a", "b", "c"] {
        world.insert(key, 1000, 1).await;
    }
    world.store.fail(Op::Get, "/b", Fault::NotFound, Times::Always);
    world.store.fail(Op::Head, "/b", Fault::NotFound, Times::Always);
    let outcome = world.fetch_all().await;
    assert_eq!((outcome.objects, only_error(&outcome).class()), (2, Class::NotFound));
    assert_eq!(world.fetched().files.keys().collect::<Vec<_>>(), ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_download_at_once_and_leaves_nothing_half_done() {
    let world = World::new();
    for index in 0..100 {
        world.insert(&format!("{index:03}"), if index % 30 == 0 { 17 * MIB } else { 1000 }, 1).await;
    }
    world.store.set_latency(Duration::from_secs(1));
    world.store.fail(Op::Get, "05", Fault::Stall, Times::Always);
    let (outcome, stopped) = tokio::join!(world.fetch_all(), async {
        world.store.called(Op::Get, "", 40).await;
        world.stop.cancel();
        Instant::now()
    });
    assert_eq!(stopped.elapsed(), Duration::ZERO);
    assert!(outcome.failed.iter().all(|error| matches!(error, TransferError::Stopped { .. })), "{outcome:?}");
    assert!(!outcome.failed.is_empty() && outcome.objects < 100);
    assert_eq!(world.fetched().files.len() as u64, outcome.objects);
    let stored = world.stored().await;
    assert!(world.fetched().files.iter().all(|(key, content)| stored.files[key] == *content));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_comes_before_an_upload_begins_sends_nothing() {
    let world = World::new();
    world.file("a", 10);
    world.stop.cancel();
    let Ended::Failed(error) = world.send_one("a", 10).await else { panic!("it was sent") };
    assert_eq!(error.class(), Class::Incomplete);
    assert_eq!(world.store.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn a_stop_says_what_stood_in_the_way_until_then() {
    let world = World::new();
    world.file("a", 10);
    world.store.fail(Op::Put, "", Fault::status(500, "InternalError"), Times::Always);
    let (ended, ()) = tokio::join!(world.send_one("a", 10), async {
        world.store.called(Op::Put, "", 2).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        world.stop.cancel();
    });
    let Ended::Failed(error) = ended else { panic!("{ended:?}") };
    assert_eq!(error.class(), Class::Incomplete);
    assert!(error.to_string().contains("InternalError"), "{error}");
}

// Listings.

#[tokio::test(start_paused = true)]
async fn a_listing_that_breaks_goes_on_behind_the_last_key() {
    let world = World::new();
    for index in 0..1200 {
        world.store.insert(&format!("base/R/{index:04}"), "x").await;
    }
    world.store.fail(Op::List, "", Fault::Truncate(500), Times::First(1));
    world.store.fail(Op::List, "", Fault::throttle(), Times::First(1));
    world.store.fail(Op::List, "", Fault::StallAfter(20), Times::First(1));
    let want = Want { from: rel("R"), to: rel(""), kind: WantKind::Folder };
    let plan = plan(&world.engine, &world.remote(), vec![want], &world.stop).await;
    assert!(plan.missing.is_empty(), "{:?}", plan.missing);
    assert_eq!((plan.objects(), plan.bytes(), world.store.count(Op::List)), (1200, 1200, 4));
}

#[tokio::test(start_paused = true)]
async fn more_objects_than_are_held_are_listed_a_second_time() {
    // In memory where that is possible: so many files take a slow disk half a minute. None takes a byte.
    let shared = Path::new("/dev/shm");
    let folder = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    let world = World { folder: folder.unwrap(), ..World::new() };
    for index in 0..20_100 {
        world.store.insert(&format!("base/R/{:03}/{index:05}", index / 100), "").await;
    }
    world.store.insert("base/S/one", "x").await;
    let wants = ["R", "S"].map(|path| Want { from: rel(path), to: rel(path), kind: WantKind::Folder });
    let plan = plan(&world.engine, &world.remote(), wants.into(), &world.stop).await;
    assert!(plan.missing.is_empty(), "{:?}", plan.missing);
    assert_eq!(plan.objects(), 20_101);
    let listed = world.store.count(Op::List);
    world.store.fail(Op::List, "", Fault::Truncate(9000), Times::First(1));
    let outcome = download(&world.engine, &world.remote(), plan, &world.path("to"), &world.stop).await;
    assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
    assert_eq!((outcome.objects, outcome.bytes), (20_101, 1));
    assert_eq!(world.store.count(Op::List), listed + 2);
    assert_eq!(
        walkdir::WalkDir::new(world.path("to"))
            .into_iter()
            .filter(|e| e.as_ref().unwrap().file_type().is_file())
            .count(),
        20_101
    );
}
