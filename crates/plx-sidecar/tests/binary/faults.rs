//! Faults of a network and of a busy server, met by the built program.

use crate::pod::{Pod, RUN};
use plx_testkit::{Match, Tree};
use plx_transfer::Settings;
use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;
use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn a_store_that_fails_the_first_two_attempts_of_some_uploads_loses_nothing() {
    let mut pod = Pod::new().await;
    pod.set("PLX_BUFFER_BYTES", "8388608");
    Tree::new(2).small(30, 900).file("big.bin", 12 << 20).write_to(&pod.run("outputs")).unwrap();
    let put = |name: &str| Match::method("PUT").path_ends_with(name);
    for name in ["00003.bin", "00013.bin"] {
        pod.proxy.on(put(name)).first(2).answer(503, "<Error><Code>SlowDown</Code></Error>", &[]);
    }
    pod.proxy.on(put("00005.bin")).first(2).answer(500, "<Error><Code>InternalError</Code></Error>", &[]);
    pod.proxy.on(put("00007.bin")).first(2).refuse();
    pod.proxy.on(put("00011.bin")).first(2).cut_before_response();
    pod.proxy.on(put("00017.bin")).first(2).cut_after_request_bytes(100);
    pod.proxy.on(put("big.bin").query_contains("partNumber=2")).first(2).cut_after_request_bytes(1 << 20);
    let marker = pod.path("main-exit.json");
    fs::write(&marker, "{}").unwrap();
    let ended = pod.start(&["--main-marker", marker.to_str().unwrap()]).end().await;
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("done")), "{ended:?}");
    assert_eq!(ended.report["waiting"], json!([]));
    assert_eq!(pod.difference().await, "");
}

#[tokio::test]
async fn writes_that_are_throttled_before_sigterm_are_not_lost() {
    let pod = Pod::new().await;
    Tree::new(3).small(50, 400).write_to(&pod.run("outputs")).unwrap();
    pod.proxy.on(Match::method("PUT")).first(20).answer(429, "", &[("Retry-After", "1")]);
    let sidecar = pod.start(&["--sync-interval=1", "--sleep-interval=1"]);
    pod.proxy.seen(Match::method("PUT"), 5).await;
    sidecar.signal(Signal::TERM);
    let ended = sidecar.end().await;
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("done")), "{ended:?}");
    assert_eq!(pod.difference().await, "");
}

#[tokio::test]
async fn a_killed_sidecar_goes_on_where_it_was_and_sends_nothing_twice() {
    let pod = Pod::new().await;
    Tree::new(4).small(40, 400).write_to(&pod.run("outputs")).unwrap();
    let put = || Match::method("PUT");
    pod.proxy.on(put().path_ends_with("00020.bin")).stall();
    let sidecar = pod.start(&["--sync-interval=1", "--sleep-interval=1"]);
    pod.written_down(39).await;
    sidecar.signal(Signal::KILL);
    assert_eq!(sidecar.end().await.code, None);
    pod.proxy.clear_rules();
    pod.proxy.forget_requests();
    let marker = pod.path("main-exit.json");
    fs::write(&marker, "{}").unwrap();
    let ended = pod.start(&["--main-marker", marker.to_str().unwrap()]).end().await;
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("done")), "{ended:?}");
    assert_eq!(pod.difference().await, "");
    assert_eq!(pod.proxy.count(&put().path_contains("/outputs/small/")), 1, "only what was on its way");
    assert_eq!(pod.proxy.count(&put().path_contains(RUN).path_ends_with("00020.bin")), 1);
}

#[tokio::test]
async fn wrong_keys_are_named_in_the_report_and_end_the_last_pass_soon() {
    let mut pod = Pod::new().await;
    pod.secret("AWS_SECRET_ACCESS_KEY", "wrong-secret-0123456789");
    pod.set("POLYAXON_LOG_LEVEL", "debug");
    pod.write("outputs/a", "a");
    let marker = pod.path("main-exit.json");
    fs::write(&marker, "{}").unwrap();
    let ended = pod.start(&["--main-marker", marker.to_str().unwrap()]).end().await;
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("incomplete")), "{ended:?}");
    let message = ended.report["message"].as_str().unwrap();
    assert!(message.contains("outputs/a") && message.contains("SignatureDoesNotMatch"), "{message}");
    assert!(ended.report["next"].is_string());
}

/// A pipe that nobody writes into takes the place of a file between the look at it and its turn: to open it takes for ever, as
/// on a disk that hangs.
#[tokio::test]
async fn a_disk_that_hangs_costs_neither_the_deadline_nor_the_report_of_what_was_known_before() {
    let pod = Pod::new().await;
    let unstorable = pod.run("").join(OsStr::from_bytes(b"no-text-\xff"));
    fs::write(&unstorable, "x").unwrap();
    pod.write("outputs/early", "early");
    let sidecar = pod.start(&["--sync-interval=1", "--sleep-interval=1", "--grace-period=4"]);
    pod.written_down(1).await;
    // As many as are sent at a time, and one that has to wait for its turn: it is the largest.
    pod.proxy.on(Match::method("PUT")).stall();
    for number in 0..Settings::WORKERS {
        pod.write(&format!("outputs/{number}"), "small");
    }
    let (last, pipe) = (pod.run("outputs/last"), pod.path("pipe"));
    pod.write("outputs/last", &"large".repeat(1000));
    pod.proxy.seen(Match::method("PUT").path_contains("outputs/"), 2 + Settings::WORKERS / 2).await;
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::rename(&pipe, &last).unwrap();
    pod.proxy.clear_rules();
    pod.proxy.release();
    pod.written_down(1 + Settings::WORKERS).await;
    let asked = Instant::now();
    sidecar.signal(Signal::TERM);
    let ended = sidecar.end().await;
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("incomplete")), "{ended:?}");
    let said = ended.report["message"].as_str().unwrap();
    assert!(said.contains("time was up, 1 not stored") && said.contains("no-text-"), "{said}");
    assert_eq!(ended.report["stored"], 1 + Settings::WORKERS, "{said}");
}
