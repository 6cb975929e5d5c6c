//! What passes say of themselves: a line in the log, a line in the record, and totals in the report.

use crate::log::Log;
use crate::world::{World, after, detail, pass};
use plx_sidecar::pass::RECORD;
use plx_testkit::{Fault, Op, Times, Tree};
use serde_json::{Value, json};
use std::fs;

/// What is written down of passes so far.
fn record(world: &World) -> Vec<Value> {
    let path = world.config.layout.own_state(&world.config.pod).join(RECORD);
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn numbers(line: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| line[name].as_u64().unwrap_or_else(|| panic!("{name} of {line}"))).collect()
}

#[tokio::test(start_paused = true)]
async fn every_pass_is_a_line_in_the_record_and_one_that_did_something_is_one_in_the_log() {
    let (world, log) = (World::new(), Log::capture());
    world.settled(&["a", "b"]);
    let mut passes = world.passes();
    pass(&mut passes).await;
    pass(&mut passes).await;
    world.write("a", "another content");
    fs::remove_file(world.run("b")).unwrap();
    world.settle();
    world.store.fail(Op::Put, "/a", Fault::Denied, Times::First(1));
    pass(&mut passes).await;
    pass(&mut passes).await;
    let lines = record(&world);
    let names = ["pass", "scanned", "changed", "sent", "bytes", "again", "deleted", "waiting", "requests"];
    let seen: Vec<_> = lines.iter().map(|line| numbers(line, &names)).collect();
    assert_eq!(
        seen,
        [
            [1, 2, 2, 2, 2, 0, 0, 0, 2],
            [2, 2, 0, 0, 0, 0, 0, 0, 0],
            [3, 1, 2, 0, 0, 0, 1, 1, 2],
            [4, 1, 1, 1, 15, 15, 0, 0, 1],
        ]
    );
    for line in &lines {
        assert!(line["began"].as_str().is_some_and(|began| began.ends_with('Z')), "{line}");
        assert!(line["seconds"].is_number() && line["behind"].is_number(), "{line}");
    }
    for (number, said) in [
        (1, "2 files, 2 changed, 2 sent (2 B), 0 deleted, 0 waiting"),
        (3, "1 files, 2 changed, 0 sent (0 B), 1 deleted, 1 waiting"),
        (4, "1 files, 1 changed, 1 sent (15 B), 0 deleted, 0 waiting"),
    ] {
        assert_eq!(log.count(&format!("pass {number}: {said}")), 1, "{}", log.text());
    }
    assert_eq!(log.count("pass 2:"), 0, "it is written down, and says nothing: {}", log.text());
}

#[tokio::test(start_paused = true)]
async fn what_changed_long_ago_and_was_not_stored_is_how_far_the_store_was_behind() {
    let world = World::new();
    world.settled(&["a"]);
    let mut passes = world.passes();
    world.store.fail(Op::Put, "/a", Fault::Denied, Times::First(1));
    // Each settling takes 45 ms, and more.
    world.settle();
    world.settle();
    let waiting = pass(&mut passes).await;
    assert!(waiting.behind.as_millis() >= 135, "{:?}", waiting.behind);
    world.settle();
    let stored = pass(&mut passes).await;
    assert!(stored.behind > waiting.behind, "{:?}", stored.behind);
    let idle = pass(&mut passes).await;
    assert_eq!(idle.behind.as_nanos(), 0, "nothing is behind");
    assert!(passes.totals().behind >= 0.2, "{:?}", passes.totals());
    assert!(passes.totals().behind_mean >= 0.18, "one version in all: {:?}", passes.totals());
}

#[tokio::test(start_paused = true)]
async fn parts_of_an_upload_that_goes_on_count_once_and_those_that_were_sent_for_nothing_count_as_sent_again()
{
    for (changes, again) in [(false, 0), (true, 20 << 20)] {
        let world = World::with(|config| config.buffer_bytes = Some(24 << 20));
        Tree::new(5).file("big.bin", 20 << 20).write_to(&world.run("")).unwrap();
        world.settle();
        world.store.fail(Op::Complete, "big.bin", Fault::status(500, "InternalError"), Times::First(3));
        let mut passes = world.passes();
        let broken = pass(&mut passes).await;
        assert_eq!((broken.stored, broken.bytes), (0, 0));
        if changes {
            Tree::new(6).file("big.bin", 20 << 20).write_to(&world.run("")).unwrap();
            world.settle();
        }
        let whole = pass(&mut passes).await;
        assert_eq!((whole.stored, whole.bytes), (1, 20 << 20));
        assert_eq!(passes.end_record().again, again, "{:?}", world.calls(Op::PutPart));
        assert_eq!(world.calls(Op::PutPart).len(), if changes { 6 } else { 3 });
    }
}

#[tokio::test(start_paused = true)]
async fn the_report_has_the_totals_of_all_passes() {
    let world = World::new();
    world.settled(&["a", "b"]);
    let sidecar = world.start();
    after(15.0).await;
    world.write("a", "changed");
    world.settle();
    after(10.0).await;
    world.main.cancel();
    let report = sidecar.await.unwrap();
    let lines = record(&world);
    let (totals, passes) = lines.split_last().unwrap();
    let sum = |name: &str| -> u64 { passes.iter().filter_map(|line| line[name].as_u64()).sum() };
    for (name, want) in [
        ("passes", passes.len() as u64),
        ("uploads", sum("sent")),
        ("bytes", sum("bytes")),
        ("again", sum("again")),
        ("requests", sum("requests")),
        ("deleted", 0),
    ] {
        assert_eq!(detail(&report, name), json!(want), "{name} in the report");
        assert_eq!(totals["totals"][name], json!(want), "{name} in the record");
    }
    assert_eq!((sum("sent"), sum("bytes"), sum("again")), (3, 9, 7));
    assert_eq!(detail(&report, "behind"), totals["totals"]["behind"]);
    assert!(report.message.contains("3 uploads (9 B, 7 B of them again)"), "{}", report.message);
}
