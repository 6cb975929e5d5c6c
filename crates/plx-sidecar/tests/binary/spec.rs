//! `outputs/spec.json`, from a cluster that refuses, fails and changes, to a store that is a folder.

use crate::kubernetes::{OFTEN, POD, World, within};
use crate::pod::{RUN, Sidecar};
use plx_testkit::{FakeKube, KubeFault, Planted, Times};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tokio::time::interval;

const SPEC: &str = "outputs/spec.json";
const ARGS: [&str; 3] = ["--monitor-spec", OFTEN[0], OFTEN[1]];
const PODS: &str = "list pods";

async fn pod(kind: &str) -> World {
    let world = World::new("Never").await;
    world.kube.belongs_to(POD, RUN, kind);
    world
}

fn spec(world: &World) -> Value {
    serde_json::from_str(&fs::read_to_string(world.stored(SPEC)).unwrap_or_default()).unwrap_or_default()
}

/// Waits until the store has a spec that is so.
async fn stored(world: &World, sidecar: &mut Sidecar, what: &str, fits: impl Fn(&Value) -> bool) {
    let look = async {
        let mut looks = interval(Duration::from_millis(20));
        while !fits(&spec(world)) {
            looks.tick().await;
            assert!(sidecar.is_running(), "it ended while main runs");
        }
    };
    within(what, look).await;
}

#[tokio::test]
async fn r13_it_has_the_pods_of_the_run_their_events_and_mains_end_and_no_secret() {
    let world = pod("job").await;
    let secret = format!("plain-secret-{:016x}", 0x00c0_ffee_u64);
    Planted::here().plant(&secret);
    world.kube.change_pod(POD, |pod| {
        let env = json!([
            {"name": "DB_PASSWORD", "value": secret},
            {"name": "POLYAXON_RUN_INSTANCE", "value": format!("owner.project.runs.{RUN}")},
            {"name": "DATABASE", "value": format!("postgres://me:{secret}@db/x")},
            {"name": "PG_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "pg", "key": "PG_PASSWORD"}}},
        ]);
        let applied = json!({"spec": {"containers": [{"env": env}]}}).to_string();
        pod["spec"]["containers"][0]["env"] = env;
        pod["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json!(applied);
    });
    world.kube.start_pod("pod-2", "Never");
    world.kube.belongs_to("pod-2", RUN, "job");
    world.kube.start_pod("of-another-run", "Never");
    world.kube.happened("Pod", POD, "Pulled", "it is there");
    world.kube.happened("Pod", "of-another-run", "Pulled", "it is there");
    let mut sidecar = world.start(&ARGS);
    stored(&world, &mut sidecar, "spec", |spec| spec["pods"][POD].is_object()).await;
    world.kube.main_ended(POD, 7, "Error");
    let ended = world.ends(sidecar, "main ended with 7").await;
    assert!(!ended.stderr.contains("WARN"), "{}", ended.stderr);
    let text = fs::read_to_string(world.stored(SPEC)).unwrap();
    assert!(!text.contains("plain-secret") && text.contains("postgres://[redacted]@db/x"), "{text}");
    assert!(text.starts_with(r#"{"pods":{""#) && !text.contains("\n"), "{text}");
    let spec = spec(&world);
    assert_eq!(spec["pods"].as_object().unwrap().keys().collect::<Vec<_>>(), [POD, "pod-2"]);
    assert_eq!(spec["services"], json!({}));
    let pod = &spec["pods"][POD];
    assert_eq!(
        pod["events"],
        json!([{"reason": "Pulled", "message": "it is there", "first_timestamp": "2026-01-01T00:00:00+00:00",
            "last_timestamp": "2026-01-01T00:00:00+00:00", "count": 1, "type": "Normal"}])
    );
    let env = &pod["spec"]["containers"][0]["env"];
    assert_eq!(
        (&env[0]["value"], &env[3]["valueFrom"]["secretKeyRef"]["key"]),
        (&json!("[redacted]"), &json!("PG_PASSWORD"))
    );
    assert_eq!(env[1]["value"], json!(format!("owner.project.runs.{RUN}")));
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 7);
    assert_eq!(fs::metadata(world.run(SPEC)).unwrap().permissions().mode() & 0o777, 0o644);
    // The reference's own calls.
    let calls = world.kube.calls();
    let asked =
        |resource: &str| calls.iter().filter(|call| call.verb == "list" && call.resource == resource).count();
    // Once more, for who else lives.
    assert!(asked("pods") >= 3 && asked("events") == (asked("pods") - 1) * 2 && asked("services") == 0);
    let list = calls.iter().find(|call| call.verb == "list" && call.resource == "pods").unwrap();
    let wanted = format!("app.kubernetes.io/instance={RUN},app.kubernetes.io/managed-by=polyaxon");
    assert_eq!(list.parameter("labelSelector"), Some(wanted.as_str()));
}

#[tokio::test]
async fn a_run_of_many_pods_and_services_is_read_in_parts() {
    let world = pod("tfjob").await;
    for number in 0..45 {
        let name = format!("worker-{number:02}");
        world.kube.start_pod(&name, "Never");
        world.kube.belongs_to(&name, RUN, "tfjob");
    }
    world.kube.start_service("service-1", RUN);
    world.kube.happened("Service", "service-1", "Made", "it is there");
    world.kube.main_ended(POD, 0, "Completed");
    let sidecar = world.start(&["--monitor-spec", "--sync-interval=-1"]);
    world.ends(sidecar, "main ended with 0").await;
    let spec = spec(&world);
    assert_eq!(spec["pods"].as_object().unwrap().len(), 46);
    assert_eq!(spec["services"]["service-1"]["events"][0]["reason"], "Made");
    assert_eq!(spec["services"]["service-1"]["spec"]["type"], "ClusterIP");
}

#[tokio::test]
async fn what_may_not_be_listed_is_one_warning_each_and_no_failure() {
    let world = pod("service").await;
    for resource in ["pods", "events", "services"] {
        world.kube.deny("list", resource);
    }
    let sidecar = world.start(&ARGS);
    within("a refusal", world.kube.answered(PODS, 403, 1)).await;
    world.kube.main_ended(POD, 0, "Completed");
    let ended = world.ends(sidecar, "main ended with 0").await;
    let warned: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warned.len(), 1, "{}", ended.stderr);
    assert!(
        warned[0].contains("the spec has no pods") && warned[0].contains("cannot list resource"),
        "{}",
        warned[0]
    );
    assert_eq!(spec(&world), json!({"pods": {}, "services": {}}));
}

#[tokio::test]
async fn an_api_that_breaks_leaves_the_spec_as_it_was() {
    let world = pod("job").await;
    let mut sidecar = world.start(&ARGS);
    stored(&world, &mut sidecar, "spec", |spec| spec["pods"][POD].is_object()).await;
    let before = spec(&world);
    world.kube.fail("list", KubeFault::Reset, Times::Always);
    world.kube.main_ended(POD, 0, "Completed");
    let ended = world.ends(sidecar, "main ended with 0").await;
    assert_eq!(spec(&world), before);
    assert_eq!(ended.stderr.matches("the spec stays as it is").count(), 1, "{}", ended.stderr);
}

#[tokio::test]
async fn without_the_option_nothing_is_listed() {
    let world = pod("job").await;
    world.write("outputs/a");
    let sidecar = world.start(&OFTEN);
    within("a watch", world.kube.answered("watch", 200, 1)).await;
    world.kube.main_ended(POD, 0, "Completed");
    world.ends(sidecar, "main ended with 0").await;
    let lists: Vec<_> = world.kube.calls().into_iter().filter(|call| call.verb == "list").collect();
    assert!(lists.iter().all(|call| call.resource == "pods") && lists.len() <= 1, "{lists:?}");
    assert_eq!(FakeKube::NAMESPACE, world.kube.calls()[0].namespace);
}
