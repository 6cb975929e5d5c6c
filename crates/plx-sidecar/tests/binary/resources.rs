//! What main uses, from a cluster's metrics and from processes.

use crate::kubernetes::{OFTEN, POD, RESOURCES, World, within};
use crate::pod::Pod;
use plx_testkit::FakeKube;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::interval;

const CPU: &str = "resources/metric/cpu.plx";
const MEMORY: &str = "resources/metric/memory.plx";
const METRICS: &str = "get pods.metrics.k8s.io";

/// A pod as the converter writes it, with limits; what is to be collected stands in main's environment alone.
async fn pod(collects: &str) -> World {
    let mut world = World::new("Never").await;
    world.main_says_of_resources();
    world.kube.change_pod(POD, |pod| {
        pod["spec"]["containers"][0]["env"] = json!([{"name": RESOURCES, "value": collects}]);
        pod["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "500m", "memory": "256Mi"}});
    });
    world
}

/// The values of the rows of a file.
fn values(path: &Path) -> Vec<f64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let rows = text.lines().skip(1);
    rows.map(|row| row.rsplit('|').next().unwrap_or_default().parse().unwrap()).collect()
}

#[tokio::test]
async fn metrics_are_rows_of_percent_of_mains_limits() {
    let world = pod("true").await;
    let used = [("aux", "9", "9Gi"), (FakeKube::MAIN, "125000000n", "64Mi")];
    world.kube.uses(POD, "2026-01-01T00:00:00Z", &used);
    let sidecar = world.start(&OFTEN);
    within("metrics", world.kube.answered(METRICS, 200, 1)).await;
    within("a watch", world.kube.answered("watch", 200, 1)).await;
    world.kube.main_ended(POD, 0, "Completed");
    let ended = world.ends(sidecar, "main ended with 0").await;
    assert!(!ended.stderr.contains("WARN"), "{}", ended.stderr);
    assert_eq!((values(&world.stored(CPU)), values(&world.stored(MEMORY))), (vec![25.0], vec![25.0]));
}

#[tokio::test]
async fn without_the_word_of_mains_environment_nothing_is_asked_or_written() {
    let world = pod("false").await;
    world.kube.uses(POD, "2026-01-01T00:00:00Z", &[(FakeKube::MAIN, "1", "1Mi")]);
    let sidecar = world.start(&OFTEN);
    // One look of the status, one of the resources.
    within("looks", world.kube.answered("get pods", 200, 2)).await;
    within("a watch", world.kube.answered("watch", 200, 1)).await;
    world.write("outputs/a");
    world.kube.main_ended(POD, 0, "Completed");
    world.ends(sidecar, "main ended with 0").await;
    assert!(!world.run("resources").exists());
    assert!(world.kube.calls().iter().all(|call| call.resource != "pods.metrics.k8s.io"));
}

#[tokio::test]
async fn metrics_that_are_refused_are_one_warning_and_no_failure() {
    let world = pod("true").await;
    world.kube.has_metrics();
    world.kube.deny("get", "pods.metrics.k8s.io");
    let sidecar = world.start(&OFTEN);
    within("a refusal", world.kube.answered(METRICS, 403, 1)).await;
    within("a watch", world.kube.answered("watch", 200, 1)).await;
    world.write("outputs/a");
    world.kube.main_ended(POD, 0, "Completed");
    let ended = world.ends(sidecar, "main ended with 0").await;
    let warned: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warned.len(), 1, "{}", ended.stderr);
    for words in ["what main uses is not collected", "metrics.k8s.io", "shareProcessNamespace"] {
        assert!(warned[0].contains(words), "{words} in {}", warned[0]);
    }
    assert!(!world.run("resources").exists());
}

/// CPU time of the children of a process.
fn computed(pid: &str) -> Duration {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let ticks = |child: &str| -> u64 {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        // utime and stime, in hundredths of a second.
        after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    };
    Duration::from_millis(10 * children.split_whitespace().map(ticks).sum::<u64>())
}

#[tokio::test]
async fn a_process_is_looked_at_itself() {
    let mut pod = Pod::new().await;
    pod.set(RESOURCES, "true");
    // It works; its end is this test's, or its own.
    let script = "i=0; while [ $i -lt 100000000 ]; do i=$((i+1)); done";
    let mut main =
        Command::new("timeout").args(["60", "sh", "-c", script]).stdin(Stdio::null()).spawn().unwrap();
    let pid = main.id().to_string();
    let sidecar = pod.start(&["--sync-interval=1", "--sleep-interval=1", "--main-pid", &pid]);
    // What is between the first two looks is a sample: it has computed for longer than that takes.
    let mut looks = interval(Duration::from_millis(50));
    while computed(&pid) < Duration::from_secs(11) {
        looks.tick().await;
    }
    Command::new("kill").arg(&pid).status().unwrap();
    main.wait().unwrap();
    let ended = within("its end", sidecar.end()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let (cpu, memory) = (values(&pod.run(CPU)), values(&pod.run(MEMORY)));
    // On a busy machine it takes longer, and there are more.
    assert!(!cpu.is_empty() && cpu.iter().all(|cpu| *cpu > 0.5 && *cpu <= 101.0), "{cpu:?}");
    assert_eq!(memory.len(), cpu.len());
    assert_eq!(pod.difference().await, "");
}
