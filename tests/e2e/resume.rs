//! A run that is started again.

use crate::kubectl::Pod;
use crate::plumbing::{Place, STORE_ON_S3, pod};
use crate::world::{RUN, SPEC, World, complete, objects, sha256};
use plx_testkit::S3Target;
use serde_json::Value;
use std::collections::BTreeMap;

const MAIN: &str = "polyaxon-main";

fn fixture(world: &World) -> Value {
    let places = [Place { from: "http://polyaxon-api:80", to: &world.platform.url() }];
    pod(STORE_ON_S3, &places)
}

async fn outputs(store: &S3Target) -> BTreeMap<String, Vec<u8>> {
    let mut outputs = objects(store, &format!("{RUN}/outputs")).await;
    outputs.remove(SPEC);
    outputs
}

/// What a start must send: its own files, and the manifest, which it changed.
fn new(outputs: &BTreeMap<String, Vec<u8>>, attempt: u32) -> Vec<String> {
    let own = |name: &&String| name.starts_with(&format!("attempts/{attempt}/")) || *name == "manifest";
    outputs.keys().filter(own).map(|name| name.replace(' ', "%20")).collect()
}

#[tokio::test]
async fn a_second_pod_of_a_run_starts_with_its_outputs_and_sends_only_what_is_new() {
    let world = World::new().await;
    let store = world.bucket("plx-artifacts");
    let first = Pod::start(&fixture(&world)).await;
    first.succeeds().await.report("polyaxon-sidecar");
    let after_first = outputs(&store).await;
    assert!(!complete(&after_first).keys().any(|path| path.contains(RUN)), "nothing was there to resume");
    assert_eq!(world.sent(), new(&after_first, 1));
    first.delete(30).await;

    world.s3_front.forget_requests();
    let second = Pod::start(&fixture(&world)).await;
    second.succeeds().await.report("polyaxon-sidecar");
    let after_second = outputs(&store).await;
    let found = complete(&after_second);
    for (name, bytes) in &after_first {
        let path = format!("/plx-context/artifacts/{RUN}/outputs/{name}");
        assert_eq!(found.get(&path), Some(&sha256(bytes)), "{name} was there when it started");
    }
    assert_eq!(world.sent(), new(&after_second, 2));
    // The pods had one name: neither one's log took the other's place.
    let logs = objects(&store, &format!("{RUN}/plxlogs")).await;
    let lines = logs.values().flat_map(|part| std::str::from_utf8(part).unwrap().lines());
    let of_main = lines.filter(|line| line.contains(r#""container":"polyaxon-main""#)).count();
    assert_eq!(of_main, 2, "a line of each start: {:?}", logs.keys());
}

#[tokio::test]
async fn a_pod_that_is_deleted_in_the_midst_loses_nothing_and_the_next_one_goes_on() {
    let world = World::new().await;
    let store = world.bucket("plx-artifacts");
    let mut spec = fixture(&world);
    let main = spec["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .find(|one| one["name"] == MAIN)
        .unwrap();
    // Main saves what it has when it is told to end, as trainings do.
    main["command"][2] = format!(
        "trap 'echo late >/plx-context/artifacts/{RUN}/outputs/late; manifest; exit 0' TERM; while :; do busybox sleep 0.1; done"
    )
    .into();
    let first = Pod::start(&spec).await;
    let running = |pod: Option<&Value>| {
        let statuses = pod.and_then(|pod| pod["status"]["containerStatuses"].as_array());
        statuses.is_some_and(|all| all.iter().all(|status| status["state"]["running"].is_object()))
    };
    first.until("running", running).await;
    // A pass has begun: the interval of the fixture is ten seconds.
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(500));
    while outputs(&store).await.is_empty() {
        looks.tick().await;
    }
    // Less than the pod has by itself: the sidecar learns of it from the pod.
    first.delete(12).await;
    let after_first = outputs(&store).await;
    complete(&after_first);
    assert_eq!(after_first["late"], b"late\n", "written after SIGTERM");

    world.s3_front.forget_requests();
    let second = Pod::start(&fixture(&world)).await;
    second.succeeds().await;
    let after_second = outputs(&store).await;
    complete(&after_second);
    assert_eq!(world.sent(), new(&after_second, 2));
}
