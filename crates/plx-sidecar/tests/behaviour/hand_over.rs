//! What init left, and what an earlier sidecar left.

use crate::world::{RUN, World, pass};
use plx_journal::{FsFile, Root};
use plx_testkit::{Fault, Op, Times};
use std::fs;

/// As after `initializer path --sync-fw`: on disk, in the store, and in `.fs`.
async fn resumed(world: &World, paths: &[&str]) {
    world.settled(paths);
    for path in paths {
        world.store.insert(&format!("base/{RUN}/{path}"), (*path).to_owned()).await;
    }
    FsFile::record(&Root::of(&world.run(""))).save(&world.config.layout.fs_file()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_init_fetched_is_not_uploaded_again() {
    let world = World::new();
    resumed(&world, &["outputs/a", "outputs/b", "outputs/c"]).await;
    let mut passes = world.passes();
    let report = pass(&mut passes).await;
    assert_eq!((report.seen, report.stored), (3, 0));
    assert_eq!(world.store.calls(), []);
    world.write("outputs/a", "trained on");
    fs::remove_file(world.run("outputs/b")).unwrap();
    let report = pass(&mut passes).await;
    assert_eq!((report.stored, report.deleted), (1, 1), "of the same run, so it may be deleted");
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_that_cannot_be_read_stops_nothing() {
    let world = World::new();
    resumed(&world, &["outputs/a"]).await;
    fs::write(world.config.layout.fs_file(), "{\"file_mapping\": 7").unwrap();
    let log = crate::log::Log::capture();
    let report = pass(&mut world.passes()).await;
    assert_eq!(report.stored, 1, "then it is sent again");
    assert_eq!(log.count("what init fetched is sent again"), 1, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_that_starts_again_uploads_nothing_twice_and_forgets_nothing() {
    let world = World::new();
    world.settled(&["outputs/a", "outputs/b", "outputs/gone"]);
    world.store.fail(Op::Put, "outputs/b", Fault::status(500, "InternalError"), Times::Always);
    let mut passes = world.passes();
    pass(&mut passes).await;
    drop(passes); // as a crash: nothing is closed in order
    world.store.clear_faults();
    world.store.forget_calls();
    fs::remove_file(world.run("outputs/gone")).unwrap();
    let report = pass(&mut world.passes()).await;
    assert_eq!((report.stored, report.deleted), (1, 1));
    assert_eq!(world.calls(Op::Put), ["outputs/b"]);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_journal_cut_by_a_crash_costs_one_upload_and_a_spoilt_one_loses_nothing() {
    let world = World::new();
    world.settled(&["a", "b", "c"]);
    pass(&mut world.passes()).await;
    let journal = world.art(".plx/pod-1/journal.jsonl");
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, &whole[..whole.len() - 10]).unwrap();
    world.store.forget_calls();
    let report = pass(&mut world.passes()).await;
    assert_eq!((report.stored, report.deleted), (1, 0), "the last line was cut");
    fs::write(&journal, b"not a journal\n{}\n").unwrap();
    let report = pass(&mut world.passes()).await;
    assert_eq!((report.stored, report.deleted), (3, 0), "everything is sent again, nothing is deleted");
    assert!(world.art(".plx/pod-1/journal.jsonl.bad").is_file());
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn each_pod_of_a_run_has_a_journal_of_its_own() {
    let mut world = World::new();
    world.settled(&["a"]);
    pass(&mut world.passes()).await;
    world.config.pod = "pod-2".to_owned();
    fs::remove_file(world.run("a")).unwrap();
    let report = pass(&mut world.passes()).await;
    assert_eq!(report.deleted, 0, "nobody deletes what another pod stored");
    assert_eq!(world.stored("a").await.as_deref(), Some("a"));
}
