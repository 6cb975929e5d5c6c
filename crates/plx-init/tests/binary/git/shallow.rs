//! `--depth`, over every transport and with every kind of revision.

use super::scene::{Scene, clone, git, history, stands, text};
use crate::lab::Lab;
use plx_testkit::git::KeyType;
use plx_testkit::{GitDaemon, GitSsh};

const FORMS: [&str; 6] = [
    r#"["--depth 1"]"#,
    r#"["--depth=1"]"#,
    r#"["--depth", "1"]"#,
    "--depth=1,--no-tags",
    "--depth 1",
    "--depth '1' --quiet",
];

fn commits(lab: &Lab) -> String {
    git(lab, &["rev-list", "--count", "HEAD"])
}

#[tokio::test]
async fn every_form_of_flags_makes_a_shallow_clone_over_http() {
    let scene = Scene::new().await;
    for form in FORMS {
        let lab = Lab::empty();
        let ended = clone(&lab, &scene.url(), &["--flags", form]).await;
        stands(&lab, &ended, &scene.repo.head(), "main");
        assert_eq!(commits(&lab), "1", "{form}");
    }
}

#[tokio::test]
async fn a_clone_over_ssh_is_shallow() {
    let (ssh, repo, mut lab) = (GitSsh::with_host_keys(&[KeyType::Ed25519]).await, history(), Lab::empty());
    lab.set("POLYAXON_SSH_PATH", &ssh.key_folder(KeyType::Ed25519, "id_ed25519").display().to_string());
    let ended = clone(&lab, &ssh.url(&repo.path()), &["--flags=[\"--depth 1\"]", "--revision=dev"]).await;
    stands(&lab, &ended, &repo.git(&["rev-parse", "dev"]), "dev");
    assert_eq!(commits(&lab), "1");
}

#[tokio::test]
async fn a_clone_from_this_machine_is_shallow_by_url_and_by_path() {
    let repo = history();
    for url in [repo.url(), repo.path().display().to_string()] {
        let lab = Lab::empty();
        let ended = clone(&lab, &url, &["--flags=[\"--depth 1\"]"]).await;
        stands(&lab, &ended, &repo.head(), "main");
        assert_eq!(commits(&lab), "1");
    }
}

#[tokio::test]
async fn a_clone_from_git_daemon_is_shallow() {
    let (daemon, repo, lab) = (GitDaemon::start().await, history(), Lab::empty());
    daemon.serve("repo", &repo);
    let ended = clone(&lab, &daemon.url("repo"), &["--flags=--depth 1"]).await;
    stands(&lab, &ended, &repo.head(), "main");
    assert_eq!(commits(&lab), "1");
}

#[tokio::test]
async fn a_depth_of_two_brings_two_commits() {
    let scene = Scene::new().await;
    for url in [scene.url(), scene.repo.url()] {
        let lab = Lab::empty();
        let ended = clone(&lab, &url, &["--flags=--depth 2", "--revision=feature/x"]).await;
        stands(&lab, &ended, &scene.repo.git(&["rev-parse", "feature/x"]), "feature/x");
        assert_eq!(commits(&lab), "2");
    }
}

/// A shallow clone at a revision: its commit, its branch, and how much history comes with it.
async fn shallow(revision: &str, same: &str, branch: &str, count: Option<&str>) {
    let scene = Scene::new().await;
    let of = |name: &str| scene.repo.git(&["rev-parse", &format!("{name}^{{commit}}")]);
    let revision = match revision.split_once(':') {
        Some(("id", name)) => of(name),
        Some(("short", name)) => of(name)[..8].to_owned(),
        _ => revision.to_owned(),
    };
    for url in [scene.url(), scene.repo.url()] {
        let lab = Lab::empty();
        let ended = clone(&lab, &url, &["--flags=[\"--depth 1\"]", "--revision", &revision]).await;
        stands(&lab, &ended, &of(same), branch);
        if let Some(count) = count {
            assert_eq!(commits(&lab), count, "{url} at {revision}");
        }
    }
}

#[tokio::test]
async fn depth_and_another_branch() {
    shallow("dev", "dev", "dev", Some("1")).await;
    shallow("feature/x", "feature/x", "feature/x", Some("1")).await;
}

#[tokio::test]
async fn depth_and_a_tag() {
    shallow("v1", "v1", "HEAD", Some("1")).await;
    shallow("v1-note", "v1", "HEAD", Some("1")).await;
    shallow("refs/tags/v1-note", "v1", "HEAD", Some("1")).await;
}

#[tokio::test]
async fn depth_and_a_whole_id() {
    shallow("id:v1", "v1", "HEAD", None).await;
    shallow("id:dev", "dev", "HEAD", Some("1")).await;
    shallow("id:main", "main", "HEAD", Some("1")).await;
}

#[tokio::test]
async fn depth_and_a_short_id() {
    shallow("short:v1", "v1", "HEAD", None).await;
    shallow("short:dev", "dev", "HEAD", None).await;
}

#[tokio::test]
async fn depth_and_a_commit_counted_from_another() {
    shallow("HEAD~1", "v1", "HEAD", None).await;
    shallow("dev~1", "main", "HEAD", None).await;
    shallow("v1^0", "v1", "HEAD", None).await;
}

#[tokio::test]
async fn a_whole_id_within_history_comes_alone_when_the_server_gives_out_ids() {
    let scene = Scene::new().await;
    scene.repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    scene.repo.checkout("dev");
    let id = scene.repo.git(&["rev-parse", "main"]);
    let ended = scene.clone(&["--flags=--depth 1", "--revision", &id]).await;
    stands(&scene.lab, &ended, &id, "HEAD");
    assert_eq!(commits(&scene.lab), "1");
    assert_eq!(text(&scene.lab, "a"), "2");
}

#[tokio::test]
async fn a_shallow_clone_is_one_branch_and_can_be_deepened_by_git() {
    let scene = Scene::new().await;
    scene.clone(&["--flags=--depth 1"]).await.succeeded();
    assert_eq!(git(&scene.lab, &["branch", "--remotes", "--format=%(refname)"]).lines().count(), 2);
    assert_eq!(git(&scene.lab, &["rev-parse", "--is-shallow-repository"]), "true");
    git(&scene.lab, &["fetch", "--quiet", "--unshallow"]);
    assert_eq!(commits(&scene.lab), "2");
}

#[tokio::test]
async fn a_revision_that_is_not_there_is_66_also_with_a_depth() {
    super::scene::misses(history(), &["--flags=--depth 1", "--revision=dew"], 66, &["did you mean `dev`"])
        .await;
}

#[tokio::test]
async fn depth_and_no_single_branch_brings_one_commit_of_each() {
    let scene = Scene::new().await;
    let ended = scene.clone(&["--flags=--depth 1 --no-single-branch"]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(commits(&scene.lab), "1");
    assert_eq!(git(&scene.lab, &["rev-list", "--count", "origin/dev"]), "1");
}
