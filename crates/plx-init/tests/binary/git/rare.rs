//! What seldom happens, and would be the wrong code or nobody's.

use super::scene::{Scene, clone, code, git, history, lands, misses, nothing_left, small, stands};
use crate::lab::Lab;
use plx_testkit::git::git_in;
use std::fs;

#[tokio::test]
async fn yesterday_is_no_revision_of_a_clone_that_is_made_today() {
    for revision in ["main@{yesterday}", "main@{0}", "HEAD@{1}", "dev@{2024-01-01}"] {
        misses(history(), &["--revision", revision], 66, &[revision]).await;
    }
}

#[tokio::test]
async fn a_branch_that_could_be_the_beginning_of_an_id_is_counted_from_as_the_branch() {
    let repo = history();
    repo.git(&["branch", "feed", "dev"]);
    let main = repo.head();
    lands(repo, &["--revision=feed~1"], &main, "HEAD").await;
}

#[tokio::test]
async fn a_tag_in_place_of_a_branch_comes_with_a_depth_too() {
    for tag in ["v1", "v1-note"] {
        let repo = history();
        let commit = repo.git(&["rev-parse", "v1"]);
        for flags in
            [format!("--flags=--depth 1 --branch {tag}"), format!("--flags=--single-branch -b {tag}")]
        {
            let scene = Scene::of(history()).await;
            stands(&scene.lab, &scene.clone(&[&flags]).await, &commit, "HEAD");
        }
    }
}

#[tokio::test]
async fn a_submodule_that_no_gitmodules_names_is_78_when_submodules_are_wanted() {
    let repo = small("a", "main");
    let other = small("b", "other").head();
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{other},sub")]);
    repo.commit(&[], "a link without a url");
    misses(repo, &["--flags=--recurse-submodules"], 78, &["`sub`", ".gitmodules"]).await;
}

#[tokio::test]
async fn a_gitmodules_that_cannot_be_read_hinders_nobody_who_wants_no_submodules() {
    let repo = small("a", "main");
    repo.commit(&[(".gitmodules", "[submodule \"x")], "broken");
    let head = repo.head();
    lands(repo, &[], &head, "main").await;
}

#[tokio::test]
async fn a_submodule_that_main_changed_is_73_as_a_file_is() {
    let (scene, part) = (Scene::of(small("a", "main")).await, small("p", "part"));
    scene.http.serve("org/part", &part);
    scene.repo.name_submodule("../part.git", "part", &part.head());
    scene.repo.commit(&[], "with part");
    let recurse = ["--flags=--recurse-submodules"];
    scene.clone(&recurse).await.succeeded();
    scene.clone(&recurse).await.succeeded();
    fs::write(code(&scene.lab).join("part/p"), "changed").unwrap();
    scene.clone(&recurse).await.failed(73, &["changed", "`part/p`"]);
    git_in(&code(&scene.lab).join("part"), &["checkout", "--quiet", "."]);
    git_in(&code(&scene.lab).join("part"), &["commit", "--quiet", "--allow-empty", "--message=mine"]);
    scene.clone(&recurse).await.failed(73, &["changed", "`part`"]);
}

#[tokio::test]
async fn the_same_job_at_the_same_time_is_done_once_and_both_have_it() {
    let scene = Scene::new().await;
    let args = [scene.url(), format!("--to={}", code(&scene.lab).display())];
    let words = ["git", "--url", &args[0], &args[1]];
    let (one, two) = tokio::join!(scene.lab.init(&words), scene.lab.init(&words));
    one.succeeded();
    stands(&scene.lab, &two, &scene.repo.head(), "main");
    let kept = [&one, &two].iter().filter(|ended| ended.stderr.contains("is kept")).count();
    assert_eq!((kept, scene.fetches()), (1, 1), "{} {}", one.stderr, two.stderr);
}

#[tokio::test]
async fn a_name_of_a_tag_and_of_a_branch_is_kept_as_what_it_was() {
    let scene = Scene::new().await;
    scene.repo.git(&["branch", "both", "dev"]);
    scene.repo.git(&["tag", "both", "v1"]);
    let commit = scene.repo.git(&["rev-parse", "v1"]);
    for _ in 0..2 {
        let ended = scene.clone(&["--revision=both"]).await;
        ended.succeeded();
        assert_eq!(git(&scene.lab, &["rev-parse", "HEAD"]), commit, "{ended:?}");
    }
    scene.repo.git(&["tag", "--force", "both", "main"]);
    scene.clone(&["--revision=both"]).await.failed(73, &["both"]);
}

#[tokio::test]
async fn a_token_in_a_query_or_behind_a_lost_colon_is_not_shown() {
    let mut lab = Lab::empty();
    lab.plant("query-token-0123");
    let ended = clone(&lab, "https://h/o/r.git?private_token=query-token-0123", &["--dry-run"]).await;
    ended.succeeded();
    for url in ["https//u:query-token-0123@h/o/r", "//u:query-token-0123@h/o/r"] {
        clone(&lab, url, &[]).await.failed(64, &["scheme"]);
        let mut lab = Lab::empty();
        lab.plant("query-token-0123");
        lab.secret("POLYAXON_GIT_CREDENTIALS", "user:other-token-0123");
        clone(&lab, url, &[]).await.failed(64, &["scheme"]);
    }
    nothing_left(&lab);
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_no_name_for_a_folder() {
    let scene = Scene::new().await;
    for connection in ["../../x", "/x", "..", "a/b"] {
        let words = ["git", "--url", &scene.url(), "--connection", connection];
        scene.lab.init(&words).await.failed(64, &["name for a folder"]);
    }
    let path = scene.lab.path("mount").display().to_string();
    let entry = format!("{{git: {{url: 'https://h/.git'}}, path: {path}}}");
    scene.lab.init(&["run", &entry]).await.failed(64, &["name for a folder"]);
}
