//! Against the real API, `haupt sandbox`: `tests/api/tracking.py` starts it, makes a project with Polyaxon's own
//! client, runs these tests, and reads back with that client what they posted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use clap::Parser;
use plx_contract::lineage::{Artifact, Status};
use plx_contract::run::{RunInstance, RunUuid};
use plx_contract::{Env as _, Layout};
use plx_init::jobs::reference;
use plx_runtime::{DiskFiles, ProcessEnv, Stop};
use plx_track::{Api, Client, Settings, Tracker};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// `{"host","owner","project","run","store"}` of the script.
fn world() -> Value {
    let world = ProcessEnv.get("PLX_REAL_API").expect("tests/api/tracking.py sets PLX_REAL_API");
    serde_json::from_str(&world).unwrap()
}

fn pod(world: &Value, context: &Path) -> BTreeMap<String, String> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let text = |key: &str| world[key].as_str().unwrap();
    let catalog = serde_json::json!({ "connections": [
        { "name": "store", "kind": "volume_claim", "schema": { "volumeClaim": "c", "mountPath": text("store") } },
    ]});
    [
        ("POLYAXON_CONTEXT_ROOT", context.display().to_string()),
        ("HOME", context.display().to_string()),
        ("POLYAXON_HOST", text("host").to_owned()),
        ("POLYAXON_RUN_INSTANCE", format!("{}.{}.runs.{}", text("owner"), text("project"), text("run"))),
        ("POLYAXON_CONNECTIONS_CATALOG", catalog.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn client(env: &BTreeMap<String, String>) -> Client {
    match Settings::read(env, &DiskFiles).unwrap() {
        Api::On(settings) => Client::new(settings).unwrap(),
        Api::Off(by) => panic!("off by {by}"),
    }
}

#[derive(Parser)]
struct Ref {
    #[command(flatten)]
    args: reference::RefArgs,
}

async fn fetch(env: &BTreeMap<String, String>, args: &[&str]) -> Result<(), reference::RefError> {
    let args = Ref::try_parse_from(["ref"].iter().chain(args)).unwrap().args;
    reference::run(&args, env, &Stop::new()).await.map(|_| ())
}

#[tokio::test]
#[ignore = "needs haupt: run tests/api/tracking.py"]
async fn statuses_and_lineage_are_posted() {
    let (world, context) = (world(), tempfile::tempdir().unwrap());
    let env = pod(&world, context.path());
    let tracker = Tracker::start(&env, &DiskFiles);
    let run = tracker.run().expect("an API").clone();
    let layout = Layout::from_env(&env);
    let path = layout.outputs(&run.uuid).join("script.sh");
    tracker
        .status(Status { kind: "warning", reason: "GitInitializer".into(), message: "Größe ≥ 1".into() });
    tracker.artifacts(vec![
        Artifact::written(&layout, &run.uuid, &path, "file", "be6d0c9acf65"),
        Artifact::code("58f03537996f4a47f81dffc8db68cce120643162", "main", "https://h/r", None),
    ]);
    tracker.finish().await;
    let client = client(&env);
    let found = client.artifacts_named(&run, "script-sh").await.unwrap();
    assert_eq!(found[0].path.as_deref(), Some("outputs/script.sh"));
    let nobody = RunInstance { uuid: RunUuid::new("0".repeat(32)).unwrap(), ..run.clone() };
    assert!(client.artifacts_named(&nobody, "x").await.unwrap_err().is_absence());
    let runs = client.runs(&run.owner, &run.project, &[run.uuid.as_str(), &"0".repeat(32)]).await.unwrap();
    assert_eq!((runs.len(), runs[0].name.as_deref()), (1, Some("trainer")));
}

#[tokio::test]
#[ignore = "needs haupt: run tests/api/tracking.py"]
async fn references_made_with_polyaxons_client_are_resolved_with_and_without_the_api() {
    let world = world();
    let run = world["run"].as_str().unwrap();
    for offline in [false, true] {
        let context = tempfile::tempdir().unwrap();
        let mut env = pod(&world, context.path());
        if offline {
            env.insert("POLYAXON_NO_API".to_owned(), "true".to_owned());
        }
        let is = |path: &str| context.path().join("artifacts").join(run).join(path).is_file();
        fetch(&env, &["--lineage-ref", &format!("{run}:model")]).await.unwrap();
        assert!(is("outputs/model/weights.bin") && !is("outputs/data.csv"), "offline: {offline}");
        fetch(&env, &["--artifact-ref", "data-1"]).await.unwrap();
        assert!(is("outputs/data.csv"), "offline: {offline}");
        fs::remove_dir_all(context.path().join("artifacts")).unwrap();
        fetch(&env, &["--model-ref", "default/proj:v1.0"]).await.unwrap();
        assert!(is("outputs/model/weights.bin"), "offline: {offline}");
        for args in [["--model-ref", "none"], ["--lineage-ref", &format!("{run}:none")]] {
            let error = fetch(&env, &args).await.unwrap_err();
            assert_eq!(plx_contract::Classified::class(&error), plx_contract::Class::NotFound, "{error}");
        }
    }
}

/// The community edition has neither impersonation (405) nor users (404): its pods get no such step.
#[tokio::test]
#[ignore = "needs haupt: run tests/api/tracking.py"]
async fn the_community_edition_gives_no_tokens() {
    let (world, context) = (world(), tempfile::tempdir().unwrap());
    let env = pod(&world, context.path());
    let error = client(&env).impersonate(&plx_contract::run::from_env(&env).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("HTTP 405"), "{error}");
}

#[tokio::test]
#[ignore = "needs haupt: run tests/api/tracking.py"]
async fn outputs_are_merged() {
    let context = tempfile::tempdir().unwrap();
    let env = pod(&world(), context.path());
    let run = plx_contract::run::from_env(&env).unwrap();
    let client = client(&env);
    for (name, value) in [("loss", 0.5), ("acc", 0.75), ("loss", 0.25)] {
        let outputs = serde_json::Map::from_iter([(name.to_owned(), value.into())]);
        client.merge_outputs(&run, &outputs).await.unwrap();
    }
}
