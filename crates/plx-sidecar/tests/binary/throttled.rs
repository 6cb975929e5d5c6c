//! A store that is too slow for the time there is.

use crate::pod::{Pod, RUN};
use plx_testkit::{Match, Snapshot};
use rustix::process::Signal;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

const MB: u64 = 1_000_000;

/// 400 MB are waiting, of which 5 MB fit into a second, and in 10 seconds comes the kill.
#[tokio::test]
async fn with_10_seconds_for_400_mb_logs_small_files_and_the_newest_checkpoint_are_stored_and_the_rest_is_named()
 {
    let pod = Pod::new().await;
    pod.proxy.limit_bytes_per_second(5 * MB);
    let aged = |name: &str, bytes: u64, seconds: u64| {
        let path = pod.run(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(&path).unwrap();
        file.set_len(bytes).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    };
    for step in 0..9 {
        aged(&format!("outputs/checkpoints/step-{step}.pt"), 42 * MB, 1000 - 60 * step);
    }
    aged("outputs/checkpoints/step-9.pt", 20 * MB, 60);
    for number in 0..20 {
        aged(&format!("outputs/small-{number:02}.json"), 50_000, 60);
    }
    aged("plxlogs/pod-1.jsonl", 300_000, 1);
    aged("events/metric/loss.plx", 100_000, 1);
    let marker = pod.path("main-exit.json");
    let sidecar = pod.start(&[
        "--sync-interval=1",
        "--sleep-interval=1",
        "--grace-period=10",
        "--main-marker",
        marker.to_str().unwrap(),
    ]);
    // Whatever is sent then, it is not what is worth most.
    pod.proxy.seen(Match::method("PUT").query_contains("partNumber"), 1).await;
    let asked = Instant::now();
    sidecar.signal(Signal::TERM);
    let ended = sidecar.end().await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(10), "killed before its report: {took:?}");
    assert_eq!((ended.code, &ended.report["class"]), (Some(0), &json!("incomplete")), "{ended:?}");
    let names = |snapshot: &Snapshot| -> BTreeSet<String> {
        snapshot.files.keys().map(|path| format!("{RUN}/{path}")).collect()
    };
    let stored = names(&Snapshot::of_store(&pod.target.store(), &format!("base/{RUN}")).await.unwrap());
    let there = names(&Snapshot::of(&pod.run("")).unwrap());
    let missing: BTreeSet<String> = there.difference(&stored).cloned().collect();
    for name in there.iter().filter(|name| !name.contains("checkpoints") || name.contains("step-9")) {
        assert!(stored.contains(name), "{name} is worth more than what is stored: {ended:?}");
    }
    let told: BTreeSet<String> = serde_json::from_value(ended.report["waiting"].clone()).unwrap();
    assert_eq!(told, missing, "the report names what is missing, and nothing else");
    assert_eq!(ended.report["unstored"], json!(missing.len()));
    println!(
        "ended {:.1} s after SIGTERM: {} of {} files stored, {} requests",
        took.as_secs_f64(),
        stored.len(),
        there.len(),
        ended.report["requests"]
    );
}
