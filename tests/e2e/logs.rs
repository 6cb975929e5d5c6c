//! Logs of containers that talk, on a real kubelet: rotated by docker, with a connection that is cut, a container that is
//! started again, and a sidecar that is killed.

use crate::kubectl::{Pod, variable};
use crate::plumbing::{Place, STORE_ON_S3, pod};
use crate::world::{RUN, World, objects};
use plx_testkit::{CutLine, Numbered, S3Target};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::{interval, timeout};

const SIDECAR: &str = "polyaxon-sidecar";
const TALKING: [&str; 3] = ["polyaxon-main", "aux-1", "aux-2"];
/// Main fails after so many, and goes on from there when it is started again.
const FIRST: u64 = 12_700;
const ALL: u64 = 13_000;
/// A line is about 140 bytes of docker's file, which is rotated after 1 MB, so at about 7000 lines. How far it may go is in a
/// file of the test.
const PRINT: &str = "while [ $i -le $to ]; do \
     [ $((i % 50)) -ne 1 ] || until [ $i -le $(busybox cat /told/upto) ]; do busybox usleep 50000; done; \
     echo \"line $i of many, which says nothing and is no shorter than others\"; i=$((i + 1)); done";
const PATIENCE: Duration = Duration::from_secs(100);

/// The converter's pod with two more containers that talk, and a main that fails at first.
fn talking(world: &World, line: Option<&CutLine>) -> Value {
    let places = [Place { from: "http://polyaxon-api:80", to: &world.platform.url() }];
    let mut pod = pod(STORE_ON_S3, &places);
    pod["spec"]["restartPolicy"] = "OnFailure".into();
    let told = json!({ "name": "told", "hostPath": { "path": world.folder.path() } });
    pod["spec"]["volumes"].as_array_mut().unwrap().push(told);
    let mount = json!({ "name": "told", "mountPath": "/told" });
    let containers = pod["spec"]["containers"].as_array_mut().unwrap();
    let image = containers.iter().find(|one| one["name"] == "polyaxon-main").unwrap()["image"].clone();
    for one in containers.iter_mut() {
        if one["name"] == SIDECAR {
            one["args"] = json!([
                "--container-id=polyaxon-main",
                "--sleep-interval=1",
                "--sync-interval=1",
                "--monitor-logs"
            ]);
            let env = one["env"].as_array_mut().unwrap();
            let port = env.iter_mut().find(|variable| variable["name"] == "KUBERNETES_SERVICE_PORT");
            if let (Some(port), Some(line)) = (port, line) {
                port["value"] = line.addr().port().to_string().into();
            }
        } else {
            let begun = format!("/plx-context/artifacts/{RUN}/outputs/begun");
            let script = format!(
                "if [ -e {begun} ]; then i={} to={ALL} code=0; else echo >{begun}; i=1 to={FIRST} code=1; fi; {PRINT}; exit $code",
                FIRST + 1,
            );
            one["command"] = json!(["sh", "-c", script]);
            one["volumeMounts"].as_array_mut().unwrap().push(mount.clone());
        }
    }
    for name in &TALKING[1..] {
        let script = format!("i=1 to={ALL}; {PRINT}");
        // Without the wrapper that the tests' main has for a shell.
        let command = json!(["busybox", "sh", "-c", script]);
        containers.push(json!({ "name": name, "image": image, "command": command, "volumeMounts": [mount] }));
    }
    pod
}

/// The values of each container's records, in the order they are stored, and their bytes.
async fn stored(store: &S3Target) -> (BTreeMap<String, Vec<String>>, usize) {
    let parts = objects(store, &format!("{RUN}/plxlogs")).await;
    let mut values = BTreeMap::<String, Vec<String>>::new();
    // `POD.jsonl` stands before `POD.jsonl.0002`.
    for line in parts.values().flat_map(|part| std::str::from_utf8(part).unwrap().lines()) {
        if !line.is_empty() {
            let record: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| record[key].as_str().unwrap().to_owned();
            values.entry(text("container")).or_default().push(text("value"));
        }
    }
    (values, parts.values().map(Vec::len).sum())
}

/// Lets all containers print up to that line.
fn tell(world: &World, upto: u64) {
    let file = world.folder.path().join("upto");
    std::fs::write(file.with_extension("new"), upto.to_string()).unwrap();
    std::fs::rename(file.with_extension("new"), file).unwrap();
}

/// Waits until that line of all containers is in the store.
async fn has(store: &S3Target, number: u64) {
    let mut looks = interval(Duration::from_millis(300));
    let last = format!("line {number} ");
    let look = async {
        loop {
            let values = stored(store).await.0;
            let is_there =
                |name| values.get(name).is_some_and(|all| all.iter().any(|value| value.starts_with(&last)));
            if TALKING.into_iter().all(is_there) {
                break;
            }
            looks.tick().await;
        }
    };
    timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("no line {number} in {PATIENCE:?}"));
}

/// Waits until docker's file of each container has that line.
async fn printed(number: u64) {
    let mut looks = interval(Duration::from_millis(200));
    let last = format!("line {number} ");
    for name in TALKING {
        let look = async {
            while !docker(&["logs", "--tail", "1", &container(name).await]).await.starts_with(&last) {
                looks.tick().await;
            }
        };
        timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{name} did not print line {number}"));
    }
}

/// What docker says; it is the cluster's own.
async fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().await.unwrap();
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The container of that name that was started last.
async fn container(name: &str) -> String {
    let label = format!("label=io.kubernetes.container.name={name}");
    let all = docker(&["ps", "-aq", "--no-trunc", "--filter", &label]).await;
    all.lines().next().unwrap_or_else(|| panic!("no container {name}")).to_owned()
}

#[tokio::test]
async fn each_line_is_stored_once_or_said_to_be_missing() {
    let world = World::new().await;
    let store = world.bucket("plx-artifacts");
    tell(&world, 1000);
    // Where docker is not ours, nobody is killed and nothing is cut.
    let ours = variable("PLX_E2E_CLUSTER") == "bare";
    let line = if ours {
        let port = variable("PLX_CLUSTER_PORT").parse().unwrap();
        Some(CutLine::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await)
    } else {
        None
    };
    let pod = Pod::start(&talking(&world, line.as_ref())).await;
    if let Some(line) = &line {
        has(&store, 1000).await;
        // In the midst of what they say.
        tell(&world, 3000);
        line.cut();
        has(&store, 3000).await;
        // Rotated while nobody gets through: what stands in the file before is lost, and the rest is not.
        line.tear();
        tell(&world, 12_000);
        printed(12_000).await;
        line.mend();
        has(&store, 12_000).await;
        docker(&["kill", "--signal", "KILL", &container(SIDECAR).await]).await;
        tell(&world, 12_500);
        has(&store, 12_500).await;
        // Main says its last words, fails and is started again while nobody gets through.
        line.tear();
        tell(&world, FIRST + 100);
        printed(FIRST + 100).await;
        line.mend();
        has(&store, FIRST + 100).await;
    }
    tell(&world, ALL);
    let ended = pod.succeeds().await;
    let (values, bytes) = stored(&store).await;
    let restarts = |name: &str| {
        let statuses = ended.pod["status"]["containerStatuses"].as_array().unwrap();
        statuses.iter().find(|status| status["name"] == name).unwrap()["restartCount"].clone()
    };
    assert_eq!((restarts("polyaxon-main"), restarts(SIDECAR)), (1.into(), u32::from(ours).into()));
    for name in TALKING {
        let found = Numbered::of(values[name].iter().map(String::as_str), ALL);
        println!("{name}: {found:?}");
        let found = found.unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        if ours {
            assert!(found.notes == 1 && (2000..6000).contains(&found.missing), "{name}: {found:?}");
        } else {
            assert_eq!(found, Numbered { lines: ALL, missing: 0, notes: 0 });
        }
    }
    let puts = world.s3_front.requests().into_iter().filter(|seen| seen.method == "PUT");
    let sent: u64 =
        puts.filter(|seen| seen.path_and_query.contains("/plxlogs/")).map(|seen| seen.request_bytes).sum();
    println!("{sent} bytes sent of a log of {bytes}");
    assert!(sent * 10 <= bytes as u64 * 11, "{sent} of {bytes}");
}
