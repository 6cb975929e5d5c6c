//! The ends of a pod's life, for real: whatever main's end is, the pod ends by itself, and what main wrote and said is in the
//! store. `crates/plx-sidecar/tests/behaviour/ends.rs` is the table of them all, with fakes around.
//!
//! Pods of this file run at the same time.

mod replicas;
mod scene;

use scene::{MAIN, SIDECAR, Scene};
use serde_json::json;
use std::time::Duration;

/// What the kubelet, the API, the last lines and the last pass may take on a busy machine, once main is gone.
const AT_ONCE: u64 = 15;

#[tokio::test]
async fn main_exits_with_0() {
    let scene = Scene::of(1, "exit-0", "work 40; hold; work 40; bye; exit 0").await;
    let ended = scene.plays("Succeeded").await;
    ended.says("main ended with 0 (pod status: polyaxon-main terminated, exit code 0)");
    ended.lasted_at_most(AT_ONCE);
    ended.has_all();
}

#[tokio::test]
async fn main_exits_with_1() {
    let scene = Scene::of(2, "exit-1", "work 40; hold; work 40; bye; exit 1").await;
    let ended = scene.plays("Failed").await;
    ended.says("main ended with 1 (pod status: polyaxon-main terminated, exit code 1)");
    ended.lasted_at_most(AT_ONCE);
    ended.has_all();
}

#[tokio::test]
async fn main_is_out_of_memory() {
    let script = "work 40; hold; work 40; bye; exec dd if=/dev/zero of=/dev/null bs=400M count=1";
    let mut scene = Scene::of(3, "oom", script).await;
    scene.container(MAIN)["resources"] = json!({ "limits": { "memory": "48Mi" } });
    let ended = scene.plays("Failed").await;
    assert_eq!(ended.ended.end(MAIN)["reason"], "OOMKilled");
    ended.says("main ended with 137 (pod status: polyaxon-main terminated, exit code 137 (OOMKilled))");
    ended.lasted_at_most(AT_ONCE);
    ended.has_all();
}

#[tokio::test]
async fn main_is_killed() {
    let mut scene = Scene::of(4, "killed", "work 40; hold; work 40; bye; kill -9 $$$$").await;
    // Nobody kills the first process of a container from inside of it. Kubernetes makes one of two dollars.
    scene.spec["spec"]["shareProcessNamespace"] = true.into();
    let ended = scene.plays("Failed").await;
    ended.says("main ended with 137 (pod status: polyaxon-main terminated, exit code 137)");
    ended.lasted_at_most(AT_ONCE);
    ended.has_all();
}

/// Main uses half of the grace period for a file and a line every 0.2 s.
#[tokio::test]
async fn the_pod_is_deleted_with_10_s_while_main_writes_after_sigterm() {
    let script = "trap 'for late in $(seq 25); do say; echo $late >late-$late; busybox sleep 0.2; done; work 5; bye; exit 0' TERM; \
        work 40; hold; while :; do busybox sleep 0.1; done";
    let mut scene = Scene::of(5, "deleted", script).await;
    scene.reports_beside();
    let ended = scene.when_deleted(10).await;
    assert!(ended.outputs.contains_key("late-25"), "{:?}", ended.outputs.keys());
    // It came to its report, so nobody killed it.
    if ended.report["main"] == "time is up" {
        // A kubelet of 1.20 says of no container that it has ended before all have: a line without an end is waited for in
        // vain, and the last part of the log comes too late. The report says so.
        assert_eq!(ended.report["class"], "incomplete", "{:#}", ended.report);
        ended.misses_logs_alone();
        ended.has_all_but(1);
    } else {
        ended.says("main ended with 0 (pod status: polyaxon-main terminated, exit code 0)");
        ended.has_all();
    }
}

#[tokio::test]
async fn rights_are_removed_in_mid_run_and_main_leaves_a_marker() {
    let script = "work 40; hold; work 40; bye; mkdir -p $STATE; echo '{\"exit_code\":0}' >$STATE/new; mv $STATE/new $STATE/main-exit.json";
    let mut scene = Scene::of(6, "marker", script).await;
    let marker = format!("--main-marker={}/main-exit.json", scene.state());
    scene.argument(marker.clone());
    let ended = scene.loses_its_rights().await;
    let file = marker.split_once('=').unwrap().1;
    ended.says(&format!("main ended with 0 (marker {file})"));
    ended.lasted_at_most(AT_ONCE);
    // What it said before, and that there may be more.
    ended.has_all_but(41);
}

#[tokio::test]
async fn rights_are_removed_in_mid_run_and_nothing_tells_of_mains_end() {
    let mut scene = Scene::of(7, "lifeless", "work 40; hold; work 40; bye").await;
    scene.argument("--lifeless-timeout=6".to_owned());
    let ended = scene.loses_its_rights().await;
    ended.says("no sign of main's life and no change on disk for 6 s (--lifeless-timeout)");
    ended.lasted_at_most(6 + AT_ONCE);
    // What it said before, and that there may be more.
    ended.has_all_but(41);
}

#[tokio::test]
async fn the_sidecar_is_killed_in_mid_run() {
    let script = "work 40; hold; kill -9 $(pidof polyaxon); work 40; until pidof polyaxon; do busybox sleep 0.1; done >/dev/null; \
        work 40; until [ -e ../plxlogs/*.0002 ]; do busybox sleep 0.1; done; work 40; bye";
    let mut scene = Scene::of(8, "restart", script).await;
    scene.spec["spec"]["shareProcessNamespace"] = true.into();
    // Polyaxon's is Never: then nobody starts it again.
    scene.spec["spec"]["restartPolicy"] = "OnFailure".into();
    // Several parts.
    scene.container(MAIN)["env"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "name": "E2E_BYTES", "value": "20000000" }));
    let ended = scene.plays("Succeeded").await;
    assert_eq!((ended.restarts(MAIN), ended.restarts(SIDECAR)), (0, 1));
    ended.says("main ended with 0 (pod status: polyaxon-main terminated, exit code 0)");
    ended.lasted_at_most(AT_ONCE);
    ended.has_all();
    // It was stored before that: the journal knows.
    let sent = ended.world.sent();
    assert_eq!(sent.iter().filter(|name| *name == "work-40").count(), 1, "{sent:?}");
}

/// Between two looks of these tests.
const LOOK: Duration = Duration::from_millis(500);
