//! As small as the pods' requests: 60 MiB and a tenth of a core are what the converter asks for.

use crate::kubectl::Pod;
use crate::plumbing::{Place, STORE_ON_S3, pod};
use crate::world::{RUN, World, complete, objects};
use serde_json::json;

#[tokio::test]
async fn init_and_sidecar_live_inside_what_they_request() {
    let world = World::new().await;
    let store = world.bucket("plx-artifacts");
    let mut spec = pod(STORE_ON_S3, &[Place { from: "http://polyaxon-api:80", to: &world.platform.url() }]);
    for list in ["initContainers", "containers"] {
        for container in spec["spec"][list].as_array_mut().unwrap() {
            if container["resources"].is_object() {
                container["resources"]["limits"]["memory"] = "60Mi".into();
            }
            if container["name"] == "polyaxon-main" {
                let env = container["env"].as_array_mut().unwrap();
                env.push(json!({ "name": "E2E_BYTES", "value": "104857600" }));
                env.push(json!({ "name": "E2E_FILES", "value": "1000" }));
            }
        }
    }
    // The second one fetches what the first one sent, and sends as much again.
    for attempt in 1..=2 {
        let running = Pod::start(&spec).await;
        let report = running.succeeds().await.report("polyaxon-sidecar");
        assert!(report["bytes"].as_u64().unwrap() > 104_857_600, "{report:#}");
        let outputs = objects(&store, &format!("{RUN}/outputs")).await;
        complete(&outputs);
        assert!(outputs.contains_key(&format!("attempts/{attempt}/checkpoint")));
        running.delete(30).await;
    }
}
