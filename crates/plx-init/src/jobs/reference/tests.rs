use super::*;
use plx_contract::{Class, Classified};
use plx_testkit::{FakeTracking, loopback};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// The run that asks, and the one that made things.
const R: &str = "8aac02e3a62a4f0aaa257c59da5eab80";
const U: &str = "e74ee6ec70d2453488c9e03e14f41a5c";

/// A pod with a mounted artifacts store, and an API.
struct Lab {
    api: FakeTracking,
    folder: TempDir,
    env: BTreeMap<String, String>,
}

impl Lab {
    async fn new() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let (api, folder) = (FakeTracking::start().await, tempfile::tempdir().unwrap());
        let mount = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            json!({ "name": name, "kind": "volume_claim", "schema": { "volumeClaim": "c", "mountPath": path } })
        };
        let catalog = json!({ "connections": [mount("store"), mount("other")] });
        let env = [
            ("POLYAXON_CONTEXT_ROOT", folder.path().join("context").display().to_string()),
            ("POLYAXON_CONNECTIONS_CATALOG", catalog.to_string()),
            ("POLYAXON_ARTIFACTS_STORE_NAME", "store".to_owned()),
            ("POLYAXON_HOST", api.url()),
            ("POLYAXON_RETRIES", "0".to_owned()),
            ("POLYAXON_AUTH_TOKEN", "hunter2".to_owned()),
            ("POLYAXON_RUN_INSTANCE", format!("org.proj.runs.{R}")),
            ("HOME", folder.path().display().to_string()),
        ];
        let env = env.map(|(key, value)| (key.to_owned(), value)).into();
        Self { api, folder, env }
    }

    fn set(&mut self, key: &str, value: &str) {
        self.env.insert(key.to_owned(), value.to_owned());
    }

    fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn put_json(&self, path: &str, content: &Value) {
        self.put(path, content.to_string());
    }

    /// What is below the artifacts root, or another folder of the lab.
    fn have(&self, below: &str) -> Vec<String> {
        fn walk(folder: &Path, root: &Path, all: &mut Vec<String>) {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, root, all);
                } else {
                    all.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        let (root, mut all) = (self.folder.path().join(below), Vec::new());
        walk(&root, &root, &mut all);
        all.sort();
        all
    }

    async fn run(&self, args: RefArgs) -> Result<Report, RefError> {
        super::run(&args, &self.env, &Stop::new()).await
    }
}

const ART: &str = "context/artifacts";

fn none() -> RefArgs {
    RefArgs {
        lineage_ref: None,
        model_ref: None,
        artifact_ref: None,
        connection: None,
        to: None,
        common: CommonArgs::default(),
    }
}

fn lineage(raw: &str) -> RefArgs {
    RefArgs { lineage_ref: Some(raw.to_owned()), ..none() }
}

fn model(raw: &str) -> RefArgs {
    RefArgs { model_ref: Some(raw.to_owned()), ..none() }
}

fn artifact(raw: &str) -> RefArgs {
    RefArgs { artifact_ref: Some(raw.to_owned()), ..none() }
}

/// As haupt answers it, and the client persists it.
fn version(name: &str, lineage: Value) -> Value {
    json!({
        "name": name, "owner": "org", "project": "proj", "run": U, "artifacts": ["model"],
        "meta_info": { "run": { "project": "proj", "name": "trainer", "uuid": U }, "lineage": lineage },
    })
}

fn recorded(name: &str, path: &str) -> Value {
    json!({ "name": name, "kind": "model", "path": path, "summary": {}, "is_input": false, "state": U })
}

#[tokio::test]
async fn an_artifact_of_a_run_by_the_api() {
    let lab = Lab::new().await;
    lab.put(&format!("store/{U}/outputs/model/a.bin"), "a");
    lab.put(&format!("store/{U}/outputs/model-2/no.bin"), "no");
    lab.api.add_artifact(U, recorded("model", "outputs/model"));
    lab.run(lineage(&format!("{U}:model"))).await.unwrap();
    assert_eq!(lab.have(ART), [format!("{U}/outputs/model/a.bin")]);
    let calls = lab.api.calls();
    assert_eq!(calls[0].path, format!("/api/v1/org/proj/runs/{U}/lineage/artifacts"));
    assert_eq!(calls[0].query, "limit=20&query=name%3Amodel");
    assert_eq!(calls[0].header("authorization"), Some("Token hunter2"));
}

#[tokio::test]
async fn versions_by_the_api_and_a_bare_one_is_of_the_own_project() {
    let lab = Lab::new().await;
    lab.put(&format!("store/{U}/outputs/model"), "a file");
    lab.put(&format!("store/{U}/outputs/data.csv"), "1,2");
    let with_uuid = recorded("model", &format!("{U}/outputs/model"));
    lab.api.add_version("org", "proj", "model", "v1.0", version("v1.0", json!([with_uuid])));
    lab.api.add_version(
        "org2",
        "p2",
        "artifact",
        "latest",
        version("latest", json!([recorded("d", "outputs/data.csv")])),
    );
    lab.run(model("v1.0")).await.unwrap();
    assert_eq!(lab.have(ART), [format!("{U}/outputs/model")]);
    lab.run(artifact("org2/p2")).await.unwrap();
    assert_eq!(lab.have(ART), [format!("{U}/outputs/data.csv"), format!("{U}/outputs/model")]);
    let error = lab.run(model("org2/p2:v1.0")).await.unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
    let text = error.to_string();
    for word in ["model version `v1.0` of org2/p2", "/api/v1/org2/p2/versions/model/v1.0", "HTTP 404"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[tokio::test]
async fn the_versions_connection_or_the_one_that_is_asked_for_and_any_target() {
    let lab = Lab::new().await;
    for store in ["store", "other"] {
        lab.put(&format!("{store}/{U}/outputs/model"), store);
    }
    let mut there = version("v1", json!([recorded("model", "outputs/model")]));
    there["meta_info"]["connection"] = json!({ "uuid": U, "name": "agent/other" });
    lab.api.add_version("org", "proj", "model", "v1", there);
    lab.run(model("v1")).await.unwrap();
    assert_eq!(lab.have(ART), [format!("other/{U}/outputs/model")]);

    let to = lab.folder.path().join("to");
    let args = RefArgs { connection: Some("store".to_owned()), to: Some(to.clone()), ..model("v1") };
    lab.run(args).await.unwrap();
    assert_eq!(fs::read_to_string(to.join(format!("{U}/outputs/model"))).unwrap(), "store");
}

#[tokio::test]
async fn an_api_that_only_names_the_artifacts_is_asked_for_their_paths() {
    let lab = Lab::new().await;
    lab.put(&format!("store/{U}/outputs/model"), "m");
    lab.api.add_artifact(U, recorded("model", "outputs/model"));
    let named = json!({ "name": "v1", "run": U, "artifacts": ["model"], "meta_info": { "run": { "uuid": U, "project": "elsewhere" } } });
    lab.api.add_version("org", "proj", "model", "v1", named);
    lab.run(model("v1")).await.unwrap();
    assert_eq!(lab.have(ART), [format!("{U}/outputs/model")]);
    assert!(lab.api.calls()[1].path.starts_with("/api/v1/org/elsewhere/runs/"));
}

#[tokio::test]
async fn offline_the_runs_own_file_is_read() {
    let mut lab = Lab::new().await;
    lab.set("POLYAXON_NO_API", "true");
    lab.put(&format!("store/{U}/outputs/model/a.bin"), "a");
    lab.put_json(
        &format!("store/{U}/lineages.plx.json"),
        &json!([recorded("x", "y"), recorded("model", "outputs/model")]),
    );
    lab.run(lineage(&format!("{U}:model"))).await.unwrap();
    assert_eq!(lab.have(ART), [format!("{U}/outputs/model/a.bin")]);
    assert!(!lab.folder.path().join(ART).join(".plx").exists(), "what was read to resolve is left behind");
    assert_eq!(lab.api.calls(), []);

    let error = lab.run(lineage(&format!("{U}:none"))).await.unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
    let text = error.to_string();
    for word in [
        "POLYAXON_NO_API",
        &*format!("/store/{U}/lineages.plx.json: has no `none`"),
        &*format!("/store/runs/{U}/lineages.plx.json: not there"),
        &*format!("artifact `none` of run {U}"),
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[tokio::test]
async fn a_run_in_the_layout_of_the_offline_root_arrives_at_the_same_place() {
    let mut lab = Lab::new().await;
    lab.set("POLYAXON_IS_OFFLINE", "true");
    lab.put(&format!("store/runs/{U}/outputs/model/a.bin"), "a");
    lab.put_json(&format!("store/runs/{U}/lineages.plx.json"), &json!([recorded("model", "outputs/model")]));
    lab.run(lineage(&format!("{U}:model"))).await.unwrap();
    assert_eq!(lab.have(ART), [format!("{U}/outputs/model/a.bin")]);
}

#[tokio::test]
async fn versions_offline_and_only_of_the_project_that_is_asked_for() {
    let mut lab = Lab::new().await;
    lab.set("POLYAXON_NO_API", "true");
    lab.put(&format!("store/{U}/outputs/model"), "m");
    let model_json = version("v1", json!([recorded("model", "outputs/model")]));
    lab.put_json("store/models/v1/version.plx.json", &model_json);
    lab.run(model("v1")).await.unwrap();
    lab.run(model("org/proj:v1")).await.unwrap();
    assert_eq!(lab.have(ART), [format!("{U}/outputs/model")]);
    let error = lab.run(model("another:v1")).await.unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
    assert!(error.to_string().contains("is a version of org/proj"), "{error}");
    let error = lab.run(artifact("v1")).await.unwrap_err();
    assert!(error.to_string().contains("/store/artifacts/v1/version.plx.json: not there"), "{error}");

    // Only names in the version's file: their paths are in the run's.
    let mut names = model_json;
    names["meta_info"] = json!({ "run": { "uuid": U } });
    lab.put_json("store/models/v2/version.plx.json", &names);
    lab.put_json(&format!("store/{U}/lineages.plx.json"), &json!([recorded("model", "outputs/model")]));
    lab.run(model("v2")).await.unwrap();
}

#[tokio::test]
async fn an_api_that_is_away_leaves_it_to_the_store_and_is_in_the_error() {
    let mut lab = Lab::new().await;
    let host = format!("http://127.0.0.1:{}", loopback::free_port());
    lab.set("POLYAXON_HOST", &host);
    let error = lab.run(lineage(&format!("{U}:model"))).await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable, "the API may know it");
    assert!(error.to_string().contains(&host) && error.to_string().contains("lineages.plx.json"), "{error}");
    lab.put(&format!("store/{U}/outputs/model"), "m");
    lab.put_json(&format!("store/{U}/lineages.plx.json"), &json!([recorded("model", "outputs/model")]));
    lab.run(lineage(&format!("{U}:model"))).await.unwrap();
    assert_eq!(lab.have(ART), [format!("{U}/outputs/model")]);
}

#[tokio::test]
async fn an_answer_is_final_and_never_overruled_by_a_file() {
    let lab = Lab::new().await;
    lab.put(&format!("store/{U}/outputs/model"), "m");
    lab.put_json(&format!("store/{U}/lineages.plx.json"), &json!([recorded("model", "outputs/model")]));
    let error = lab.run(lineage(&format!("{U}:model"))).await.unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
    assert!(error.to_string().contains(&format!("the lineage of org/proj/{U} has no `model`")), "{error}");
    lab.api.fail("/artifacts", 403, 1);
    let error = lab.run(lineage(&format!("{U}:model"))).await.unwrap_err();
    assert_eq!(error.class(), Class::Denied);
    lab.api.fail("/artifacts", 502, 1);
    lab.run(lineage(&format!("{U}:model"))).await.unwrap();
    assert_eq!(lab.have(ART), [format!("{U}/outputs/model")]);
}

#[tokio::test]
async fn what_stands_for_nothing_is_an_error_that_says_so() {
    let mut lab = Lab::new().await;
    let bare = json!({ "name": "v1", "run": null, "artifacts": [], "meta_info": {} });
    lab.api.add_version("org", "proj", "model", "bare", bare);
    lab.api.add_version("org", "proj", "model", "empty", version("empty", json!([])).clone());
    lab.api.add_artifact(U, json!({ "name": "loss", "kind": "metric", "path": null }));
    lab.api.add_artifact(U, recorded("far", "s3://elsewhere/x"));
    lab.api.add_artifact(U, recorded("evil", "../../etc/passwd"));
    lab.api.add_artifact(U, recorded("gone", "outputs/gone"));
    for (args, class, word) in [
        (model("bare"), Class::NotFound, "it belongs to no run"),
        (lineage(&format!("{U}:loss")), Class::NotFound, "a value without a path"),
        (lineage(&format!("{U}:far")), Class::Integrity, "s3://elsewhere/x"),
        (lineage(&format!("{U}:evil")), Class::Integrity, "`..`"),
        (lineage(&format!("{U}:gone")), Class::NotFound, "outputs/gone"),
        (RefArgs { connection: Some("zz".to_owned()), ..lineage(&format!("{U}:gone")) }, Class::Config, "zz"),
        (none(), Class::Usage, "exactly one"),
        (model("a:b:c"), Class::Usage, "a:b:c"),
    ] {
        let error = lab.run(args).await.unwrap_err();
        let text = plx_runtime::Failure::from(error);
        assert!(text.message.contains(word), "{word}: {}", text.message);
        assert_eq!(text.class, class, "{word}");
        assert!(!format!("{text:?}").contains("hunter2"));
    }
    assert!(lab.have(ART).is_empty());

    lab.env.remove("POLYAXON_RUN_INSTANCE");
    let error = lab.run(model("v1")).await.unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
    assert!(error.to_string().contains("POLYAXON_RUN_INSTANCE is not set"), "{error}");
    lab.set("POLYAXON_NO_API", "true");
    lab.put("store/models/v1/version.plx.json", "{\"run\": ");
    let error = lab.run(model("v1")).await.unwrap_err();
    assert_eq!(error.class(), Class::Integrity);
    assert!(error.to_string().contains("version.plx.json"), "{error}");
}
