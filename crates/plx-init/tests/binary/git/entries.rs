//! Command lines: `polyaxon initializer git`, `plx-init git`, and an entry of a spec for `plx-init run`.

use super::scene::{RUN, Scene, code, is_sound, nothing_left, stands, tracked};
use plx_testkit::git::git_in;
use serde_json::json;

fn text(value: &serde_json::Value) -> String {
    value.to_string()
}

#[tokio::test]
async fn polyaxons_command_takes_values_after_a_space_and_after_an_equals_sign() {
    let dev = |scene: &Scene| scene.repo.git(&["rev-parse", "dev"]);
    let scene = Scene::new().await;
    let to = code(&scene.lab).display().to_string();
    let url = scene.url();
    let args = [
        "initializer",
        "git",
        "--repo-path",
        &to,
        "--url",
        &url,
        "--revision",
        "dev",
        "--connection",
        "c",
        "--flags",
        "[\"--depth 1\"]",
    ];
    let ended = scene.lab.polyaxon(&args).await;
    stands(&scene.lab, &ended, &dev(&scene), "dev");
    let scene = Scene::new().await;
    let to = format!("--repo-path={}", code(&scene.lab).display());
    let url = format!("--url={}", scene.url());
    let args =
        ["initializer", "git", &to, &url, "--revision=dev", "--connection=c", "--flags=[\"--depth 1\"]"];
    let ended = scene.lab.polyaxon(&args).await;
    stands(&scene.lab, &ended, &dev(&scene), "dev");
    assert_eq!(ended.stdout, format!("Git Repo is initialized, path: `{}`\n", code(&scene.lab).display()));
}

#[tokio::test]
async fn an_unknown_option_is_2_under_polyaxons_name_and_64_under_ours() {
    let scene = Scene::new().await;
    let ended = scene.lab.polyaxon(&["initializer", "git", "--nope"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{ended:?}");
    assert!(ended.stderr.contains("--nope") && ended.stderr.contains("Usage"), "{}", ended.stderr);
    let ended = scene.lab.init(&["git", "--nope"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (64, ""), "{ended:?}");
}

#[tokio::test]
async fn neither_url_nor_connection_is_64() {
    let scene = Scene::new().await;
    scene.lab.init(&["git"]).await.failed(64, &["--url", "connection"]);
    nothing_left(&scene.lab);
}

async fn catalogued(schema: impl FnOnce(&str) -> serde_json::Value) -> Scene {
    let mut scene = Scene::new().await;
    let schema = schema(&scene.url());
    scene.lab.catalog(&json!({"name": "code-1", "kind": "git", "schema": schema}));
    scene
}

#[tokio::test]
async fn a_connection_alone_has_url_revision_and_flags() {
    let schema = |url: &str| json!({"url": url, "revision": "dev", "flags": ["--depth 1"]});
    for entry in [None, Some(json!({"connection": "code-1"}))] {
        let mut scene = catalogued(schema).await;
        let api = tracked(&mut scene.lab).await;
        let ended = match &entry {
            None => scene.lab.init(&["git", "--connection=code-1"]).await,
            Some(entry) => scene.lab.init(&["run", &text(entry)]).await,
        };
        ended.succeeded();
        let folder = scene.lab.art("code-1");
        is_sound(&folder);
        assert_eq!(git_in(&folder, &["rev-parse", "HEAD"]), scene.repo.git(&["rev-parse", "dev"]));
        assert_eq!(git_in(&folder, &["rev-list", "--count", "HEAD"]), "1");
        assert_eq!(api.artifacts(RUN)[0]["connection"], "code-1");
    }
}

#[tokio::test]
async fn what_an_entry_says_wins_over_its_connection() {
    let schema = |url: &str| json!({"url": url, "revision": "dev", "flags": ["--depth 1"]});
    for (more, shallow) in [
        (json!({"revision": "feature/x"}), "true"),
        (json!({"revision": "feature/x", "flags": ["--no-tags"]}), "false"),
    ] {
        let scene = catalogued(schema).await;
        scene.lab.init(&["run", &text(&json!({"connection": "code-1", "git": more}))]).await.succeeded();
        let folder = scene.lab.art("code-1");
        assert_eq!(git_in(&folder, &["symbolic-ref", "--short", "HEAD"]), "feature/x");
        assert_eq!(git_in(&folder, &["rev-parse", "--is-shallow-repository"]), shallow);
    }
    let scene = catalogued(schema).await;
    scene.lab.init(&["git", "--connection=code-1", "--revision=feature/x"]).await.succeeded();
    let head = git_in(&scene.lab.art("code-1"), &["symbolic-ref", "--short", "HEAD"]);
    assert_eq!(head, "feature/x");
}

#[tokio::test]
async fn an_entry_with_a_url_of_its_own_takes_only_the_connections_login() {
    let scene =
        catalogued(|_| json!({"url": "https://other.invalid/r", "revision": "none", "flags": ["--bare"]}))
            .await;
    let entry = json!({"connection": "code-1", "git": {"url": scene.url()}});
    scene.lab.init(&["run", &text(&entry)]).await.succeeded();
    assert_eq!(git_in(&scene.lab.art("code-1"), &["rev-parse", "HEAD"]), scene.repo.head());
}

#[tokio::test]
async fn an_entry_without_a_connection_is_named_after_its_url_below_its_path() {
    let scene = Scene::new().await;
    let path = scene.lab.art("below").display().to_string();
    let entry = json!({"git": {"url": scene.url(), "revision": "v1-note", "flags": ["--depth 1", "--no-tags"]}, "path": path});
    scene.lab.init(&["run", &text(&entry)]).await.succeeded();
    let folder = scene.lab.art("below/repo");
    is_sound(&folder);
    assert_eq!(git_in(&folder, &["rev-parse", "HEAD"]), scene.repo.git(&["rev-parse", "v1"]));
    let entry = json!({"git": {"url": scene.url()}});
    scene.lab.init(&["run", &text(&entry)]).await.succeeded();
    is_sound(&scene.lab.art("repo"));
}

#[tokio::test]
async fn an_entry_with_a_wrong_field_is_64_and_its_values_are_not_repeated() {
    let scene = Scene::new().await;
    for entry in [
        json!({"git": {"url": "https://u:field-password-0@h/r", "revison": "x"}}),
        json!({"git": {"url": 5}}),
        json!({"git": {"url": "https://u:field-password-0@h/r", "flags": "--depth 1"}}),
        json!({"git": "https://u:field-password-0@h/r"}),
        json!({"git": {}}),
    ] {
        let ended = scene.lab.init(&["run", &text(&entry)]).await;
        ended.failed(64, &[]);
        ended.says_nowhere("field-password-0");
    }
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn an_entry_can_be_shown_without_being_carried_out() {
    let scene = Scene::new().await;
    let entry = json!({"git": {"url": scene.url(), "revision": "dev"}});
    let ended = scene.lab.init(&["run", &text(&entry), "--dry-run"]).await;
    ended.succeeded();
    assert!(ended.stdout.contains("would be cloned"), "{ended:?}");
    nothing_left(&scene.lab);
    assert_eq!(scene.http.requests(), []);
}

#[tokio::test]
async fn an_unknown_connection_is_78_and_one_without_a_url_64() {
    let mut scene = catalogued(|url| json!({"url": url})).await;
    scene
        .lab
        .init(&["git", "--connection=cod-1"])
        .await
        .failed(78, &["unknown connection `cod-1`", "code-1"]);
    let store =
        json!({"name": "data", "kind": "volume_claim", "schema": {"volumeClaim": "c", "mountPath": "/x"}});
    scene.lab.catalog(&store);
    scene.lab.init(&["git", "--connection=data"]).await.failed(64, &["`data`", "no url"]);
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn a_url_beside_a_connection_that_the_catalog_does_not_know_is_cloned() {
    // The converter always gives the url; the catalog may be another container's.
    let scene = Scene::new().await;
    let (url, to) = (format!("--url={}", scene.url()), format!("--repo-path={}", code(&scene.lab).display()));
    let ended = scene.lab.polyaxon(&["initializer", "git", &to, &url, "--connection=unknown"]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
}

#[tokio::test]
async fn help_names_the_options_and_exits_0() {
    let scene = Scene::new().await;
    for (ended, name) in [
        (scene.lab.init(&["git", "--help"]).await, "plx-init git"),
        (scene.lab.polyaxon(&["initializer", "git", "--help"]).await, "initializer git"),
    ] {
        ended.succeeded();
        for word in ["--repo-path", "--url", "--revision", "--connection", "--flags", name] {
            assert!(ended.stdout.contains(word), "{word} in {}", ended.stdout);
        }
    }
}
