//! Two pods of one run at the same time, as an operator makes them: both write a file of one name, and the second begins with
//! what the first has stored so far.

use super::LOOK;
use super::scene::{MAIN, SIDECAR, Scene};
use crate::kubectl::Pod;
use crate::world::{RUN, objects};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use tokio::time::interval;

const FIRST: &str = "echo a >model; say; until [ -e /told/again ]; do busybox sleep 0.1; done; echo a-second >model; hold; say";
const SECOND: &str = "[ -e model ] && echo b >model; echo b >of-b; say; hold; say";

#[tokio::test]
async fn two_pods_of_one_run_keep_what_each_stored() {
    let mut scene = Scene::of(9, "replicas", FIRST).await;
    let run = format!("{}9", &RUN[..RUN.len() - 1]);
    let name = scene.spec["metadata"]["name"].as_str().unwrap().to_owned();
    let pods = ["master-0", "worker-0"].map(|replica| format!("{name}-{replica}"));
    let second = scene.container(MAIN)["command"][2].as_str().unwrap().replace(FIRST, SECOND);
    let mut specs = [scene.spec.clone(), scene.spec.clone()];
    for (spec, pod) in specs.iter_mut().zip(&pods) {
        spec["metadata"]["name"] = pod.as_str().into();
    }
    let containers = specs[1]["spec"]["containers"].as_array_mut().unwrap();
    let main = containers.iter_mut().find(|one| one["name"] == MAIN).unwrap();
    main["command"][2] = second.into();

    let store = scene.world.bucket("plx-artifacts");
    let stored = async || objects(&store, &run).await;
    let until = async |key: &str, content: &str| {
        let mut looks = interval(LOOK);
        while stored().await.get(key).map(Vec::as_slice) != Some(content.as_bytes()) {
            looks.tick().await;
        }
    };
    let aside = format!("replicas/{}/outputs/model", pods[1]);
    let tell = |name: &str| fs::write(scene.world.folder.path().join("told").join(name), "").unwrap();

    let first = Pod::start(&specs[0]).await;
    until("outputs/model", "a\n").await;
    let second = Pod::start(&specs[1]).await;
    until(&aside, "b\n").await;
    tell("again");
    until("outputs/model", "a-second\n").await;
    tell("go");
    let ended = [second.ends("Succeeded").await, first.ends("Succeeded").await];
    let reports = ended.map(|ended| ended.report(SIDECAR));
    assert_eq!(reports[0]["class"], "done", "{reports:#?}");
    // The file, and what both collect of what main uses.
    assert!(reports[0]["aside"].as_u64() >= Some(1), "{reports:#?}");
    assert_eq!((&reports[1]["class"], reports[1].get("aside")), (&json!("done"), None), "{reports:#?}");

    let mut stored: BTreeMap<String, Vec<u8>> = stored().await;
    let spec = String::from_utf8(stored.remove("outputs/spec.json").unwrap()).unwrap();
    for pod in &pods {
        assert!(spec.contains(pod), "{pod} in {spec}");
        assert!(stored.remove(&format!("plxlogs/{pod}.jsonl")).is_some(), "{pod}: {:?}", stored.keys());
    }
    // The rest is what this image's main writes at its start.
    stored.retain(|key, _| key.ends_with("/model") || key.ends_with("/of-b"));
    let wanted = [("outputs/model", "a-second\n"), ("outputs/of-b", "b\n"), (&aside, "b\n")];
    assert_eq!(stored, wanted.map(|(key, content)| (key.to_owned(), content.into())).into());
}
