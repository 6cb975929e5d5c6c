//! The examples of Polyaxon's documentation, as we render them: `crates/plx-pod/tests/fixtures/documents`, and the table
//! beside them.
//!
//! Pods of this file run at the same time.

use crate::kubectl::{Ended, Pod, namespace};
use crate::plumbing::{Place, elsewhere};
use crate::world::{GIT_PASSWORD, World, complete, files, inputs, lines_of, objects, put, sha256};
use plx_pod::cli::RenderArgs;
use plx_pod::render::{self, Asked, Rendered};
use plx_pod::{deployment, document};
use plx_runtime::Failure;
use plx_testkit::Planted;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/plx-pod/tests/fixtures");

/// A row of the table: a document, its configuration, and how it is shown.
pub struct Row {
    pub document: String,
    pub config: Option<String>,
    shown: String,
}

pub fn table() -> Vec<Row> {
    let text = fs::read_to_string(Path::new(FIXTURES).join("README.md")).unwrap();
    let (_, table) = text.split_once("| document | configuration | shown |").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(|cell| cell.trim()).collect();
        assert_eq!(cells.len(), 3, "{line}");
        let config = Some(cells[1]).filter(|cell| *cell != "–");
        let name = |cell: &str| cell.trim_matches('`').to_owned();
        Row { document: name(cells[0]), config: config.map(name), shown: cells[2].to_owned() }
    });
    rows.collect()
}

/// A document as we render it, with words for the command line. `more` is put at the end of its configuration.
pub fn render(
    document: &str,
    config: Option<&str>,
    places: &[Place<'_>],
    more: &str,
    words: &[&str],
) -> Result<Rendered, Failure> {
    let text = |name: &str| fs::read_to_string(Path::new(FIXTURES).join("documents").join(name)).unwrap();
    let config = config.map_or_else(String::new, text);
    let config = format!("{}\n{more}", elsewhere(&config, places));
    let config = if config.trim().is_empty() { "{}".to_owned() } else { config };
    let asked = Asked::settle(&RenderArgs::from_words(&[&["f.yaml"], words].concat()).unwrap())?;
    let deployment = deployment::parse("c.yaml", &config)?;
    render::render(
        &document::parse("f.yaml", &text(document))?,
        &deployment,
        &asked,
        &BTreeMap::<String, String>::new(),
    )
}

#[tokio::test]
async fn every_document_is_in_the_table() {
    let rows = table();
    let named =
        |name: &str| rows.iter().any(|row| row.document == name || row.config.as_deref() == Some(name));
    for entry in fs::read_dir(Path::new(FIXTURES).join("documents")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(named(&name), "{name} is not in the table of fixtures/README.md");
    }
    for row in rows {
        assert!(
            row.shown.starts_with("on the cluster") || row.shown.starts_with("rendered: "),
            "{}",
            row.shown
        );
    }
}

/// A document that the table promises on the cluster, in this world. Its account is one that may read pods.
fn pod(world: &World, document: &str, config: Option<&str>, places: &[Place<'_>]) -> Value {
    let row = table().into_iter().find(|row| row.document == document && row.config.as_deref() == config);
    assert!(row.unwrap().shown.starts_with("on the cluster"));
    let (namespace, host) = (namespace(), world.platform.url());
    let words = ["--run-uuid", &world.run, "--project", "owner-name/project-name"];
    let words = [&words[..], &["--namespace", &namespace, "--host", &host]].concat();
    let more = "runsSa: polyaxon-runs\nauth: false\n";
    let rendered = render(document, config, places, more, &words)
        .unwrap_or_else(|failure| panic!("{}", failure.message));
    let mut pod = rendered.resource;
    // Folders of the node are this test's.
    for volume in pod["spec"]["volumes"].as_array_mut().unwrap() {
        if let Some(path) = volume.pointer_mut("/hostPath/path") {
            let own = world.folder.path().join(path.as_str().unwrap().trim_start_matches('/'));
            fs::create_dir_all(&own).unwrap();
            *path = own.to_str().unwrap().into();
        }
    }
    world.place(pod)
}

/// Where a folder of the node is.
fn node(world: &World, path: &str) -> std::path::PathBuf {
    world.folder.path().join(path.trim_start_matches('/'))
}

/// Runs it to its end: what main found, by what is stored on the node.
async fn runs(world: &World, pod: &Value) -> BTreeMap<String, String> {
    let ended = Pod::start(pod).await.succeeds().await;
    assert_eq!(ended.report("polyaxon-sidecar")["class"], "done");
    let stored = node(world, "/tmp/plx/store").join(&world.run);
    inputs(complete(&files(&stored.join("outputs"))))
}

/// What main was told of its volumes, by what it left below the folder that it was told to leave it in.
fn told(world: &World, outputs: &Path) -> Value {
    let left = outputs.join("owner-name/project-name/jobs").join(&world.run).join("told");
    serde_json::from_str(&fs::read_to_string(left).unwrap()).unwrap()
}

/// Files of data, by where main finds them.
fn found<const N: usize>(expected: [(&str, &str); N]) -> BTreeMap<String, String> {
    expected.map(|(path, content)| (path.to_owned(), sha256(content.as_bytes()))).into()
}

const TRAINED: &str = "281081ab11794df0867e80d6ff20f960";
const TRAINED_ELSEWHERE: &str = "281081ab11794df0867e80d6ff20f961";

#[tokio::test]
async fn the_page_on_init_with_its_references() {
    let world = World::numbered("page-init", 13).await;
    let (store, datasets) = (world.bucket("plx-artifacts"), world.bucket("datasets"));
    let key = |run: &str, name: &str| format!("{run}/outputs/{name}");
    put(&store, &[("path/on/the/default/artifacts/store/deep/f", "f")]).await;
    for (run, name) in [
        (TRAINED, "artifactLineageRef"),
        (TRAINED, "weights"),
        (TRAINED, "table"),
        (TRAINED, "no"),
        (TRAINED_ELSEWHERE, "weights"),
        (TRAINED_ELSEWHERE, "table"),
        (TRAINED_ELSEWHERE, "no"),
    ] {
        put(&store, &[(&key(run, name), &key(run, name))]).await;
    }
    put(&datasets, &[("data1", "one"), ("path/to/data2", "two"), ("no", "no")]).await;
    world.gcs.create_bucket("datasets").unwrap();
    let google = world.gcs.data_dir().join("datasets/data/sub");
    fs::create_dir_all(&google).unwrap();
    fs::write(google.join("g"), "g").unwrap();
    world.secret("git-secret", json!({ "POLYAXON_GIT_CREDENTIALS": format!("robot:{GIT_PASSWORD}") })).await;
    let [_repo1, repo2, _part] = world.repositories();
    let places = [
        Place { from: "https://github.com/org/repo1", to: &world.git[0].url("org/repo1") },
        Place { from: "https://github.com/org/repo2", to: &world.git[1].url("org/repo2") },
    ];
    let pod = pod(&world, "init.yaml", Some("init.config.yaml"), &places);
    let ended = Pod::start(&pod).await.succeeds().await;
    let outputs = objects(&store, &format!("{}/outputs", world.run)).await;
    let mut seen = inputs(complete(&outputs));
    let dockerfile = String::from_utf8(outputs["Dockerfile"].clone()).unwrap();
    assert!(dockerfile.lines().any(|line| line == "RUN pip install package1"), "{dockerfile}");
    let art = |name: &str| format!("/plx-context/artifacts/{name}");
    let own = |name: &str| art(&key(&world.run, name));
    let mut wanted = BTreeMap::from([
        (art("path/on/the/default/artifacts/store/deep/f"), "f".to_owned()),
        (art("gcs-large-datasets/data/sub/g"), "g".to_owned()),
        ("/s3-path/data1".to_owned(), "one".to_owned()),
        ("/s3-path/path/to/data2".to_owned(), "two".to_owned()),
        (art("repo1/README"), "repo1".to_owned()),
        (art("repo2/train.py"), "print('branch2')".to_owned()),
        (art("Dockerfile"), dockerfile.clone()),
        (own("Dockerfile"), dockerfile),
        (art("script.sh"), "echo test\n".to_owned()),
        (own("script.sh"), "echo test\n".to_owned()),
    ]);
    // The references: a run's artifact by its lineage, and versions of two projects.
    for (run, name) in [
        (TRAINED, "artifactLineageRef"),
        (TRAINED, "weights"),
        (TRAINED, "table"),
        (TRAINED_ELSEWHERE, "weights"),
        (TRAINED_ELSEWHERE, "table"),
    ] {
        wanted.insert(art(&key(run, name)), key(run, name));
    }
    let wanted: BTreeMap<String, String> =
        wanted.into_iter().map(|(path, content)| (path, sha256(content.as_bytes()))).collect();
    // Git's own notes of a submodule that was not asked for.
    seen.retain(|path, _| *path != art("repo2/.gitmodules"));
    assert_eq!(seen, wanted, "{:#?}", ended.logs);
    assert_eq!(ended.log("myapp-container"), "custom init container\n");
    let logs = objects(&store, &format!("{}/plxlogs", world.run)).await;
    assert_eq!(lines_of(&logs, "myapp-container"), ["custom init container"]);
    let code = world.lineage(&repo2.git(&["rev-parse", "branch2"])).await;
    assert_eq!(code.kind.as_deref(), Some("coderef"));
    assert_eq!(world.lineage("script-sh").await.path.as_deref(), Some("outputs/script.sh"));
}

#[tokio::test]
async fn the_page_on_data_and_outputs() {
    let world = World::numbered("page-persistence", 14).await;
    let (foo, outputs) = (world.claim("data-foo-pvc").await, world.claim("outputs-foo-pvc").await);
    let pod = pod(&world, "persistence.yaml", Some("persistence.config.yaml"), &[]);
    fs::write(node(&world, "/path/to/data").join("one"), "one").unwrap();
    fs::write(foo.join("foo"), "foo").unwrap();
    assert_eq!(runs(&world, &pod).await, found([("/data/1/one", "one"), ("/data/foo/foo", "foo")]));
    assert_eq!(told(&world, &outputs), json!({ "data1": "/data/1", "data-foo": "/data/foo" }));
}

#[tokio::test]
async fn the_page_on_data_with_a_choice() {
    let world = World::numbered("page-data", 15).await;
    let foo = world.claim("data-foo-pvc").await;
    let pod = pod(&world, "data.yaml", Some("data.config.yaml"), &[]);
    fs::write(node(&world, "/path/to/data").join("one"), "one").unwrap();
    fs::write(foo.join("foo"), "foo").unwrap();
    assert_eq!(runs(&world, &pod).await, found([("/data/1/one", "one"), ("/data/foo/foo", "foo")]));
    // No outputs are configured: a folder of the node.
    let data = json!({ "data1": "/data/1", "data-foo": "/data/foo" });
    assert_eq!(told(&world, &node(&world, "/outputs")), data);
}

#[tokio::test]
async fn the_page_on_data_without_a_choice() {
    let world = World::numbered("page-data-all", 16).await;
    let (two, foo) = (world.claim("data-2-pvc").await, world.claim("data-foo-pvc").await);
    world.secret("secret-name", json!({ "secret-key": "key-of-buckets-0123456789" })).await;
    Planted::here().plant("key-of-buckets-0123456789");
    let pod = pod(&world, "plain.yaml", Some("data.config.yaml"), &[]);
    fs::write(node(&world, "/path/to/data").join("one"), "one").unwrap();
    fs::write(two.join("two"), "two").unwrap();
    fs::write(foo.join("foo"), "foo").unwrap();
    let wanted = [("/data/1/one", "one"), ("/data/2/two", "two"), ("/data/foo/foo", "foo")];
    assert_eq!(runs(&world, &pod).await, found(wanted));
    let told = told(&world, &node(&world, "/outputs"));
    assert_eq!((&told["data2"], &told["data-s3"]), (&json!("/data/2"), &json!("s3://data-bucket")));
    assert_eq!(told.as_object().unwrap().len(), 6);
}

#[tokio::test]
async fn folders_and_claims_of_data() {
    let world = World::numbered("page-folders", 17).await;
    let claims = [world.claim("data-pvc-1").await, world.claim("data-pvc-2").await];
    let pod = pod(&world, "plain.yaml", Some("data-folders.config.yaml"), &[]);
    fs::write(node(&world, "/path/to/data").join("one"), "one").unwrap();
    for (claim, name) in claims.iter().zip(["a", "b"]) {
        fs::write(claim.join(name), name).unwrap();
    }
    let wanted =
        [("/data/1/one", "one"), ("/data/2/one", "one"), ("/data-pvc/1/a", "a"), ("/data-pvc/2/b", "b")];
    assert_eq!(runs(&world, &pod).await, found(wanted));
    assert_eq!(told(&world, &node(&world, "/outputs"))["pvc2"], "/data-pvc/2");
}

#[tokio::test]
async fn outputs_on_a_claim() {
    let world = World::numbered("page-claim", 18).await;
    let outputs = world.claim("outputs-pvc").await;
    let pod = pod(&world, "plain.yaml", Some("outputs-claim.config.yaml"), &[]);
    runs(&world, &pod).await;
    assert_eq!(told(&world, &outputs), json!({ "data": "/data" }));
}

#[tokio::test]
async fn outputs_on_the_node() {
    let world = World::numbered("page-host", 19).await;
    let pod = pod(&world, "plain.yaml", Some("outputs-host.config.yaml"), &[]);
    runs(&world, &pod).await;
    assert_eq!(told(&world, &node(&world, "/path/to/outputs")), json!({ "data": "/data" }));
}

#[tokio::test]
async fn plugins_that_are_null() {
    let world = World::numbered("page-plugins", 20).await;
    assert_eq!(runs(&world, &pod(&world, "plugins.yaml", None, &[])).await, BTreeMap::new());
}

/// Its file is of an image that nobody has: main fails, and what it said of that is stored.
#[tokio::test]
async fn the_example_of_collected_artifacts() {
    let world = World::numbered("page-collect", 21).await;
    let pod = pod(&world, "plugins-collect-artifacts.yaml", None, &[]);
    let ended: Ended = Pod::start(&pod).await.ends("Failed").await;
    assert_eq!(ended.end("polyaxon-main")["exitCode"], 1);
    assert_eq!(ended.report("polyaxon-sidecar")["class"], "done");
    let stored = node(&world, "/tmp/plx/store").join(&world.run);
    complete(&files(&stored.join("outputs")));
    let said = lines_of(&files(&stored.join("plxlogs")), "polyaxon-main");
    assert!(said.iter().any(|line| line.contains("/some/know/path/file")), "{said:?}");
}
