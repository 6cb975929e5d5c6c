//! Each kind of thing that pods of the converter do, by a fixture: what main finds, what is stored, what the platform knows.
//!
//! Pods of this file run at the same time.

use crate::kubectl::{Ended, Pod, variable};
use crate::plumbing::Place;
use crate::rendered;
use crate::world::{
    AGENT_TOKEN, INTERNAL_TOKEN, RUN_TOKEN, World, complete, files, inputs, lines_of, listed, objects, put,
    sha256,
};
use object_store::ObjectStoreExt;
use object_store::path::Path as Key;
use plx_testkit::git::KeyType;
use plx_testkit::{Azurite, GitRepo, GitSsh, Match, Seen};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

const ART: &str = "/plx-context/artifacts";

/// Runs it to its end: its outputs and its line are in the bucket, and the platform has its metric.
async fn runs(world: &World, pod: &Value) -> (Ended, BTreeMap<String, String>) {
    let store = world.bucket("plx-artifacts");
    let ended = Pod::start(pod).await.succeeds().await;
    assert_eq!(ended.report("polyaxon-sidecar")["class"], "done");
    let seen = complete(&objects(&store, &format!("{}/outputs", world.run)).await);
    is_known(world, &objects(&store, &format!("{}/plxlogs", world.run)).await).await;
    (ended, inputs(seen))
}

/// Main's line is in the log that is stored, and its metric where Polyaxon looks.
async fn is_known(world: &World, logs: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(lines_of(logs, "polyaxon-main"), ["main"]);
    let loss = world.lineage("loss").await;
    assert_eq!(
        (loss.kind.as_deref(), loss.path.as_deref()),
        (Some("metric"), Some("events/metric/loss.plx"))
    );
}

/// Paths and contents, as main finds them.
fn found<const N: usize>(expected: [(String, &str); N]) -> BTreeMap<String, String> {
    expected.into_iter().map(|(path, content)| (path, sha256(content.as_bytes()))).collect()
}

fn art(name: &str) -> String {
    format!("{ART}/{name}")
}

/// S3 knows keys alone; its server of these tests keeps them as files, and stumbles over a folder that is asked for as a key.
fn has_no_folders(world: &World, key: &str) {
    world.s3_front.on(Match::method("HEAD").path_ends_with(key)).answer(404, "", &[]);
}

#[tokio::test]
async fn a_repository_is_cloned_over_http_at_a_tag() {
    let world = World::numbered("git-http", 1).await;
    let repo = GitRepo::new();
    let tagged = repo.commit(&[("train.py", "print('v1.0')")], "v1.0");
    repo.tag("v1.0");
    repo.commit(&[("train.py", "print('later')")], "later");
    world.git[0].serve("org/public", &repo);
    let url = world.git[0].url("org/public");
    let pod =
        world.pod("init-git-no-connection", &[Place { from: "https://github.com/org/public.git", to: &url }]);
    let (_, seen) = runs(&world, &pod).await;
    assert_eq!(seen, found([(art("public/train.py"), "print('v1.0')")]));
    assert_eq!(world.lineage(&tagged).await.kind.as_deref(), Some("coderef"));
}

#[tokio::test]
async fn a_repository_is_cloned_over_ssh_by_a_mounted_key() {
    let world = World::numbered("git-ssh", 2).await;
    let server = GitSsh::start().await;
    let repo = GitRepo::new();
    repo.commit(&[("train.py", "print('main')")], "main");
    repo.branch("dev");
    repo.checkout("dev");
    let dev = repo.commit(&[("train.py", "print('dev')")], "dev");
    let known = server.known_hosts_line(KeyType::Ed25519);
    world.secret("ssh-key", json!({ "id_rsa": server.key(KeyType::Ed25519), "known_hosts": known })).await;
    let url = server.url(&repo.path());
    let pod =
        world.pod("init-git-ssh-connection", &[Place { from: "git@github.com:org/private.git", to: &url }]);
    let (_, seen) = runs(&world, &pod).await;
    assert_eq!(seen, found([(art("repo-ssh/train.py"), "print('dev')")]));
    assert_eq!(world.lineage(&dev).await.kind.as_deref(), Some("coderef"));
    assert_eq!(server.logins(), 1);
}

#[tokio::test]
async fn files_are_written_where_they_are_wanted_and_among_the_outputs() {
    let world = World::numbered("file", 3).await;
    let (_, seen) = runs(&world, &world.pod("init-file", &[])).await;
    let outputs = |name: &str| art(&format!("{}/outputs/{name}", world.run));
    let wanted = [
        (art("script.sh"), "echo test\n"),
        (outputs("script.sh"), "echo test\n"),
        // The converter gives its container no way to the outputs: there is no second one.
        ("/etc/my/file".to_owned(), "x"),
    ];
    assert_eq!(seen, found(wanted));
    for (name, path) in [("script-sh", "outputs/script.sh"), ("file", "outputs/file")] {
        let file = world.lineage(name).await;
        assert_eq!((file.kind.as_deref(), file.path.as_deref()), (Some("file"), Some(path)));
    }
}

#[tokio::test]
async fn logs_of_two_runs_for_tensorboard() {
    let world = World::numbered("tensorboard", 4).await;
    let store = world.bucket("plx-artifacts");
    let other = variable("PLX_E2E_LISTED_RUN");
    let key = |run: &str| format!("{run}/outputs/tensorboard/events.out.1");
    put(&store, &[(&key(&world.run), "own"), (&key(&other), "other")]).await;
    let places = [Place { from: "d1410a914d18457589b91926d8c23db4", to: &other }];
    let (_, mut seen) = runs(&world, &world.pod("init-tensorboard", &places)).await;
    assert!(seen.remove(&art("start_tensorboard")).is_some(), "{seen:?}");
    let own = art(&key(&world.run));
    // By the name that the platform lists for it, if any; and its own outputs are there, as it is resumed.
    let wanted = [
        (art(&format!("tensorboard/{}/events.out.1", world.run)), "own"),
        (art("tensorboard/other-run/events.out.1"), "other"),
        (own, "own"),
    ];
    assert_eq!(seen, found(wanted));
}

#[tokio::test]
async fn paths_of_the_store_come_as_files_and_as_folders() {
    let world = World::numbered("paths", 5).await;
    let store = world.bucket("plx-artifacts");
    let there = [
        ("run1/outputs/model/weights", "w"),
        ("run1/outputs/model/deep/er", "d"),
        ("run1/outputs/model-2", "no"),
        ("run2/outputs/data.csv", "a,b"),
        ("run2/outputs/no.csv", "no"),
    ];
    put(&store, &there).await;
    has_no_folders(&world, "/run1/outputs/model");
    let (_, seen) = runs(&world, &world.pod("init-paths-default-store", &[])).await;
    let wanted = [
        (art("run1/outputs/model/weights"), "w"),
        (art("run1/outputs/model/deep/er"), "d"),
        (art("run2/outputs/data.csv"), "a,b"),
    ];
    assert_eq!(seen, found(wanted));
}

#[tokio::test]
async fn a_path_of_a_volume_is_put_elsewhere_and_outputs_go_to_that_volume() {
    let world = World::numbered("paths-volume", 6).await;
    let volume = world.claim("outputs-2-pvc").await;
    fs::create_dir_all(volume.join("run1/outputs/model/deep")).unwrap();
    fs::write(volume.join("run1/outputs/model/deep/w"), "w").unwrap();
    let ended = Pod::start(&world.pod("init-paths-pairs-pvc-store", &[])).await.succeeds().await;
    assert_eq!(ended.report("polyaxon-sidecar")["class"], "done");
    let stored = |folder: &str| files(&volume.join(&world.run).join(folder));
    let seen = inputs(complete(&stored("outputs")));
    assert_eq!(seen, found([("/inputs/here/model/deep/w".to_owned(), "w")]));
    is_known(&world, &stored("plxlogs")).await;
}

#[tokio::test]
async fn an_interval_of_a_minute_does_not_keep_the_pod() {
    let world = World::numbered("interval", 7).await;
    let (ended, _) = runs(&world, &world.pod("plugins-sidecar-interval", &[])).await;
    let took = ended.finished("polyaxon-sidecar") - ended.finished("polyaxon-main");
    assert!(took <= 30, "the sidecar ended {took} s after main");
}

#[tokio::test]
async fn a_container_of_the_users_beside_main() {
    let world = World::numbered("beside", 8).await;
    let store = world.bucket("plx-artifacts");
    for pod in [world.pod("job-user-sidecars", &[]), rendered::pod(&world, "job-user-sidecars", &[], &[])] {
        let running = Pod::start(&pod).await;
        let ended = running.succeeds().await;
        assert_eq!(ended.end("s1")["exitCode"], 0);
        assert_eq!(ended.report("polyaxon-sidecar")["class"], "done");
        running.delete(0).await;
    }
    // As the converter wrote it and as we do: two pods of one run, the second one with what the first one left.
    let outputs = objects(&store, &format!("{}/outputs", world.run)).await;
    complete(&outputs);
    assert!(outputs.contains_key("attempts/2/checkpoint"), "{:?}", outputs.keys());
}

/// As the converter wrote it no API server takes it: the keys of its secret are bare texts.
#[tokio::test]
async fn outputs_go_to_a_bucket_of_gcs_as_we_render_it() {
    let world = World::numbered("google", 37).await;
    world.gcs.create_bucket("plx-artifacts").unwrap();
    let running = Pod::start(&rendered::pod(&world, "store-gcs-defaults", &[], &[])).await;
    assert_eq!(running.succeeds().await.report("polyaxon-sidecar")["class"], "done");
    let stored =
        |folder: &str| files(&world.gcs.data_dir().join("plx-artifacts").join(&world.run).join(folder));
    complete(&stored("outputs"));
    is_known(&world, &stored("plxlogs")).await;
}

#[tokio::test]
async fn outputs_go_to_a_container_of_azure_and_come_from_it() {
    let world = World::numbered("azure", 9).await;
    let server = Azurite::start().await;
    let azure = server.target("container").await;
    world.secret("az-secret", json!({ "AZURE_CONNECTION_STRING": azure.connection_string() })).await;
    let blobs = azure.store();
    let earlier = format!("base/{}/outputs/earlier", world.run);
    blobs.put(&Key::parse(&earlier).unwrap(), "earlier".into()).await.unwrap();
    let ended = Pod::start(&world.pod("store-wasb-defaults", &[])).await.succeeds().await;
    assert_eq!(ended.report("polyaxon-sidecar")["class"], "done");
    let stored = async |folder: &str| listed(&blobs, &format!("base/{}/{folder}", world.run)).await;
    let seen = inputs(complete(&stored("outputs").await));
    assert_eq!(seen, found([(art(&format!("{}/outputs/earlier", world.run)), "earlier")]));
    is_known(&world, &stored("plxlogs").await).await;
}

#[tokio::test]
async fn what_a_reference_was_resolved_to_comes_from_two_stores() {
    let world = World::numbered("refs", 10).await;
    let store = world.bucket("plx-artifacts");
    let other = "281081ab11794df0867e80d6ff20f960";
    put(&store, &[(&format!("{other}/outputs/model/weights"), "w")]).await;
    has_no_folders(&world, &format!("/{other}/outputs/model"));
    world.gcs.create_bucket("datasets-bucket").unwrap();
    let google = world.gcs.data_dir().join("datasets-bucket").join(other).join("outputs");
    fs::create_dir_all(&google).unwrap();
    fs::write(google.join("model.pt"), "pt").unwrap();
    let (_, seen) = runs(&world, &world.pod("init-refs-resolved", &[])).await;
    let wanted = [
        (art(&format!("{other}/outputs/model/weights")), "w"),
        (art(&format!("gcs-large-datasets/{other}/outputs/model.pt")), "pt"),
    ];
    assert_eq!(seen, found(wanted));
}

/// What the platform was asked with, and what main has from it.
async fn logs_in(world: &World, fixture: &str, first: &str) {
    let store = world.bucket("plx-artifacts");
    let ended = Pod::start(&world.pod(fixture, &[])).await.succeeds().await;
    assert!(ended.log("polyaxon-init-auth").contains("Auth context initialized."), "{:?}", ended.logs);
    let asked = world.platform.requests();
    let with = |suffix: &str| -> Vec<&str> {
        let asked = asked.iter().filter(|seen: &&Seen| seen.path_and_query.ends_with(suffix));
        asked.map(|seen| seen.header("authorization").unwrap_or("nothing")).collect()
    };
    let own = format!("Token {RUN_TOKEN}");
    assert_eq!((with("/impersonate"), with("/api/v1/users")), (vec![first], vec![&*own]));
    let seen = complete(&objects(&store, &format!("{}/outputs", world.run)).await);
    let context = format!("{{\"POLYAXON_AUTH_USERNAME\":\"jane\",\"POLYAXON_AUTH_TOKEN\":\"{RUN_TOKEN}\"}}");
    assert_eq!(seen.get("/plx-context/.configs/.auth"), Some(&sha256(context.as_bytes())));
    // The sidecar has no other token.
    let lineage = asked.iter().filter(|seen| seen.path_and_query.contains(&*world.run));
    let lineage = lineage.filter(|seen| !seen.path_and_query.ends_with("/impersonate"));
    assert!(lineage.clone().count() > 0, "{asked:?}");
    assert!(lineage.clone().all(|seen| seen.header("authorization") == Some(&own)), "{asked:?}");
}

#[tokio::test]
async fn the_agents_token_becomes_one_of_the_run() {
    logs_in(
        &World::numbered("auth", 11).await,
        "plugins-sidecar-interval-minus1",
        &format!("Token {AGENT_TOKEN}"),
    )
    .await;
}

#[tokio::test]
async fn the_platforms_own_token_becomes_one_of_the_run() {
    let first = format!("InternalToken {INTERNAL_TOKEN}");
    logs_in(&World::numbered("auth-internal", 12).await, "plugins-internal-auth", &first).await;
}
