//! What is deleted from the store, and what is not.

use crate::log::Log;
use crate::world::{RUN, World, pass};
use plx_testkit::{Op, Tree};
use std::fs;

#[tokio::test(start_paused = true)]
async fn deletes_follow_the_uploads_and_touch_only_what_this_run_stored() {
    let world = World::new();
    world.store.insert(&format!("base/{RUN}/of-another-pod"), "theirs").await;
    world.store.insert("base/other-run/a", "theirs").await;
    world.settled(&["outputs/old", "outputs/kept"]);
    let mut passes = world.passes();
    pass(&mut passes).await;
    fs::remove_file(world.run("outputs/old")).unwrap();
    world.settled(&["outputs/new"]);
    world.store.forget_calls();
    let report = pass(&mut passes).await;
    let calls: Vec<Op> = world.store.calls().into_iter().map(|call| call.0).collect();
    assert_eq!(calls, [Op::Put, Op::Delete]);
    assert_eq!((report.stored, report.deleted), (1, 1));
    assert_eq!(world.stored("outputs/old").await, None);
    assert_eq!(world.stored("of-another-pod").await.as_deref(), Some("theirs"));
    assert_eq!(world.object("other-run/a").await.as_deref(), Some("theirs"));
}

#[tokio::test(start_paused = true)]
async fn r14_an_emptied_tree_is_held_and_deleted_once_two_later_scans_agree() {
    let (world, log) = (World::new(), Log::capture());
    Tree::new(1).small(30, 10).write_to(&world.run("")).unwrap();
    world.settle();
    let mut passes = world.passes();
    pass(&mut passes).await;
    fs::remove_dir_all(world.run("small")).unwrap();
    for _ in 0..2 {
        let report = pass(&mut passes).await;
        assert!(report.held.is_some() && report.deleted == 0, "{report:?}");
    }
    assert_eq!(log.count("more than half of the tree"), 1, "said once: {}", log.text());
    let report = pass(&mut passes).await;
    assert_eq!((report.deleted, report.held), (30, None));
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn r14_a_root_that_vanished_deletes_nothing() {
    let world = World::new();
    world.settled(&["a", "b", "c"]);
    let mut passes = world.passes();
    pass(&mut passes).await;
    let aside = world.art("aside");
    fs::rename(world.run(""), &aside).unwrap();
    world.store.forget_calls();
    for _ in 0..5 {
        let report = pass(&mut passes).await;
        assert!(report.held.is_some_and(|held| held.contains("not there")));
    }
    assert_eq!(world.store.calls(), []);
    fs::rename(&aside, world.run("")).unwrap();
    let report = pass(&mut passes).await;
    assert_eq!((report.stored, report.deleted, report.held), (0, 0, None), "nothing is sent twice");
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_the_guard_and_mirrors_an_emptied_tree() {
    let world = World::new();
    Tree::new(1).small(30, 10).file("kept", 5).write_to(&world.run("")).unwrap();
    world.settle();
    let sidecar = world.start();
    crate::world::after(15.0).await;
    fs::remove_dir_all(world.run("small")).unwrap();
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!(report.exit_code(), 0);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_vanished_root_does_not_keep_a_sidecar_from_its_end() {
    let world = World::new();
    world.settled(&["a"]);
    let sidecar = world.start_without_signs();
    crate::world::after(15.0).await;
    fs::remove_dir_all(world.run("")).unwrap();
    let began = tokio::time::Instant::now();
    world.stop.asked.cancel();
    let report = sidecar.await.unwrap();
    assert!(began.elapsed().as_secs() < 25, "quiet ends it, not the deadline: {:?}", began.elapsed());
    assert_eq!(
        (report.class, report.exit_code()),
        (plx_contract::Class::Incomplete, 0),
        "{}",
        report.message
    );
    assert!(report.message.contains("their folder is not there"), "{}", report.message);
    assert_eq!(world.stored("a").await.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_the_store_refuses_waits_like_an_upload() {
    let world = World::new();
    world.settled(&["a", "b"]);
    let mut passes = world.passes();
    pass(&mut passes).await;
    fs::remove_file(world.run("b")).unwrap();
    world.store.fail(Op::Delete, "", plx_testkit::Fault::Denied, plx_testkit::Times::First(1));
    let report = pass(&mut passes).await;
    assert_eq!(crate::world::waiting(&report), [format!("{RUN}/b")]);
    let report = pass(&mut passes).await;
    assert_eq!((report.deleted, report.waiting.len()), (1, 0));
    assert_eq!(world.difference().await, "");
}
