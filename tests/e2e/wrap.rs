//! A pod that `plx-pod render --wrap-main` makes, without a token for the API of its cluster: main fails and is started again,
//! the sidecar is killed, and all of it is in the store.

use crate::kubectl::{Pod, variable};
use crate::plumbing::without_rights;
use crate::world::{RUN, World, complete, objects};
use plx_pod::cli::RenderArgs;
use plx_pod::render::{self, Asked};
use plx_pod::{deployment, document};
use plx_testkit::S3Target;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::{interval, timeout};

/// Lines of the first start of main, and of both.
const FIRST: u32 = 4000;
const ALL: u32 = 6000;
const PATIENCE: Duration = Duration::from_secs(100);

/// Main waits in the midst of its lines, until it is told to go on.
fn lines() -> String {
    format!(
        "begun=/plx-context/artifacts/{RUN}/outputs/begun
         if [ -e $begun ]; then i={} to={ALL} code=0; else echo >$begun; i=1 to={FIRST} code=3; fi
         while [ $i -le $to ]; do
           [ $i -ne 2000 ] || until [ -e /told/go ]; do busybox usleep 50000; done
           echo \"line $i\"; i=$((i + 1))
         done
         busybox sleep 600 & printf 'no end'; exit $code",
        FIRST + 1
    )
}

fn operation(told: &str, script: &str) -> String {
    json!({
        "version": 1.1,
        "kind": "component",
        "run": {
            "kind": "job",
            "environment": { "restartPolicy": "OnFailure" },
            "volumes": [{ "name": "told", "hostPath": { "path": told } }],
            "container": {
                "image": "busybox:1",
                "command": ["sh", "-c"],
                "args": [script],
                "volumeMounts": [{ "name": "told", "mountPath": "/told" }],
            },
        },
    })
    .to_string()
}

fn rendered(world: &World, script: &str) -> Value {
    let config = json!({
        "artifactsStore": {
            "name": "s3-store",
            "kind": "s3",
            "schema": { "bucket": "s3://plx-artifacts" },
            "secret": { "name": "s3-store-secret" },
        },
        "sidecar": { "syncInterval": 1, "sleepInterval": 1 },
    });
    let words = ["f.yaml", "--wrap-main", "--run-uuid", RUN, "--project", "owner-name/project-name"];
    let asked = Asked::settle(&RenderArgs::from_words(&words).unwrap()).unwrap();
    let told = world.folder.path().display().to_string();
    let document = document::parse("f.yaml", &operation(&told, script)).unwrap();
    let deployment = deployment::parse("config", &config.to_string()).unwrap();
    let none = BTreeMap::<String, String>::new();
    let rendered = render::render(&document, &deployment, &asked, &none).unwrap();
    assert_eq!(rendered.resource["spec"]["automountServiceAccountToken"], false);
    without_rights(rendered.resource)
}

/// The values of main's records in the order of the parts, and the containers that any are of.
async fn stored(store: &S3Target) -> (Vec<String>, Vec<String>) {
    let parts = objects(store, &format!("{RUN}/plxlogs")).await;
    let text: String = parts.into_values().map(|part| String::from_utf8(part).unwrap()).collect();
    let (mut values, mut containers) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        let record: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| record[key].as_str().unwrap().to_owned();
        assert!(text("timestamp").starts_with("20") && !text("node").is_empty(), "{record}");
        values.push(text("value"));
        containers.push(text("container"));
    }
    containers.dedup();
    (values, containers)
}

/// Waits until a line is the last in the store.
async fn has(store: &S3Target, line: &str) {
    let mut looks = interval(Duration::from_millis(300));
    let look = async {
        while stored(store).await.0.last().is_none_or(|last| last != line) {
            looks.tick().await;
        }
    };
    timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("no {line} in {PATIENCE:?} while main runs"));
}

#[tokio::test]
async fn a_pod_that_may_not_ask_its_cluster_leaves_its_outputs_and_every_line_and_ends() {
    let world = World::new().await;
    let store = world.bucket("plx-artifacts");
    let pod = Pod::start(&rendered(&world, &lines())).await;
    has(&store, "line 1999").await;
    // Where docker is ours.
    let killed = variable("PLX_E2E_CLUSTER") == "bare";
    if killed {
        let label = "label=io.kubernetes.container.name=polyaxon-sidecar";
        let found = Command::new("docker").args(["ps", "-q", "--filter", label]).output().await.unwrap();
        let id = String::from_utf8(found.stdout).unwrap();
        let status = Command::new("docker").args(["kill", "--signal", "KILL", id.trim()]).status().await;
        assert!(status.unwrap().success());
    }
    std::fs::write(world.folder.path().join("go"), "").unwrap();
    let ended = pod.succeeds().await;
    let statuses = ended.pod["status"]["containerStatuses"].as_array().unwrap();
    let restarts: Vec<_> = statuses.iter().map(|status| status["restartCount"].as_u64().unwrap()).collect();
    assert_eq!(restarts, [1, u64::from(killed)], "main and the sidecar");
    assert!(ended.pod["spec"]["volumes"].as_array().unwrap().iter().all(|one| one["projected"].is_null()));

    let (values, containers) = stored(&store).await;
    let lines = |from: u32, to: u32| (from..=to).map(|i| format!("line {i}")).chain(["no end".to_owned()]);
    let wanted: Vec<String> = lines(1, FIRST).chain(lines(FIRST + 1, ALL)).collect();
    assert!(values == wanted, "{} of {}, {:?}", values.len(), wanted.len(), values.last());
    assert_eq!(containers, ["polyaxon-main"]);
    complete(&objects(&store, &format!("{RUN}/outputs")).await);
    let report = ended.report("polyaxon-sidecar");
    assert_eq!(
        report["main"], "main ended with 0 (marker in /plx-context/artifacts/.plx-main)",
        "{report:#}"
    );
    assert!(ended.log("polyaxon-main").ends_with("line 6000\nno end"), "kubectl logs works as before");
    assert!(!ended.log("polyaxon-sidecar").contains("Kubernetes"), "{}", ended.log("polyaxon-sidecar"));
    pod.delete(1).await;
}
