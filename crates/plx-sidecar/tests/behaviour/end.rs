//! The end: SIGTERM, the signs of main's end, the deadline, and the report.

use crate::world::{RUN, World, after, detail, pass};
use plx_contract::Class;
use plx_sidecar::intervals::Schedule;
use plx_sidecar::{DEFAULT_GRACE, OnIncomplete, finish};
use plx_testkit::{Fault, Op, Times, Tree};
use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn after_sigterm_passes_go_on_until_main_is_gone_and_its_last_file_is_stored() {
    let world = World::with(|config| config.schedule = Schedule::new(10, -1));
    world.settled(&["outputs/early"]);
    let sidecar = world.start();
    after(100.0).await;
    world.stop.asked.cancel();
    after(5.0).await;
    assert_eq!(world.stored("outputs/early").await.as_deref(), Some("outputs/early"), "before the end");
    assert!(!sidecar.is_finished(), "main is still there");
    world.write("outputs/checkpoint", "the last one");
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!((report.class, report.exit_code()), (Class::Done, 0), "{}", report.message);
    assert_eq!(world.stored("outputs/checkpoint").await.as_deref(), Some("the last one"));
    assert_eq!(world.difference().await, "");
    assert_eq!(detail(&report, "waiting"), json!([]));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_tells_that_main_is_gone_a_quiet_spell_after_sigterm_is_the_sign() {
    let world = World::new();
    world.settled(&["a"]);
    let sidecar = world.start_without_signs();
    after(3.0).await;
    let asked = Instant::now();
    world.stop.asked.cancel();
    // Somebody still writes: no quiet yet.
    for round in 0..6 {
        after(1.4).await;
        assert!(!sidecar.is_finished(), "round {round}");
        world.write("checkpoint", &format!("round {round}"));
        world.settle();
    }
    let report = sidecar.await.unwrap();
    assert_eq!(report.class, Class::Done, "{}", report.message);
    assert!(asked.elapsed() < Duration::from_secs(20), "not only at the deadline: {:?}", asked.elapsed());
    assert_eq!(world.stored("checkpoint").await.as_deref(), Some("round 5"));
    assert_eq!(world.difference().await, "");
}

/// A store that stands still, a signal in the middle of a pass; what the report says and how long it took.
async fn stalled(world: &World) -> (plx_runtime::Report, Duration) {
    Tree::new(9).file("big.bin", 12 << 20).write_to(&world.run("")).unwrap();
    world.settled(&["outputs/a", "outputs/b"]);
    world.store.fail(Op::Put, "", Fault::Stall, Times::Always);
    world.store.fail(Op::PutPart, "", Fault::Stall, Times::Always);
    let sidecar = world.start();
    world.called(Op::PutPart, "big.bin", 1).await;
    let asked = Instant::now();
    world.stop.asked.cancel();
    let report = sidecar.await.unwrap();
    (report, asked.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stands_still_ends_within_the_grace_period_with_every_file_named() {
    let world = World::with(|config| config.buffer_bytes = Some(8 << 20));
    let (report, took) = stalled(&world).await;
    assert!(took < DEFAULT_GRACE, "killed before it could report: {took:?}");
    assert!(took > DEFAULT_GRACE / 2, "the time that there is was used: {took:?}");
    assert_eq!((report.class, report.exit_code()), (Class::Incomplete, 0));
    let names = ["big.bin", "outputs/a", "outputs/b"].map(|path| format!("{RUN}/{path}"));
    assert_eq!(detail(&report, "waiting"), json!(names));
    assert_eq!(detail(&report, "unstored"), json!(3));
    assert!(report.message.contains("time was up, 3 not stored"), "{}", report.message);
    assert!(report.next.is_some());
    assert_eq!(world.store.open_multipart(), 0, "{:?}", world.store.open_multipart_keys());
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_end_is_a_failure_only_when_that_was_asked_for() {
    let world = World::with(|config| {
        config.buffer_bytes = Some(8 << 20);
        config.on_incomplete = OnIncomplete::Fail;
        config.grace = Some(Duration::from_secs(10));
    });
    let (report, took) = stalled(&world).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!((report.class, report.exit_code()), (Class::Incomplete, 75));
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_at_once_with_a_report() {
    let world = World::new();
    world.settled(&["a", "b"]);
    world.store.fail(Op::Put, "", Fault::Stall, Times::Always);
    let sidecar = world.start();
    world.called(Op::Put, "", 2).await;
    world.stop.asked.cancel();
    after(1.0).await;
    let second = Instant::now();
    world.stop.now.cancel();
    let report = sidecar.await.unwrap();
    assert!(second.elapsed() < Duration::from_secs(1), "{:?}", second.elapsed());
    assert_eq!((report.class, report.exit_code()), (Class::Incomplete, 0));
    assert_eq!(detail(&report, "waiting"), json!([format!("{RUN}/a"), format!("{RUN}/b")]));
}

#[tokio::test(start_paused = true)]
async fn the_finish_timeout_bounds_the_last_pass_when_the_store_stays_down() {
    let world = World::with(|config| config.finish = Duration::from_secs(120));
    world.settled(&["outputs/a"]);
    world.store.fail(Op::Put, "", Fault::status(500, "InternalError"), Times::Always);
    let sidecar = world.start();
    world.main.cancel();
    let began = Instant::now();
    let report = sidecar.await.unwrap();
    assert!((118..125).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert_eq!((report.class, report.exit_code()), (Class::Incomplete, 0));
    assert!(report.message.contains("InternalError"), "the store's own words: {}", report.message);
}

#[tokio::test(start_paused = true)]
async fn sigterm_in_the_last_pass_shortens_it_to_the_grace_period() {
    let world = World::new();
    world.settled(&["outputs/a"]);
    world.store.fail(Op::Put, "", Fault::Stall, Times::Always);
    let sidecar = world.start();
    world.main.cancel();
    world.called(Op::Put, "", 1).await;
    let asked = Instant::now();
    world.stop.asked.cancel();
    let report = sidecar.await.unwrap();
    assert!(asked.elapsed() < DEFAULT_GRACE, "{:?}", asked.elapsed());
    assert_eq!(report.class, Class::Incomplete);
}

#[tokio::test(start_paused = true)]
async fn a_main_that_never_ends_is_left_at_the_deadline_with_everything_stored() {
    let world = World::new();
    world.settled(&["outputs/a"]);
    let sidecar = world.start();
    world.stop.asked.cancel();
    let asked = Instant::now();
    let report = sidecar.await.unwrap();
    assert!(asked.elapsed() < DEFAULT_GRACE, "{:?}", asked.elapsed());
    assert_eq!(report.exit_code(), 0);
    assert_eq!(world.difference().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_never_holds_still_ends_the_sidecar_all_the_same() {
    let world = World::with(|config| config.finish = Duration::from_secs(60));
    world.settled(&["quiet"]);
    let sidecar = world.start();
    world.main.cancel();
    let writer = async {
        for round in 0.. {
            world.write("restless", &format!("{round}"));
            after(0.3).await;
        }
    };
    let report = tokio::select! {
        report = sidecar => report.unwrap(),
        () = writer => unreachable!("it writes for ever"),
    };
    assert_eq!(report.exit_code(), 0);
    assert_eq!(world.stored("quiet").await.as_deref(), Some("quiet"));
}

#[tokio::test(start_paused = true)]
async fn a_report_of_thousands_of_files_fits_and_names_the_first() {
    let world = World::with(|config| config.finish = Duration::from_secs(30));
    Tree::new(2).small(2000, 1).write_to(&world.run("")).unwrap();
    world.store.fail(Op::Put, "", Fault::status(500, "InternalError"), Times::Always);
    let sidecar = world.start();
    world.main.cancel();
    let report = sidecar.await.unwrap();
    let line = report.to_line("plx-sidecar");
    assert!(line.len() <= plx_runtime::REPORT_LIMIT, "{}", line.len());
    assert_eq!(detail(&report, "unstored"), json!(2000));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&value["class"], &value["code"]), (&json!("incomplete"), &json!(75)));
    assert!(value["message"].as_str().unwrap().contains("small/000/00000.bin"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn where_the_last_look_had_no_time_the_report_says_what_the_one_before_it_saw() {
    let world = World::new();
    world.settled(&["outputs/a", "outputs/b"]);
    fs::write(world.run("").join(OsStr::from_bytes(b"no-text-\xff")), "x").unwrap();
    world.store.fail(Op::Put, "outputs/b", Fault::status(403, "AccessDenied"), Times::Always);
    let mut passes = world.passes();
    pass(&mut passes).await;
    let report = finish::report(&mut passes, None, OnIncomplete::Report, true);
    let words = "the disk or the store did not answer; 2 were not stored before that";
    assert!(report.message.contains(words), "{}", report.message);
    assert!(report.message.contains("outputs/b: ") && report.message.contains("1 files in the store"));
    let named = detail(&report, "waiting");
    assert_eq!(named[0], format!("{RUN}/outputs/b"));
    assert!(named[1].as_str().unwrap().contains("no-text-"), "{named}");
    assert_eq!((report.class, detail(&report, "unstored")), (Class::Incomplete, json!(2)));
}
