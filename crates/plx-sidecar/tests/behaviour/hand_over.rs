//! What init left, and what an earlier sidecar left.

use crate::pod_status::{News, start, told_pod};
use crate::world::{RUN, World, after, pass};
use plx_journal::{FsFile, Root, Underway};
use plx_testkit::{Fault, Op, Times};
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

/// As after `initializer path --sync-fw`: on disk, in the store, and in `.fs`.
async fn resumed(world: &World, paths: &[&str]) {
    fetched(world, paths).await;
    record(world);
}

/// On disk and in the store.
async fn fetched(world: &World, paths: &[&str]) {
    world.settled(paths);
    for path in paths {
        world.store.insert(&format!("base/{RUN}/{path}"), (*path).to_owned()).await;
    }
}

/// The last thing that init does.
fn record(world: &World) {
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

#[tokio::test(start_paused = true)]
async fn what_init_fetches_beside_a_native_sidecar_is_not_uploaded_again() {
    let world = World::new();
    let mut passes = world.passes();
    pass(&mut passes).await;
    resumed(&world, &["outputs/a", "outputs/b"]).await;
    assert_eq!(pass(&mut passes).await.stored, 0);
    fs::remove_file(world.run("outputs/b")).unwrap();
    let report = pass(&mut passes).await;
    assert_eq!((report.stored, report.deleted), (0, 1), "and main may delete it");
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_native_sidecar_that_starts_again_takes_what_came_meanwhile() {
    let world = World::new();
    world.settled(&["outputs/early"]);
    pass(&mut world.passes()).await;
    resumed(&world, &["outputs/a"]).await;
    world.store.forget_calls();
    assert_eq!(pass(&mut world.passes()).await.stored, 0);
    // And what it has taken once is not taken again: the store lost it, main made it anew, with its old time.
    fs::remove_file(world.run("outputs/a")).unwrap();
    assert_eq!(pass(&mut world.passes()).await.deleted, 1);
    let time = FsFile::load(&world.config.layout.fs_file()).unwrap().unwrap();
    let entry = time.files.iter().find(|(key, _)| key.ends_with("outputs/a")).unwrap();
    world.settled(&["outputs/a"]);
    let at = UNIX_EPOCH + Duration::from_micros(entry.1.mtime_us.unsigned_abs());
    fs::File::options().write(true).open(world.run("outputs/a")).unwrap().set_modified(at).unwrap();
    world.settle();
    assert_eq!(pass(&mut world.passes()).await.stored, 1);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn what_the_sidecar_wrote_itself_before_init_recorded_it_is_uploaded() {
    let world = World::new();
    let mut passes = world.passes();
    pass(&mut passes).await;
    fetched(&world, &["plxlogs/pod-0.jsonl"]).await;
    let own = ["plxlogs/pod-1.jsonl", "plxlogs/pod-1.jsonl.0002", "outputs/spec.json"];
    world.settled(&own);
    record(&world);
    assert_eq!(pass(&mut passes).await.stored, 3);
    assert_eq!(world.calls(Op::Put).len(), 3, "not the log of the pod before: {:?}", world.calls(Op::Put));
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_init_is_still_fetching_is_uploaded() {
    let world = World::new();
    let mut passes = world.passes();
    let underway = Underway::begin(&world.config.layout.fs_file()).unwrap();
    fetched(&world, &["outputs/a"]).await;
    world.settled(&["plxlogs/pod-1.jsonl"]);
    pass(&mut passes).await;
    assert_eq!(world.calls(Op::Put), ["plxlogs/pod-1.jsonl"]);
    record(&world);
    drop(underway);
    assert_eq!(pass(&mut passes).await.stored, 0);
    // Without a hand-over, as after an init that was killed, everything is sent.
    let world = World::new();
    let (mut passes, underway) = (world.passes(), Underway::begin(&world.config.layout.fs_file()).unwrap());
    fetched(&world, &["outputs/a"]).await;
    assert_eq!(pass(&mut passes).await.stored, 0);
    drop(underway);
    assert_eq!(pass(&mut passes).await.stored, 1);
}

/// The pod while its init container is in that state, and main waits.
fn initialising(init: &str) -> News {
    told_pod(&format!(
        r#"{{"metadata": {{"uid": "u"}},
            "spec": {{"initContainers": [{{"name": "side", "restartPolicy": "Always"}}, {{"name": "fetch"}}]}},
            "status": {{"phase": "Pending",
                "containerStatuses": [{{"name": "polyaxon-main", "state": {{"waiting": {{"reason": "PodInitializing"}}}}}}],
                "initContainerStatuses": [
                    {{"name": "side", "state": {{"running": {{}}}}}}, {{"name": "fetch", "state": {init}}}]}}}}"#
    ))
}

#[tokio::test(start_paused = true)]
async fn while_the_pods_status_shows_init_at_work_only_logs_are_stored() {
    let world = World::new();
    // Half of what the store has: the reference's init writes under the final name.
    world.store.insert(&format!("base/{RUN}/outputs/model"), "whole".to_owned()).await;
    world.settled(&["plxlogs/pod-1.jsonl"]);
    world.write("outputs/model", "who");
    world.settle();
    let (told, sidecar) = start(&world);
    told.send(initialising(r#"{"running": {}}"#)).unwrap();
    world.called(Op::Put, "plxlogs", 1).await;
    after(60.0).await;
    assert_eq!(world.stored("outputs/model").await.as_deref(), Some("whole"));
    world.write("outputs/model", "whole");
    world.settle();
    record(&world);
    world.settled(&["outputs/of-another-init"]);
    told.send(initialising(r#"{"terminated": {"exitCode": 0}}"#)).unwrap();
    world.called(Op::Put, "outputs/of-another-init", 1).await;
    world.main.cancel();
    told.send(News::Gone { how: "pod p is gone".to_owned() }).unwrap();
    sidecar.await.unwrap();
    assert_eq!(world.calls(Op::Put), ["plxlogs/pod-1.jsonl", "outputs/of-another-init"]);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ends_while_init_is_at_work_leaves_the_store_as_it_is() {
    let world = World::new();
    world.store.insert(&format!("base/{RUN}/outputs/model"), "whole".to_owned()).await;
    world.write("outputs/model", "who");
    let (told, sidecar) = start(&world);
    told.send(initialising(r#"{"running": {}}"#)).unwrap();
    after(15.0).await;
    world.settled(&["plxlogs/pod-1.jsonl"]);
    world.stop.asked.cancel();
    // Evicted: nothing is listed any more.
    told.send(told_pod(r#"{"status": {"phase": "Failed", "reason": "Evicted"}}"#)).unwrap();
    sidecar.await.unwrap();
    assert_eq!(world.stored("outputs/model").await.as_deref(), Some("whole"));
    assert_eq!(world.calls(Op::Put), ["plxlogs/pod-1.jsonl"], "why it failed");
}
