//! Pods of the fixtures, run as the converter wrote them; and the sample that the images come with.

use crate::kubectl::{Pod, kubectl};
use crate::plumbing::{Place, here};
use crate::world::{RUN, World, complete, files, inputs, lines_of, objects, put, sha256};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

const ART: &str = "/plx-context/artifacts";

/// Paths and contents, as main finds them.
fn found(expected: &[(&str, &str)]) -> BTreeMap<String, String> {
    expected.iter().map(|(path, content)| ((*path).to_owned(), sha256(content.as_bytes()))).collect()
}

#[tokio::test]
async fn files_of_a_bucket_come_by_the_store_script() {
    let world = World::numbered("bucket-script", 32).await;
    let store = world.bucket("plx-artifacts");
    let objects_there =
        [("data1", "one"), ("data1-other", "no"), ("path/to/data2", "two"), ("path/to/no", "no")];
    put(&world.bucket("datasets"), &objects_there).await;
    let pod = Pod::start(&world.pod("init-artifacts-s3-files-path", &[])).await;
    let ended = pod.succeeds().await;
    let seen = complete(&objects(&store, &format!("{}/outputs", world.run)).await);
    assert_eq!(inputs(seen), found(&[("/s3-path/data1", "one"), ("/s3-path/path/to/data2", "two")]));
    assert!(ended.log("polyaxon-init-auth").contains("Auth context initialized."), "{:?}", ended.logs);
    assert_eq!(ended.log("polyaxon-main"), "main\n");
}

#[tokio::test]
async fn files_and_folders_of_a_volume_come_by_the_store_script() {
    let world = World::numbered("volume-script", 33).await;
    let store = world.bucket("plx-artifacts");
    let volume = world.claim("data-2-pvc").await;
    for name in
        ["a.txt", "no.txt", "sub/b.txt", "sub/no.txt", "d1/x", "d1/deep/y", "d1/.hidden", "d2/d3/z", "d2/no"]
    {
        let path = volume.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    let pod = Pod::start(&world.pod("init-artifacts-pvc-files-and-dirs", &[])).await;
    pod.succeeds().await;
    let seen = complete(&objects(&store, &format!("{}/outputs", world.run)).await);
    let wanted = ["a.txt", "sub/b.txt", "d1/x", "d1/deep/y", "d1/.hidden", "d2/d3/z"];
    let wanted = wanted.map(|name| (format!("{ART}/data-pvc/{name}"), sha256(name.as_bytes())));
    assert_eq!(inputs(seen), wanted.into());
}

#[tokio::test]
async fn outputs_go_to_a_store_on_the_host() {
    let world = World::numbered("host-store", 34).await;
    let store = world.folder.path().join("outputs");
    fs::create_dir(&store).unwrap();
    let places = [Place { from: "/path/to/outputs", to: store.to_str().unwrap() }];
    let pod = Pod::start(&world.pod("store-host-defaults", &places)).await;
    pod.succeeds().await;
    let seen = complete(&files(&store.join(&world.run).join("outputs")));
    assert_eq!(inputs(seen), BTreeMap::new());
}

#[tokio::test]
async fn the_whole_seed_buckets_git_dockerfile_file_and_a_container_of_the_users() {
    let world = World::numbered("seed", 35).await;
    let (store, datasets) = (world.bucket("plx-artifacts"), world.bucket("datasets"));
    put(
        &store,
        &[
            ("path/on/the/default/artifacts/store/deep/f", "f"),
            ("path/on/the/default/artifacts/store-2/no", ""),
        ],
    )
    .await;
    put(&datasets, &[("data1", "one"), ("path/to/data2", "two")]).await;
    world.gcs.create_bucket("datasets-bucket").unwrap();
    let google = world.gcs.data_dir().join("datasets-bucket");
    fs::create_dir_all(google.join("data/sub")).unwrap();
    fs::write(google.join("data/sub/g"), "g").unwrap();
    let [_repo1, repo2, _part] = world.repositories();
    let places = [
        Place { from: "https://github.com/org/repo1", to: &world.git[0].url("org/repo1") },
        Place { from: "https://github.com/org/repo2", to: &world.git[1].url("org/repo2") },
    ];
    let pod = Pod::start(&world.pod("init-seed-003-full", &places)).await;
    let ended = pod.succeeds().await;
    let outputs = objects(&store, &format!("{}/outputs", world.run)).await;
    let mut seen = inputs(complete(&outputs));
    let dockerfile = String::from_utf8(outputs["Dockerfile"].clone()).unwrap();
    assert!(dockerfile.lines().any(|line| line == "FROM test"), "{dockerfile}");
    let art = |name: &str| format!("{ART}/{name}");
    let wanted = [
        (art("path/on/the/default/artifacts/store/deep/f"), "f"),
        (art("gcs-large-datasets/data/sub/g"), "g"),
        ("/s3-path/data1".to_owned(), "one"),
        ("/s3-path/path/to/data2".to_owned(), "two"),
        (art("repo1/README"), "repo1"),
        (art("repo2/train.py"), "print('branch2')"),
        (art("repo2/part/part.txt"), "part"),
        (art("Dockerfile"), &dockerfile),
        (art(&format!("{}/outputs/Dockerfile", world.run)), &dockerfile),
        (art("script.sh"), "echo test\n"),
        (art(&format!("{}/outputs/script.sh", world.run)), "echo test\n"),
    ];
    let wanted: BTreeMap<String, String> =
        wanted.into_iter().map(|(path, content)| (path, sha256(content.as_bytes()))).collect();
    // Git's own notes of a submodule.
    seen.retain(|path, _| ![art("repo2/.gitmodules"), art("repo2/part/.git")].contains(path));
    assert_eq!(seen, wanted);
    assert_eq!(ended.log("myapp-container"), "custom init container\n");
    // The platform has the references.
    let code = world.lineage(&repo2.git(&["rev-parse", "branch2"])).await;
    assert_eq!(code.kind.as_deref(), Some("coderef"));
    assert_eq!(world.lineage("script-sh").await.path.as_deref(), Some("outputs/script.sh"));
}

#[tokio::test]
async fn a_dockerfile_and_the_sidecar() {
    let world = World::numbered("dockerfile", 36).await;
    let store = world.bucket("plx-artifacts");
    let pod = Pod::start(&world.pod("init-dockerfile", &[])).await;
    let ended = pod.succeeds().await;
    let outputs = objects(&store, &format!("{}/outputs", world.run)).await;
    complete(&outputs);
    let dockerfile = String::from_utf8_lossy(&outputs["Dockerfile"]);
    assert!(dockerfile.lines().any(|line| line == "RUN pip install package1"), "{dockerfile}");
    assert_eq!(world.lineage("Dockerfile").await.kind.as_deref(), Some("dockerfile"));
    assert_eq!(ended.report("polyaxon-sidecar")["code"], 0);
    let spec: Value = serde_json::from_slice(&outputs["spec.json"]).unwrap();
    let main =
        |status: &Value| status["name"] == "polyaxon-main" && status["state"]["terminated"]["exitCode"] == 0;
    let pods = spec["pods"].as_object().unwrap();
    let statuses = pods.values().filter_map(|pod| pod["status"]["containerStatuses"].as_array()).flatten();
    assert_eq!((pods.len(), statuses.filter(|status| main(status)).count()), (1, 1), "{spec:#}");
    let events = pods.values().filter_map(|pod| pod["events"].as_array()).flatten();
    assert!(events.into_iter().any(|event| event["reason"] == "Started"), "{spec:#}");

    // What Polyaxon's UI shows of it: the log of each container, and the metric.
    let logs = objects(&store, &format!("{}/plxlogs", world.run)).await;
    let said = |container: &str| lines_of(&logs, container);
    assert_eq!(said("polyaxon-main"), ["main"]);
    assert_eq!(said("polyaxon-init-auth"), ["Auth context initialized."]);
    let of_sidecar = said("polyaxon-sidecar");
    assert!(of_sidecar.iter().any(|line| line.contains("polyaxon-main terminated")), "{of_sidecar:#?}");
    assert_eq!(world.lineage("loss").await.path.as_deref(), Some("events/metric/loss.plx"));
}

#[tokio::test]
async fn the_sample_pod_of_the_images() {
    let world = World::new().await;
    let store = world.folder.path().join("outputs");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../images/pods/plain.yaml");
    let json = kubectl(&["create", "--dry-run=client", "-o", "json", "-f", sample], None).await;
    let text = json.unwrap().replace("/path/to/outputs", store.to_str().unwrap());
    let pod = Pod::start(&here(serde_json::from_str(&text).unwrap())).await;
    let ended = pod.succeeds().await;
    let outputs = files(&store.join(RUN).join("outputs"));
    assert_eq!(outputs.keys().collect::<Vec<_>>(), ["model", "script.sh", "spec.json"]);
    assert_eq!(ended.log("polyaxon-main"), "test\n", "its script came by init");
}
