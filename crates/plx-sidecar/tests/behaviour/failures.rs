//! A store that fails loses nothing.

use crate::log::Log;
use crate::world::{RUN, World, after, detail, pass, waiting};
use plx_contract::Class;
use plx_sidecar::pass::PassReport;
use plx_testkit::{Fault, Op, Times, Tree};
use serde_json::json;
use std::fs::OpenOptions;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn r1_a_store_that_fails_the_first_two_attempts_of_some_uploads_loses_nothing() {
    let world = World::with(|config| config.buffer_bytes = Some(8 << 20));
    Tree::new(3).small(20, 500).odd_names().file("big.bin", 12 << 20).write_to(&world.run("")).unwrap();
    world.settle();
    for (key, fault) in [
        ("00003", Fault::status(503, "SlowDown")),
        ("00007", Fault::status(500, "InternalError")),
        ("00011", Fault::Reset),
        ("00013", Fault::Lost),
    ] {
        world.store.fail(Op::Put, key, fault, Times::First(2));
    }
    for op in [Op::Create, Op::PutPart, Op::Complete] {
        world.store.fail(op, "big.bin", Fault::status(503, "SlowDown"), Times::First(2));
    }
    let report = pass(&mut world.passes()).await;
    assert_eq!(waiting(&report), [""; 0]);
    assert_eq!(world.difference().await, "");
    assert_eq!(world.store.open_multipart(), 0);
}

#[tokio::test(start_paused = true)]
async fn r1_what_fails_a_whole_pass_waits_is_logged_once_and_lands_later() {
    let (world, log) = (World::new(), Log::capture());
    world.settled(&["outputs/a", "outputs/b"]);
    world.store.fail(Op::Put, "outputs/b", Fault::status(500, "InternalError"), Times::Always);
    let mut passes = world.passes();
    for _ in 0..3 {
        let report = pass(&mut passes).await;
        assert_eq!(waiting(&report), [format!("{RUN}/outputs/b")]);
    }
    assert_eq!(world.stored("outputs/a").await.as_deref(), Some("outputs/a"), "one does not stop the other");
    assert_eq!(world.stored("outputs/b").await, None);
    assert_eq!(log.count("outputs/b is not stored yet"), 1, "{}", log.text());
    world.store.clear_faults();
    let report = pass(&mut passes).await;
    assert_eq!((waiting(&report).len(), report.stored), (0, 1));
    assert_eq!(world.difference().await, "");
    assert_eq!(log.count("is not stored yet"), 1, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn throttled_writes_then_sigterm_lose_nothing() {
    let world = World::new();
    Tree::new(4).small(60, 300).write_to(&world.run("")).unwrap();
    world.settle();
    world.store.fail(Op::Put, "", Fault::status(429, "TooManyRequests"), Times::First(20));
    let sidecar = world.start_without_signs();
    world.called(Op::Put, "", 10).await;
    world.stop.asked.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!(report.class, Class::Done, "{}", report.message);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_ends_in_a_report_and_does_not_wait_for_the_deadline() {
    let world = World::new();
    world.settled(&["outputs/a", "outputs/secret"]);
    world.store.fail(Op::Put, "secret", Fault::Denied, Times::Always);
    let sidecar = world.start();
    let began = tokio::time::Instant::now();
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!((report.class, report.exit_code()), (Class::Incomplete, 0));
    assert_eq!(detail(&report, "waiting"), json!([format!("{RUN}/outputs/secret")]));
    assert!(report.message.contains("outputs/secret"), "{}", report.message);
    assert_eq!(world.stored("outputs/a").await.as_deref(), Some("outputs/a"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_shrinks_while_it_is_sent_in_parts_is_not_published_and_lands_whole_later() {
    let world = World::with(|config| config.buffer_bytes = Some(8 << 20));
    Tree::new(5).file("big.bin", 12 << 20).write_to(&world.run("")).unwrap();
    world.store.fail(Op::PutPart, "big.bin", Fault::Slow(Duration::from_secs(5)), Times::First(1));
    let mut passes = world.passes();
    let shrink = async {
        world.called(Op::PutPart, "big.bin", 1).await;
        OpenOptions::new().write(true).open(world.run("big.bin")).unwrap().set_len(6 << 20).unwrap();
    };
    let (report, ()) = tokio::join!(pass(&mut passes), shrink);
    assert_eq!(waiting(&report), [format!("{RUN}/big.bin")]);
    assert_eq!(world.store.content(&format!("base/{RUN}/big.bin")).await, None);
    assert_eq!(world.store.open_multipart(), 0);
    let report = pass(&mut passes).await;
    assert_eq!(waiting(&report).len(), 0);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_grows_between_its_parts_is_not_published_as_a_mix() {
    let world = World::with(|config| config.buffer_bytes = Some(8 << 20));
    Tree::new(6).file("log.txt", 12 << 20).write_to(&world.run("")).unwrap();
    world.store.fail(Op::PutPart, "log.txt", Fault::Slow(Duration::from_secs(5)), Times::First(1));
    let mut passes = world.passes();
    let grow = async {
        world.called(Op::PutPart, "log.txt", 1).await;
        let mut file = OpenOptions::new().append(true).open(world.run("log.txt")).unwrap();
        std::io::Write::write_all(&mut file, b"one line more\n").unwrap();
    };
    let (report, ()) = tokio::join!(pass(&mut passes), grow);
    assert_eq!(waiting(&report), [format!("{RUN}/log.txt")]);
    assert_eq!(world.store.content(&format!("base/{RUN}/log.txt")).await, None);
    pass(&mut passes).await;
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_renamed_before_its_turn_is_stored_under_its_new_name() {
    let world = World::new();
    // More than there are workers, so that the last one waits for its turn.
    Tree::new(7).small(32, 10).file("last.tmp", 1000).write_to(&world.run("")).unwrap();
    world.settle();
    world.store.fail(Op::Put, "small", Fault::Slow(Duration::from_secs(3)), Times::First(32));
    let sidecar = world.start();
    world.main.cancel();
    world.called(Op::Put, "small", 32).await;
    crate::world::rename(&world.run("last.tmp"), &world.run("last.bin"));
    let report = sidecar.await.unwrap();
    assert_eq!(report.class, Class::Done, "{}", report.message);
    assert_eq!(world.difference().await, "");
    // Also when it was the only one: a pass that does nothing else is not the last.
    let only = PassReport { vanished: 1, ..PassReport::default() };
    assert!(!only.is_settled() && !only.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_for_minutes_costs_no_output() {
    let world = World::new();
    world.settled(&["outputs/a"]);
    for op in [Op::Put, Op::Delete, Op::Create] {
        world.store.fail(op, "", Fault::Reset, Times::Always);
    }
    let sidecar = world.start();
    after(300.0).await;
    world.write("outputs/b", "b");
    world.main.cancel();
    after(600.0).await;
    assert!(!sidecar.is_finished(), "half an hour is the default for the end");
    world.store.clear_faults();
    let report = sidecar.await.unwrap();
    assert_eq!(report.class, Class::Done, "{}", report.message);
    assert_eq!(world.difference().await, "");
}
