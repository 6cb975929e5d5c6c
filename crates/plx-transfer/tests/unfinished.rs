//! Uploads that a pass or a process could not finish, on a paused clock. A killed process is a task that is dropped: what
//! it knew is in the ledger's file and nowhere else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use futures::FutureExt;
use object_store::multipart::MultipartStore;
use object_store::path::Path as Key;
use object_store::{ObjectStore, PutPayload};
use plx_contract::{RelPath, Stat};
use plx_testkit::{Content, Fault, FaultStore, Op, Snapshot, Times, Tree};
use plx_transfer::{
    Cause, Ended, Engine, Expected, Ledger, Patience, Remote, Settings, TransferError, Upload,
    abort_unfinished, upload,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
/// Of seven parts.
const SIZE: u64 = 50 * MIB + 7;
const PARTS: u64 = 7;
/// Parts under way at a time: the budget holds no more.
const UNDER_WAY: u64 = 3;

struct World {
    store: FaultStore,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let (store, folder) = (FaultStore::new(), tempfile::tempdir().unwrap());
        store.set_min_part(5 * MIB);
        Self { store, folder }
    }

    fn remote(&self) -> Remote {
        let store = Arc::new(self.store.clone());
        let listing = self.store.clone();
        let list = move |key: Key| {
            let listing = listing.clone();
            async move { Ok(listing.empty_multipart(key.as_ref())) }.boxed()
        };
        Remote::bucket(Arc::clone(&store) as Arc<dyn ObjectStore>, store, rel("base"), "s3://fault")
            .reached("http://here", Some(Arc::new(list)))
    }

    /// What a new process knows.
    fn engine(&self) -> Engine {
        let path = self.folder.path().join(".plx/pod/uploads.jsonl");
        let (ledger, note) = Ledger::open(&path, &self.remote().identity()).unwrap();
        assert_eq!(note, None);
        Engine::new(Settings { patience: Patience::PASS, ..Settings::default() }).with_ledger(ledger)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("from/big")
    }

    fn file(&self, seed: u64) -> Content {
        Tree::new(seed).file("big", SIZE).write_to(&self.folder.path().join("from")).unwrap().files["big"]
    }

    fn version(&self) -> Stat {
        Stat::of(&std::fs::metadata(self.path()).unwrap())
    }

    async fn send(&self, engine: &Engine, stop: &CancellationToken) -> Ended {
        let mut ended = Vec::new();
        let job = Upload { key: rel("big"), path: self.path(), size: SIZE, expected: Expected::Anything };
        upload(engine, &self.remote(), vec![job], stop, |_, how| ended.push(how)).await;
        ended.remove(0)
    }

    /// As a pass begins: only this version of the file is still wanted.
    async fn clear(&self, engine: &Engine) -> Vec<TransferError> {
        let version = self.version();
        let within = Duration::from_secs(60);
        abort_unfinished(engine, &self.remote(), within, |key, stat| {
            *key == rel("big") && stat.same_version(&version)
        })
        .await
    }

    /// Sends until the store was asked that so often and so much time went by, and is killed.
    async fn killed_at(&self, op: Op, nth: usize) {
        let (engine, stop) = (self.engine(), CancellationToken::new());
        let called = async {
            self.store.called(op, "big", nth).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        tokio::select! {
            ended = self.send(&engine, &stop) => panic!("it was to be killed: {ended:?}"),
            () = called => {}
        }
    }

    /// Sends with nothing in the way, and everything must be right.
    async fn lands(&self, engine: &Engine, content: Content) {
        let ended = self.send(engine, &CancellationToken::new()).await;
        assert!(matches!(ended, Ended::Landed { .. }), "{ended:?}");
        assert_eq!(self.stored().await.files["big"], content);
        let left = abort_unfinished(engine, &self.remote(), Duration::from_secs(60), |_, _| false).await;
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.store.open_multipart(), 0, "{:?}", self.store.calls());
        engine.ledger().close();
        assert!(!self.folder.path().join(".plx/pod/uploads.jsonl").exists());
    }

    async fn stored(&self) -> Snapshot {
        Snapshot::of_store(self.store.beneath(), "base").await.unwrap()
    }
}

fn rel(path: &str) -> RelPath {
    RelPath::parse(path).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_a_stop_broke_off_is_continued_by_the_next_pass() {
    let world = World::new();
    let (content, engine, stop) = (world.file(1), world.engine(), CancellationToken::new());
    world.store.fail(Op::PutPart, "", Fault::Stall, Times::Nth(5));
    world.store.set_latency(Duration::from_millis(10));
    let (ended, ()) = tokio::join!(world.send(&engine, &stop), async {
        world.store.called(Op::PutPart, "big", PARTS as usize).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
    });
    assert!(matches!(ended, Ended::Failed(TransferError::Stopped { .. })), "{ended:?}");
    assert_eq!((world.store.open_multipart(), world.store.count(Op::Abort)), (1, 0));
    assert!(world.clear(&engine).await.is_empty());
    assert_eq!(world.store.open_multipart(), 1, "it is still wanted");
    world.store.forget_calls();
    world.lands(&engine, content).await;
    assert_eq!((world.store.count(Op::Create), world.store.count(Op::PutPart)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_a_pass_had_no_more_patience_for_is_continued() {
    let world = World::new();
    let (content, engine) = (world.file(1), world.engine());
    world.store.fail(Op::Complete, "", Fault::Reset, Times::First(3));
    let ended = world.send(&engine, &CancellationToken::new()).await;
    assert!(matches!(ended, Ended::Failed(TransferError::Store { .. })), "{ended:?}");
    assert_eq!(world.store.open_multipart(), 1);
    world.store.clear_faults();
    world.store.forget_calls();
    world.lands(&engine, content).await;
    assert_eq!((world.store.count(Op::Create), world.store.count(Op::PutPart)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_at_any_call_leaves_nothing_and_costs_only_the_parts_under_way() {
    let calls = [
        (Op::Create, 1),
        (Op::PutPart, 1),
        (Op::PutPart, 4),
        (Op::PutPart, 7),
        (Op::Head, 1),
        (Op::Complete, 1),
    ];
    for (op, nth) in calls {
        for fault in [Fault::Stall, Fault::Silent] {
            let world = World::new();
            let content = world.file(1);
            // What stood there before has the same size, as a checkpoint has.
            world.store.insert("base/big", vec![0; usize::try_from(SIZE).unwrap()]).await;
            world.store.fail(op, "", fault.clone(), Times::Nth(nth));
            world.killed_at(op, usize::try_from(nth).unwrap()).await;
            let put_before = world.store.count(Op::PutPart);
            world.store.clear_faults();
            let engine = world.engine();
            assert!(engine.ledger().is_inherited());
            assert!(world.clear(&engine).await.is_empty());
            world.lands(&engine, content).await;
            let again = world.store.count(Op::PutPart) - PARTS;
            assert!(again <= UNDER_WAY, "{op:?} {nth} {fault:?}: {put_before} before, {again} again");
            let created = if op == Op::Create { 2 } else { 1 };
            assert_eq!(world.store.count(Op::Create), created, "{op:?} {nth} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changed_since_is_sent_anew_and_never_mixed() {
    for seen_by_a_pass in [true, false] {
        let world = World::new();
        world.file(1);
        world.store.fail(Op::PutPart, "", Fault::Stall, Times::Nth(5));
        world.killed_at(Op::PutPart, 5).await;
        world.store.clear_faults();
        world.store.forget_calls();
        let content = world.file(2);
        let engine = world.engine();
        if seen_by_a_pass {
            assert!(world.clear(&engine).await.is_empty());
            assert_eq!(world.store.open_multipart(), 0);
        }
        world.lands(&engine, content).await;
        assert_eq!((world.store.count(Op::Create), world.store.count(Op::PutPart)), (1, PARTS));
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_after_the_restart_is_not_published() {
    let world = World::new();
    world.file(1);
    world.store.fail(Op::PutPart, "", Fault::Stall, Times::Nth(2));
    world.killed_at(Op::PutPart, 2).await;
    world.store.clear_faults();
    world.store.set_latency(Duration::from_secs(1));
    world.store.forget_calls();
    let (engine, stop) = (world.engine(), CancellationToken::new());
    let (ended, content) = tokio::join!(world.send(&engine, &stop), async {
        world.store.called(Op::PutPart, "big", 1).await;
        world.file(2)
    });
    assert!(matches!(ended, Ended::Changed), "{ended:?}");
    assert_eq!((world.store.open_multipart(), world.store.count(Op::Complete)), (0, 0));
    world.lands(&engine, content).await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_the_store_has_cleaned_up_is_begun_anew() {
    for op in [Op::PutPart, Op::Complete] {
        let world = World::new();
        let content = world.file(1);
        // Of the same size: who looked at that alone would take it for the new version.
        world.store.insert("base/big", vec![0; usize::try_from(SIZE).unwrap()]).await;
        world.store.fail(op, "", Fault::Stall, Times::Nth(1));
        world.killed_at(op, 1).await;
        world.store.clear_faults();
        let ids = open_ids(&world).await;
        assert_eq!(ids.len(), 1);
        MultipartStore::abort_multipart(&world.store, &Key::from("base/big"), &ids[0]).await.unwrap();
        world.lands(&world.engine(), content).await;
        assert_eq!(world.store.count(Op::Create), 2, "{op:?}");
    }
}

/// The ids that the ledger knows.
async fn open_ids(world: &World) -> Vec<String> {
    let text = std::fs::read_to_string(world.folder.path().join(".plx/pod/uploads.jsonl")).unwrap();
    let lines = text.lines().filter(|line| line.contains(r#""op":"open""#));
    lines.map(|line| line.rsplit("\"id\":\"").next().unwrap().trim_end_matches("\"}").to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_beginning_was_not_answered_is_found_and_those_of_others_are_left_alone() {
    let world = World::new();
    let content = world.file(1);
    let key = Key::from("base/big");
    let others = MultipartStore::create_multipart(&world.store, &key).await.unwrap();
    let part = PutPayload::from_static(b"a part");
    MultipartStore::put_part(&world.store, &key, &others, 0, part).await.unwrap();
    world.store.fail(Op::Create, "", Fault::Lost, Times::Nth(1));
    let engine = world.engine();
    let ended = world.send(&engine, &CancellationToken::new()).await;
    assert!(matches!(ended, Ended::Landed { .. }), "{ended:?}");
    assert_eq!(world.store.open_multipart(), 2, "that of somebody else, and one that nobody knows");
    assert!(world.clear(&engine).await.is_empty());
    assert_eq!(world.store.open_multipart(), 1);
    MultipartStore::abort_multipart(&world.store, &key, &others).await.unwrap();
    world.lands(&engine, content).await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_that_fails_is_named_and_made_again_by_the_next_process() {
    let world = World::new();
    world.file(1);
    world.store.fail(Op::PutPart, "", Fault::Stall, Times::Nth(2));
    world.killed_at(Op::PutPart, 2).await;
    world.store.clear_faults();
    world.store.fail(Op::Abort, "", Fault::Stall, Times::Nth(1));
    world.store.fail(Op::Abort, "", Fault::Reset, Times::Nth(1));
    let content = world.file(2);
    for _ in 0..2 {
        let errors = world.clear(&world.engine()).await;
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().starts_with("abort the upload of s3://fault/base/big"), "{errors:?}");
        assert_eq!(world.store.open_multipart(), 1);
    }
    let engine = world.engine();
    assert!(world.clear(&engine).await.is_empty());
    world.lands(&engine, content).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_before_it_wrote_down_what_landed_sends_nothing_again() {
    let world = World::new();
    let (content, engine, stop) = (world.file(1), world.engine(), CancellationToken::new());
    let job = Upload { key: rel("big"), path: world.path(), size: SIZE, expected: Expected::Anything };
    let remote = world.remote();
    let told = std::panic::AssertUnwindSafe(upload(&engine, &remote, vec![job], &stop, |_, how| {
        panic!("as if it were killed here: {how:?}")
    }));
    assert!(told.catch_unwind().await.is_err());
    world.store.forget_calls();
    world.lands(&world.engine(), content).await;
    assert_eq!((world.store.count(Op::Create), world.store.count(Op::PutPart)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_abort_that_is_refused_for_good_is_named_once_and_not_made_again() {
    let world = World::new();
    world.file(1);
    world.store.fail(Op::PutPart, "", Fault::Stall, Times::Nth(2));
    world.killed_at(Op::PutPart, 2).await;
    world.store.clear_faults();
    world.store.fail(Op::Abort, "", Fault::status(403, "AccessDenied"), Times::Always);
    world.file(2);
    let errors = world.clear(&world.engine()).await;
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].cause(), Some(Cause::Denied));
    // Neither by the next pass nor by the next process.
    for _ in 0..2 {
        assert!(world.clear(&world.engine()).await.is_empty());
    }
    assert_eq!(world.store.count(Op::Abort), 1);
}

#[tokio::test(start_paused = true)]
async fn many_uploads_are_aborted_a_few_at_a_time() {
    let world = World::new();
    let engine = world.engine();
    let size = 9 * MIB;
    Tree::new(1).file("big", size).write_to(&world.folder.path().join("from")).unwrap();
    world.store.fail(Op::PutPart, "", Fault::Reset, Times::Always);
    let jobs = (0..40).map(|number| Upload {
        key: rel(&format!("big-{number}")),
        path: world.path(),
        size,
        expected: Expected::Anything,
    });
    upload(&engine, &world.remote(), jobs.collect(), &CancellationToken::new(), |_, how| {
        assert!(matches!(how, Ended::Failed(_)), "{how:?}");
    })
    .await;
    assert_eq!(world.store.open_multipart(), 40);
    world.store.set_latency(Duration::from_millis(100));
    world.store.forget_calls();
    assert!(world.clear(&engine).await.is_empty());
    assert_eq!((world.store.open_multipart(), world.store.count(Op::Abort)), (0, 40));
    assert_eq!(world.store.max_in_flight(), 16);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_denies_for_a_moment_costs_no_part() {
    for op in [Op::PutPart, Op::Complete] {
        let world = World::new();
        let (content, stop) = (world.file(1), CancellationToken::new());
        world.store.fail(Op::PutPart, "", Fault::Stall, Times::Nth(5));
        world.killed_at(Op::PutPart, 5).await;
        world.store.clear_faults();
        let engine = world.engine();
        world.store.fail(op, "", Fault::Denied, Times::First(1));
        let ended = world.send(&engine, &stop).await;
        let Ended::Failed(error) = ended else { panic!("{ended:?}") };
        assert_eq!(error.cause(), Some(Cause::Denied));
        assert_eq!((world.store.count(Op::Abort), world.store.open_multipart()), (0, 1), "{op:?}");
        assert!(world.clear(&engine).await.is_empty());
        world.lands(&engine, content).await;
        assert_eq!(world.store.count(Op::Create), 1, "{op:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_denied_again_is_begun_anew_where_the_store_takes_another() {
    for takes_another in [true, false] {
        let world = World::new();
        let (content, stop) = (world.file(1), CancellationToken::new());
        world.store.fail(Op::PutPart, "", Fault::Stall, Times::Nth(5));
        world.killed_at(Op::PutPart, 5).await;
        world.store.clear_faults();
        let engine = world.engine();
        world.store.fail(Op::Complete, "", Fault::Denied, Times::First(2));
        let ended = world.send(&engine, &stop).await;
        assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
        assert_eq!((world.store.count(Op::Create), world.store.count(Op::Abort)), (1, 0));
        if takes_another {
            world.lands(&engine, content).await;
            assert_eq!((world.store.count(Op::Create), world.store.count(Op::Abort)), (2, 1));
        } else {
            world.store.fail(Op::Create, "", Fault::Denied, Times::Always);
            let ended = world.send(&engine, &stop).await;
            assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
            assert_eq!(world.store.count(Op::Abort), 0);
            world.lands(&engine, content).await;
            assert_eq!(world.store.count(Op::Create), 2, "the parts were kept");
        }
    }
}
