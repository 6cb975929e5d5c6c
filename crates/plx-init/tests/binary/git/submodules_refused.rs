//! Submodules that cannot or must not be brought in: the job fails, and nothing is left.

use super::scene::{Scene, clone, nothing_left, small};
use crate::lab::Lab;
use plx_testkit::{GitHttp, GitRepo};
use std::fs;

const RECURSE: &str = "--flags=--recurse-submodules";

/// Over HTTP, with a submodule `libs/part` at that address and commit.
async fn with(url: &str, commit: &str) -> Scene {
    let scene = Scene::of(small("a", "main")).await;
    scene.repo.name_submodule(url, "libs/part", commit);
    scene.repo.commit(&[], "with a part");
    scene
}

#[tokio::test]
async fn a_private_submodule_without_credentials_is_77_and_named() {
    let (other, part) = (GitHttp::start().await, small("p", "part"));
    other.serve("part", &part);
    other.password("other", "other-password-0");
    let mut scene = with(&other.url("part"), &part.head()).await;
    scene.clone(&[RECURSE]).await.failed(77, &["`libs/part`", &other.url("part"), "credentials"]);
    nothing_left(&scene.lab);
    scene.http.password("main", "main-password-0");
    scene.lab.secret("POLYAXON_GIT_CREDENTIALS", "main:main-password-0");
    scene.clone(&[RECURSE]).await.failed(77, &["`libs/part`"]);
    nothing_left(&scene.lab);
    assert!(other.requests().iter().all(|seen| seen.header("authorization").is_none()));
    assert_eq!(other.requests().len(), 2, "no second try");
}

#[tokio::test]
async fn a_submodule_whose_repository_is_not_there_is_66_and_named() {
    let scene = with("../none.git", &"1".repeat(40)).await;
    scene.clone(&[RECURSE]).await.failed(66, &["`libs/part`", "none.git"]);
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn a_submodule_whose_commit_is_not_there_is_66_and_named() {
    let part = small("p", "part");
    let gone = "1234567890123456789012345678901234567890";
    let scene = with("../part.git", gone).await;
    scene.http.serve("org/part", &part);
    scene.clone(&[RECURSE]).await.failed(66, &["`libs/part`", gone]);
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn a_submodule_in_a_submodule_is_named_by_its_whole_path() {
    let part = small("p", "part");
    part.name_submodule("../none.git", "deep/inner", &"1".repeat(40));
    part.commit(&[], "with inner");
    let scene = with("../part.git", &part.head()).await;
    scene.http.serve("org/part", &part);
    scene.clone(&[RECURSE]).await.failed(66, &["`libs/part/deep/inner`"]);
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn a_repository_from_elsewhere_must_not_read_this_machine() {
    let part = small("p", "part");
    let path = part.path().display().to_string();
    for url in [part.url(), path.clone(), format!("file://localhost{path}")] {
        let scene = with(&url, &part.head()).await;
        scene.clone(&[RECURSE]).await.failed(78, &["`libs/part`", "this machine"]);
        nothing_left(&scene.lab);
    }
}

#[tokio::test]
async fn a_repository_from_elsewhere_may_read_this_machine_when_a_flag_allows_it() {
    let part = small("p", "part");
    let scene = with(&part.url(), &part.head()).await;
    let ended = scene.clone(&["--flags=--recurse-submodules -c protocol.file.allow=always"]).await;
    super::scene::stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(super::scene::text(&scene.lab, "libs/part/p"), "part");
}

#[tokio::test]
async fn a_submodule_with_an_address_that_is_an_option_or_a_program_is_refused() {
    for url in
        ["-u./payload", "--upload-pack=touch x", "ext::sh -c 'touch x'", "ssh://-oProxyCommand=x/r", ""]
    {
        let scene = with("../part.git", &"1".repeat(40)).await;
        scene.repo.git(&["config", "--file", ".gitmodules", "submodule.libs/part.url", url]);
        scene.repo.git(&["add", ".gitmodules"]);
        scene.repo.commit(&[], "with an evil part");
        let ended = scene.clone(&[RECURSE]).await;
        assert!([64, 65, 66, 78].contains(&ended.code), "{url}: {ended:?}");
        assert!(ended.stderr.contains("libs/part"), "{url}: {ended:?}");
        nothing_left(&scene.lab);
    }
}

#[tokio::test]
async fn a_relative_address_that_climbs_too_far_is_refused() {
    let scene = with("../../../../x.git", &"1".repeat(40)).await;
    let ended = scene.clone(&[RECURSE]).await;
    ended.failed(65, &["`libs/part`", "leads out"]);
    nothing_left(&scene.lab);
}

/// A commit with these raw `.gitmodules` and that entry, which git itself would not make by its commands.
fn forged(modules: &str, path: &str, commit: &str) -> GitRepo {
    let repo = small("a", "main");
    fs::write(repo.path().join(".gitmodules"), modules).unwrap();
    repo.git(&["add", ".gitmodules"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    repo.commit(&[], "forged");
    repo
}

#[tokio::test]
async fn a_submodule_whose_name_leads_out_of_the_repository_writes_nothing_there() {
    let part = small("p", "part");
    for name in ["../../escaped", "../hooks", "x/../../../escaped"] {
        let modules = format!("[submodule \"{name}\"]\n\tpath = part\n\turl = ../part.git\n");
        let scene = Scene::of(forged(&modules, "part", &part.head())).await;
        scene.http.serve("org/part", &part);
        let ended = scene.clone(&[RECURSE]).await;
        let outside = super::scene::code(&scene.lab).join("part/p");
        assert!(ended.code != 0 || !outside.exists(), "{name}: {ended:?}");
        assert!(!scene.lab.art("escaped").exists() && !scene.lab.path("escaped").exists());
        assert!(!super::scene::code(&scene.lab).join(".git/hooks/HEAD").exists());
    }
}

#[tokio::test]
async fn a_link_where_a_submodule_belongs_leads_nothing_outside() {
    let part = small("p", "part");
    let modules = "[submodule \"part\"]\n\tpath = link/part\n\turl = ../part.git\n";
    let repo = small("a", "main");
    let outside = tempfile::tempdir().unwrap();
    fs::write(repo.path().join(".gitmodules"), modules).unwrap();
    std::os::unix::fs::symlink(outside.path(), repo.path().join("link")).unwrap();
    repo.git(&["add", ".gitmodules", "link"]);
    repo.commit(&[], "link");
    let scene = Scene::of(repo).await;
    scene.http.serve("org/part", &part);
    let ended = scene.clone(&[RECURSE]).await;
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{ended:?}");
}

#[tokio::test]
async fn a_repository_that_holds_itself_ends() {
    let scene = Scene::of(small("a", "main")).await;
    let head = scene.repo.head();
    scene.repo.name_submodule("../repo.git", "itself", &head);
    let second = scene.repo.commit(&[], "holds its past");
    scene.repo.name_submodule("../repo.git", "again", &second);
    scene.repo.commit(&[], "holds both");
    let ended = scene.clone(&[RECURSE]).await;
    super::scene::stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(super::scene::text(&scene.lab, "again/itself/a"), "main");
}

#[tokio::test]
async fn a_submodule_whose_server_breaks_is_tried_again_and_then_69() {
    let (other, part) = (GitHttp::start().await, small("p", "part"));
    other.serve("part", &part);
    let scene = with(&other.url("part"), &part.head()).await;
    other.refuse_all(503);
    scene.clone(&[RECURSE]).await.failed(69, &["`libs/part`", "503"]);
    nothing_left(&scene.lab);
    assert!(other.requests().len() > 1);
    let mut lab = Lab::empty();
    lab.set("PLX_RETRY_SECONDS", "10");
    other.refuse_none();
    other.fail_next(1, 503);
    let ended = clone(&lab, &scene.url(), &[RECURSE]).await;
    super::scene::stands(&lab, &ended, &scene.repo.head(), "main");
}
