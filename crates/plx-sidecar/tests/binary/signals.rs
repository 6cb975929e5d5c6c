//! SIGTERM does not mean that main is gone.

use crate::pod::Pod;
use plx_testkit::{Match, Tree};
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

#[tokio::test]
async fn r12_sigterm_in_the_middle_of_a_pass_loses_nothing_while_main_writes_on() {
    let pod = Pod::new().await;
    Tree::new(1).small(60, 700).odd_names().empty_file("empty").write_to(&pod.run("outputs")).unwrap();
    let put = || Match::method("PUT");
    pod.proxy.on(put()).nth(10).stall();
    let marker = pod.path("main-exit.json");
    let mut sidecar =
        pod.start(&["--sync-interval=1", "--sleep-interval=1", "--main-marker", marker.to_str().unwrap()]);
    pod.proxy.seen(put(), 10).await;
    sidecar.signal(Signal::TERM);
    pod.proxy.clear_rules();
    pod.proxy.release();
    pod.write("outputs/checkpoint", "written after SIGTERM");
    pod.proxy.answered(put().path_ends_with("checkpoint"), 1).await;
    assert!(sidecar.is_running(), "main is still there");
    pod.write("outputs/last", "written just before main's end");
    fs::write(&marker, r#"{"exit_code":3}"#).unwrap();
    let ended = sidecar.end().await;
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("done")), "{ended:?}");
    assert_eq!(pod.difference().await, "");
    assert!(ended.stderr.contains("main ended with 3"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_end_of_mains_process_is_the_end() {
    let pod = Pod::new().await;
    let mut main = Command::new("sleep").arg("1000").stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let pid = main.id().unwrap().to_string();
    let mut sidecar = pod.start(&["--sync-interval=1", "--sleep-interval=1", "--main-pid", &pid]);
    pod.write("outputs/a", "while main runs");
    pod.proxy.answered(Match::method("PUT").path_ends_with("/outputs/a"), 1).await;
    assert!(sidecar.is_running());
    pod.write("outputs/b", "at its end");
    main.kill().await.unwrap();
    let ended = sidecar.end().await;
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("done")), "{ended:?}");
    assert_eq!(pod.difference().await, "");
}

#[tokio::test]
async fn a_process_that_is_gone_already_starts_the_last_pass_at_once() {
    let pod = Pod::new().await;
    let mut main = Command::new("true").spawn().unwrap();
    let pid = main.id().unwrap().to_string();
    main.wait().await.unwrap();
    pod.write("outputs/a", "left behind");
    let ended = pod.start(&["--main-pid", &pid]).end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.report["class"], json!("done"), "{ended:?}");
    assert_eq!(pod.difference().await, "");
}

#[tokio::test]
async fn sigterm_alone_ends_after_a_quiet_spell_with_everything_stored() {
    let pod = Pod::new().await;
    pod.write("outputs/a", "a");
    let sidecar = pod.start(&["--sync-interval=1", "--sleep-interval=1"]);
    pod.proxy.answered(Match::method("PUT"), 1).await;
    pod.write("outputs/b", "b");
    sidecar.signal(Signal::TERM);
    let ended = sidecar.end().await;
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("done")), "{ended:?}");
    assert_eq!(pod.difference().await, "");
}

#[tokio::test]
async fn a_store_that_stands_still_ends_within_the_grace_period_with_a_report() {
    let pod = Pod::new().await;
    pod.write("outputs/a", "a");
    pod.write("outputs/b", "b");
    pod.proxy.on(Match::method("PUT")).stall();
    let sidecar =
        pod.start(&["--sync-interval=1", "--sleep-interval=1", "--grace-period=4", "--on-incomplete=fail"]);
    pod.proxy.seen(Match::method("PUT"), 2).await;
    let asked = tokio::time::Instant::now();
    sidecar.signal(Signal::TERM);
    let ended = sidecar.end().await;
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert_eq!((ended.code, &ended.report["class"]), (Some(75), &json!("incomplete")), "{ended:?}");
    assert_eq!(ended.report["unstored"], json!(2));
    assert_eq!(ended.report["waiting"].as_array().map(Vec::len), Some(2), "{ended:?}");
    assert!(ended.stderr.contains("outputs incomplete"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_still_reports() {
    let pod = Pod::new().await;
    pod.write("outputs/a", "a");
    pod.proxy.on(Match::method("PUT")).stall();
    let sidecar = pod.start(&["--sync-interval=1", "--sleep-interval=1", "--grace-period=600"]);
    pod.proxy.seen(Match::method("PUT"), 1).await;
    sidecar.signal(Signal::INT);
    // Two signals that are pending together are one: the next is sent when the first was taken, until one counts.
    let ended = {
        let mut again = tokio::time::interval(Duration::from_millis(50));
        let pid = sidecar.pid();
        let end = sidecar.end();
        tokio::pin!(end);
        loop {
            tokio::select! {
                ended = &mut end => break ended,
                _ = again.tick() => crate::pod::signal(pid, Signal::INT),
            }
        }
    };
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("incomplete")), "{ended:?}");
    assert_eq!(ended.report["unstored"], json!(1));
}
