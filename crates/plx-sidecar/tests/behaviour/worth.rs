//! When time is short, what is worth most goes first; and what the store has is looked at before the end.

use crate::log::Log;
use crate::world::{RUN, World, after, detail};
use plx_contract::Class;
use plx_testkit::{Fault, Op, Times, Tree};
use serde_json::json;
use std::fs::File;
use std::time::{Duration, SystemTime};

/// A file of so many bytes that was written so many seconds ago.
fn aged(world: &World, path: &str, bytes: u64, seconds: u64) {
    world.write(path, "");
    let file = File::options().write(true).open(world.run(path)).unwrap();
    file.set_len(bytes).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

const MIB: u64 = 1 << 20;

#[tokio::test(start_paused = true)]
async fn sigterm_breaks_off_a_pass_and_logs_small_files_and_the_newest_checkpoint_go_before_the_rest() {
    let world = World::with(|config| config.buffer_bytes = Some(24 << 20));
    for step in 1..=6 {
        aged(&world, &format!("outputs/step-{step}.pt"), 2 * MIB, 1000 - 10 * step);
    }
    // All have held still for long enough: one that is waited for, on this clock, comes after all others.
    for _ in 0..3 {
        world.settle();
    }
    // Every upload hangs that is begun before SIGTERM.
    world.store.fail(Op::Put, "", Fault::Stall, Times::First(6));
    let sidecar = world.start();
    world.called(Op::Put, "step-", 6).await;
    aged(&world, "outputs/newest.pt", 3 * MIB, 1);
    world.write("outputs/result.json", "{}");
    world.write("plxlogs/pod-1.jsonl", "a line");
    world.write("events/metric/loss.plx", "1|2|3");
    world.settle();
    world.store.forget_calls();
    world.stop.asked.cancel();
    after(8.0).await;
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!((report.class, world.difference().await), (Class::Done, String::new()), "{}", report.message);
    let order = world.calls(Op::Put);
    let at = |path: &str| {
        order.iter().position(|call| call == path).unwrap_or_else(|| panic!("{path}: {order:?}"))
    };
    for path in ["plxlogs/pod-1.jsonl", "events/metric/loss.plx", "outputs/result.json"] {
        assert!(at(path) < 3, "{path}: {order:?}");
    }
    assert_eq!(at("outputs/newest.pt"), 3, "{order:?}");
    assert!(at("outputs/step-6.pt") <= 5, "of the rest the newest, two at a time: {order:?}");
}

#[tokio::test(start_paused = true)]
async fn what_goes_first_and_hangs_does_not_hold_up_the_newest_checkpoint() {
    let world = World::with(|config| config.grace = Some(Duration::from_secs(10)));
    world.settled(&["outputs/stuck.json", "outputs/fine.json"]);
    aged(&world, "outputs/newest.pt", 3 * MIB, 1);
    world.settle();
    world.store.fail(Op::Put, "stuck", Fault::Stall, Times::Always);
    let sidecar = world.start();
    world.stop.asked.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!(report.class, Class::Incomplete);
    assert_eq!(detail(&report, "waiting"), json!([format!("{RUN}/outputs/stuck.json")]));
    assert!(world.stored("outputs/newest.pt").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_rest_makes_way_for_a_checkpoint_that_is_written_after_sigterm() {
    let world = World::with(|config| config.grace = Some(Duration::from_secs(20)));
    for step in 1..=9 {
        aged(&world, &format!("outputs/step-{step}.pt"), 2 * MIB, 1000 - 10 * step);
    }
    world.settle();
    // Nine files, two at a time, seven seconds each: more than there is time for.
    world.store.set_latency(Duration::from_secs(7));
    let sidecar = world.start();
    world.stop.asked.cancel();
    world.called(Op::Put, "step-8", 1).await;
    aged(&world, "outputs/last.pt", 2 * MIB, 0);
    world.settle();
    world.store.set_latency(Duration::from_secs(1));
    let report = sidecar.await.unwrap();
    assert!(world.stored("outputs/last.pt").await.is_some(), "{:?}", world.store.calls());
    let order = world.calls(Op::Put);
    let at = |path: &str| order.iter().position(|call| call == path);
    assert!(at("outputs/last.pt") < at("outputs/step-5.pt"), "{order:?} {}", report.message);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_vanished_from_the_store_or_has_another_size_is_sent_again_at_the_end() {
    let (world, log) = (World::new(), Log::capture());
    Tree::new(7).small(30, 100).odd_names().empty_file("empty").write_to(&world.run("outputs")).unwrap();
    world.settled(&["outputs/gone", "outputs/short", "events/metric/x.plx"]);
    let sidecar = world.start();
    after(15.0).await;
    assert_eq!(world.difference().await, "");
    world.store.take_away(&format!("base/{RUN}/outputs/gone")).await;
    world.store.insert(&format!("base/{RUN}/outputs/short"), "x").await;
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!((report.class, report.exit_code()), (Class::Done, 0), "{}", report.message);
    assert_eq!(world.difference().await, "");
    for said in
        ["outputs/gone was stored and is not there now", "outputs/short was stored and has 1 bytes now"]
    {
        assert_eq!(log.count(said), 1, "{said}: {}", log.text());
    }
    assert_eq!(detail(&report, "uploads"), json!(world.calls(Op::Put).len()), "only what differs, and once");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_may_not_be_listed_is_believed_and_that_is_said() {
    let (world, log) = (World::new(), Log::capture());
    world.settled(&["outputs/a"]);
    world.store.fail(Op::List, "", Fault::Denied, Times::Always);
    let sidecar = world.start();
    world.main.cancel();
    let report = sidecar.await.unwrap();
    assert_eq!((report.class, world.difference().await), (Class::Done, String::new()), "{}", report.message);
    assert_eq!(log.count("the store could not be compared with the disk"), 1, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn somebody_who_deletes_what_is_stored_again_and_again_does_not_keep_the_end_from_coming() {
    let world = World::new();
    world.settled(&["outputs/a"]);
    let sidecar = world.start();
    world.main.cancel();
    let vandal = async {
        loop {
            world.store.take_away(&format!("base/{RUN}/outputs/a")).await;
            after(0.005).await;
        }
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout(Duration::from_secs(60), sidecar) => ended,
        () = vandal => unreachable!("it goes on for ever"),
    };
    assert_eq!(ended.expect("it ends").unwrap().exit_code(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_another_pod_writes_as_well_is_sent_again_once_and_that_is_said() {
    let (world, log) = (World::new(), Log::capture());
    world.settled(&["outputs/shared", "outputs/spec.json", "outputs/mine"]);
    // Each comparison has to ask twice: between upload and answer there is time for others.
    world.store.fail(Op::List, "", Fault::status(503, "SlowDown"), Times::Nth(1));
    world.store.fail(Op::List, "", Fault::status(503, "SlowDown"), Times::Nth(2));
    let sidecar = world.start();
    world.main.cancel();
    let other = async {
        for asked in [1, 3] {
            world.called(Op::List, "", asked).await;
            for name in ["shared", "spec.json"] {
                world.store.insert(&format!("base/{RUN}/outputs/{name}"), "of another pod, and longer").await;
            }
        }
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout(Duration::from_secs(60), sidecar) => ended,
        () = async { other.await; std::future::pending().await } => unreachable!(),
    };
    assert_eq!(ended.expect("it ends").unwrap().exit_code(), 0);
    let puts = |name: &str| world.calls(Op::Put).iter().filter(|call| call.ends_with(name)).count();
    assert_eq!((puts("shared"), puts("spec.json"), puts("mine")), (2, 1, 1), "{}", log.text());
    assert_eq!(log.count("somebody else writes them as well"), 1, "{}", log.text());
}
