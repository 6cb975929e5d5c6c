//! Logs of the pod's containers, from a cluster that cuts, rotates and refuses, to a store that is a folder.

use crate::kubernetes::{OFTEN, POD, World, within};
use crate::pod::Sidecar;
use plx_contract::layout::TEMP_PREFIX;
use plx_testkit::FakeKube;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::time::Duration;
use tokio::time::interval;

/// In May 2024, far from the clock of this machine.
const THEN: i64 = 1_715_000_000_000_000_000;
const ARGS: [&str; 3] = ["--monitor-logs", OFTEN[0], OFTEN[1]];
const CONTAINERS: [&str; 3] = [FakeKube::MAIN, "aux", "aux-2"];

/// A pod with other containers beside main.
async fn pod() -> World {
    let world = World::new("Never").await;
    world.kube.change_pod(POD, |pod| {
        for name in ["aux", "aux-2"] {
            let aux = json!({"name": name, "restartCount": 0, "state": {"running": {}}});
            pod["status"]["containerStatuses"].as_array_mut().unwrap().push(aux);
            pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": name}));
        }
    });
    world
}

/// All containers print numbered lines, of which each time has two.
fn print(world: &World, numbers: Range<i64>) {
    for n in numbers {
        for container in CONTAINERS {
            world.kube.print(POD, container, THEN + n / 2 * 300_000_000, format!("{container} {n}"));
        }
    }
}

/// The records in the store, in the order of the parts.
fn records(world: &World) -> Vec<Value> {
    let parts = fs::read_dir(world.stored("plxlogs")).into_iter().flatten();
    // One that is being stored has another name, and may be half there.
    let is_whole = |part: &fs::DirEntry| !part.file_name().to_string_lossy().starts_with(TEMP_PREFIX);
    let mut parts: Vec<_> = parts.map(Result::unwrap).filter(is_whole).map(|part| part.path()).collect();
    // `POD.jsonl` stands before `POD.jsonl.0002`.
    parts.sort();
    let read = |part| fs::read_to_string(part).unwrap_or_default();
    let text: String = parts.iter().map(read).collect();
    text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the store has of each container.
fn values(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut values = BTreeMap::<String, Vec<String>>::new();
    for record in records(world) {
        let text = |key: &str| record[key].as_str().unwrap().to_owned();
        values.entry(text("container")).or_default().push(text("value"));
    }
    values
}

/// Waits until so many records are in the store.
async fn stored(world: &World, sidecar: &mut Sidecar, count: usize) {
    let look = async {
        let mut looks = interval(Duration::from_millis(20));
        while records(world).len() < count {
            looks.tick().await;
            assert!(sidecar.is_running(), "it ended while main runs");
        }
    };
    within(&format!("{count} records"), look).await;
}

fn size(world: &World) -> u64 {
    let parts = fs::read_dir(world.stored("plxlogs")).unwrap();
    parts.map(|part| part.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test]
async fn r10_each_line_of_each_container_is_stored_once() {
    let world = pod().await;
    world.kube.print(POD, "polyaxon-init-auth", THEN, "it is through");
    print(&world, 0..100);
    // A little after the first bytes, and in the middle of a line.
    world.kube.cut_next_logs_after([30, 1000, 7, 2500, 333]);
    let mut sidecar = world.start(&ARGS);
    stored(&world, &mut sidecar, 301).await;
    print(&world, 100..200);
    world.kube.cut_logs();
    stored(&world, &mut sidecar, 601).await;
    sidecar.signal(Signal::KILL);
    sidecar.end().await;
    // It does not run now, and is killed again before a pass.
    print(&world, 200..300);
    world.kube.cut_next_logs_after([5000, 1, 100]);
    world.kube.forget_calls();
    let sidecar = world.start(&["--monitor-logs", "--sync-interval=-1"]);
    within("all logs", world.kube.answered("get pods/log", 200, 6)).await;
    sidecar.signal(Signal::KILL);
    sidecar.end().await;
    let mut sidecar = world.start(&ARGS);
    stored(&world, &mut sidecar, 901).await;
    print(&world, 300..350);
    world.kube.print_without_end(POD, FakeKube::MAIN, THEN + 1_000_000_000_000, "the end");
    world.kube.main_ended(POD, 0, "Completed");
    world.ends(sidecar, "main ended with 0").await;
    let values = values(&world);
    for container in CONTAINERS {
        let mut want: Vec<String> = (0..350).map(|n| format!("{container} {n}")).collect();
        want.extend((container == FakeKube::MAIN).then(|| "the end".to_owned()));
        assert_eq!(values[container], want);
    }
    assert_eq!(values["polyaxon-init-auth"], ["it is through"]);
    let first = &records(&world)[0];
    let keys: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["timestamp", "node", "pod", "container", "value"]);
    assert_eq!((&first["node"], &first["pod"]), (&"node-1".into(), &POD.into()));
}

/// As when a pod is deleted on Kubernetes 1.20: main ends with SIGTERM, and the status says to the end that it runs.
#[tokio::test]
async fn a_last_line_without_an_end_is_stored_where_nobody_tells_of_mains_end() {
    let world = pod().await;
    print(&world, 0..1);
    let mut sidecar = world.start(&["--monitor-logs", OFTEN[0], OFTEN[1], "--grace-period=6"]);
    stored(&world, &mut sidecar, 3).await;
    world.kube.deletion_began(POD);
    sidecar.signal(Signal::TERM);
    world.kube.print_without_end(POD, FakeKube::MAIN, THEN + 1_000_000_000, "Killed");
    world.kube.end_logs(true);
    let ended = within("its end", sidecar.end()).await;
    assert_eq!(values(&world)[FakeKube::MAIN], ["polyaxon-main 0", "Killed"], "{}", ended.stderr);
    let said = ended.report["message"].as_str().unwrap();
    assert!(said.contains("time was up before anything said that main had ended"), "{said}");
}

#[tokio::test]
async fn r11_a_growing_log_is_not_sent_again() {
    let world = pod().await;
    let mut sidecar = world.start(&ARGS);
    for round in 0..5 {
        print(&world, round * 20..(round + 1) * 20);
        stored(&world, &mut sidecar, usize::try_from(round + 1).unwrap() * 60).await;
    }
    world.kube.main_ended(POD, 0, "Completed");
    let ended = world.ends(sidecar, "main ended with 0").await;
    assert!(!ended.stderr.contains("WARN"), "{}", ended.stderr);
    assert!(fs::read_dir(world.stored("plxlogs")).unwrap().count() >= 5);
    let (sent, size) = (ended.report["bytes"].as_u64().unwrap(), size(&world));
    eprintln!("{sent} bytes sent of a log of {size}");
    assert!(sent * 10 <= size * 11, "{sent} of {size}");
}

#[tokio::test]
async fn values_stay_what_they_are_for_polyaxons_reader() {
    let world = pod().await;
    for (n, value) in ["007", "1.0", "2024-01-02"].into_iter().enumerate() {
        world.kube.print(POD, FakeKube::MAIN, THEN + i64::try_from(n).unwrap(), value);
    }
    world.kube.main_ended(POD, 0, "Completed");
    let sidecar = world.start(&ARGS);
    world.ends(sidecar, "main ended with 0").await;
    let values = values(&world);
    // A file of which all values could be numbers becomes one of numbers there.
    assert_eq!(
        values[FakeKube::MAIN],
        ["[plx-sidecar] the lines of this file are text", "007", "1.0", "2024-01-02"]
    );
    assert!(
        fs::read_to_string(world.stored("plxlogs/pod-1.jsonl"))
            .unwrap()
            .starts_with("\n{\"timestamp\":\"2024-")
    );
}

#[tokio::test]
async fn a_container_that_is_started_again_keeps_its_last_words() {
    let world = World::new("OnFailure").await;
    world.kube.print(POD, FakeKube::MAIN, THEN, "first");
    let mut sidecar = world.start(&ARGS);
    stored(&world, &mut sidecar, 1).await;
    world.kube.print(POD, FakeKube::MAIN, THEN + 1, "last words");
    world.kube.main_ended(POD, 1, "Error");
    world.kube.main_runs(POD);
    world.kube.print(POD, FakeKube::MAIN, THEN + 2, "second");
    world.kube.main_ended(POD, 0, "Completed");
    world.ends(sidecar, "main ended with 0").await;
    assert_eq!(values(&world)[FakeKube::MAIN], ["first", "last words", "second"]);
}

#[tokio::test]
async fn logs_that_are_refused_are_one_warning_and_no_failure() {
    let world = pod().await;
    world.kube.deny("get", "pods/log");
    print(&world, 0..2);
    world.write("outputs/a");
    let sidecar = world.start(&ARGS);
    within("refusals", world.kube.answered("get pods/log", 403, 5)).await;
    world.kube.main_ended(POD, 0, "Completed");
    let ended = world.ends(sidecar, "main ended with 0").await;
    let warned: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warned.len(), 1, "{}", ended.stderr);
    assert!(warned[0].contains("logs cannot be read") && warned[0].contains("pods/log"), "{}", warned[0]);
    assert!(!world.stored("plxlogs").exists());
}

#[tokio::test]
async fn a_log_that_is_refused_in_the_midst_says_where_it_breaks_off() {
    let world = pod().await;
    print(&world, 0..2);
    let mut sidecar = world.start(&ARGS);
    stored(&world, &mut sidecar, 6).await;
    world.kube.deny("get", "pods/log");
    world.kube.cut_logs();
    within("refusals", world.kube.answered("get pods/log", 403, 3)).await;
    print(&world, 2..4);
    world.kube.main_ended(POD, 0, "Completed");
    world.ends(sidecar, "main ended with 0").await;
    let note = "[plx-sidecar] the log could not be read to its end: lines after this one may be missing";
    for container in CONTAINERS {
        let read = [&format!("{container} 0"), &format!("{container} 1"), note];
        assert_eq!(values(&world)[container], read);
    }
}

#[tokio::test]
async fn without_the_option_no_log_is_asked_for() {
    let world = pod().await;
    world.write("outputs/a");
    print(&world, 0..2);
    let sidecar = world.start(&OFTEN);
    within("a watch", world.kube.answered("watch", 200, 1)).await;
    world.kube.main_ended(POD, 0, "Completed");
    world.ends(sidecar, "main ended with 0").await;
    assert!(world.kube.calls().iter().all(|call| call.resource != "pods/log"));
}
