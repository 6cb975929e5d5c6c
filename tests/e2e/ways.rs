//! One operation by every way that there is: each leaves the same tree in the store.

use crate::kubectl::{Pod, variable};
use crate::plumbing::{Place, elsewhere};
use crate::rendered;
use crate::world::{SPEC, World, objects, put};
use futures::future::join_all;
use plx_testkit::{GitRepo, Planted};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use tokio::process::Command;

/// The operation, a case of the renderer's fixtures.
const CASE: &str = "every-way";

#[derive(Clone, Copy)]
enum Way {
    /// A pod on the cluster that the converter wrote.
    Converted,
    /// A pod on the cluster that we render, with these words.
    Rendered(&'static [&'static str]),
    /// `plx-pod run` with these words.
    Here(&'static [&'static str]),
}

/// The first one is what the others are held beside.
const WAYS: [(&str, Way); 6] = [
    ("converted", Way::Converted),
    ("rendered", Way::Rendered(&[])),
    ("here", Way::Here(&[])),
    ("here-native", Way::Here(&["--native-sidecar"])),
    ("wrapped", Way::Rendered(&["--wrap-main"])),
    ("here-wrapped", Way::Here(&["--wrap-main"])),
];

/// What the user's own init container says.
const BEFORE: &str = "mine: mine\n";

impl Way {
    fn is_wrapped(self) -> bool {
        matches!(self, Self::Rendered(words) | Self::Here(words) if words.contains(&"--wrap-main"))
    }

    /// Whether somebody may ask the cluster for a pod.
    fn has_spec(self) -> bool {
        !matches!(self, Self::Here(_)) && !self.is_wrapped()
    }
}

#[tokio::test]
async fn every_way_leaves_the_same_tree() {
    let trees = join_all(WAYS.iter().enumerate().map(|(number, (name, way))| tree(number, name, *way))).await;
    let mut wrong = Vec::new();
    for ((name, _), tree) in WAYS.iter().zip(&trees).skip(1) {
        for key in trees[0].keys().chain(tree.keys()) {
            let (want, have) = (trees[0].get(key), tree.get(key));
            if want != have {
                let text =
                    |bytes: Option<&Vec<u8>>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                wrong.push(format!("{name}: {key}: {:.300?} in place of {:.300?}", text(have), text(want)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let keys: Vec<&str> = trees[0].keys().map(String::as_str).collect();
    let want = [
        "events/metric/loss.plx",
        "outputs/.hidden",
        "outputs/empty",
        "outputs/inputs/README",
        "outputs/inputs/s3-datasets/images/deep/b",
        "outputs/inputs/tables/more/c.csv",
        "outputs/inputs/tables/train.csv",
        "outputs/model/deep/a b",
        "outputs/model/weights",
        "outputs/said",
        "outputs/script.sh",
        "plxlogs",
    ];
    assert_eq!(keys, want);
    assert!(trees[0]["outputs/empty"].is_empty());
    assert_eq!(trees[0]["outputs/said"], b"from the script\n");
    let steps: String = (1..=200).map(|step| format!("polyaxon-main: step {step}\n")).collect();
    assert_eq!(trees[0]["plxlogs"], format!("{BEFORE}{steps}").into_bytes());
}

/// What that way leaves, in one form.
async fn tree(number: usize, name: &str, way: Way) -> BTreeMap<String, Vec<u8>> {
    let world = World::numbered(&format!("way-{name}"), u8::try_from(24 + number).unwrap()).await;
    let (store, datasets) = (world.bucket("plx-artifacts"), world.bucket("datasets"));
    put(&store, &[("tables/train.csv", "1,2\n"), ("tables/more/c.csv", "3,4\n"), ("tables/no", "no")]).await;
    put(&datasets, &[("images/deep/b", "b"), ("no", "no")]).await;
    let repo = GitRepo::new();
    repo.commit(&[("README", "of the repository\n")], "first");
    world.git[0].serve("org/repo1", &repo);
    let url = world.git[0].url("org/repo1");
    let places = [Place { from: "https://github.com/org/repo1", to: &url }];
    match way {
        Way::Converted => {
            Pod::start(&world.pod(CASE, &places)).await.succeeds().await;
        }
        Way::Rendered(words) => {
            Pod::start(&rendered::pod(&world, CASE, words, &places)).await.succeeds().await;
        }
        Way::Here(words) => here(&world, name, words, &places).await,
    }
    let stored = objects(&store, &world.run).await;
    one_form(name, way, stored)
}

/// `plx-pod run`, with the deployment's stores and connections and their keys in its environment.
async fn here(world: &World, name: &str, words: &[&str], places: &[Place<'_>]) {
    let case = rendered::fixtures().join(CASE);
    let agent = fs::read_to_string(case.join("agent.json")).unwrap();
    let connections = world.folder.path().join("connections.json");
    fs::write(&connections, elsewhere(&agent, places)).unwrap();
    let mut command = Command::new(variable("PLX_E2E_POD"));
    command.arg("run").arg(case.join("operation.yaml")).arg("--connections").arg(&connections);
    command.args(["--run-uuid", &world.run, "--project", "owner-name/project-name"]).args(words);
    command
        .env_clear()
        .envs(world.keys())
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", world.folder.path());
    command.current_dir(world.folder.path()).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    Planted::here().assert_free("stdout", &output.stdout);
    Planted::here().assert_free("stderr", &output.stderr);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{name}: {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// What differs by its nature is made equal, and nothing else:
/// - keys are those below the run's folder;
/// - `outputs/spec.json` is what a cluster says of a pod: there where it may be asked, and left out;
/// - with `--wrap-main` there are the lines of main alone, as documented: those of the other container are put in front;
/// - a log has as many parts as there were passes with lines: they are one text, of the lines of the user's own containers,
///   without their times. What our programs say differs in times and folders.
/// - `resources` is what main used: left out.
fn one_form(name: &str, way: Way, stored: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let mut tree = BTreeMap::new();
    let (mut logs, mut before, mut spec) = (String::new(), String::new(), false);
    for (key, bytes) in stored {
        Planted::here().assert_free(&key, &bytes);
        if key == format!("outputs/{SPEC}") {
            spec = true;
        } else if key.starts_with("plxlogs/") {
            for line in std::str::from_utf8(&bytes).unwrap().lines().filter(|line| !line.is_empty()) {
                let record: Value = serde_json::from_str(line).unwrap();
                let (container, value) =
                    (record["container"].as_str().unwrap(), record["value"].as_str().unwrap());
                match container {
                    "mine" => before += &format!("{container}: {value}\n"),
                    "polyaxon-main" => logs += &format!("{container}: {value}\n"),
                    _ => {}
                }
            }
        } else if !key.starts_with("resources/") {
            tree.insert(key, bytes);
        }
    }
    assert_eq!(spec, way.has_spec(), "{name}: {SPEC}");
    if way.is_wrapped() && before.is_empty() {
        before.push_str(BEFORE);
    }
    // Two containers' lines come in any order.
    logs.insert_str(0, &before);
    tree.insert("plxlogs".to_owned(), logs.into_bytes());
    tree
}
