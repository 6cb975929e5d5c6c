//! The same job again, as a kubelet does it: a clone that is what was asked for is kept, and nothing else is touched.

use super::scene::{RUN, Scene, clone, code, git, stands, tracked};
use crate::lab::Lab;
use plx_testkit::git::git_in;
use std::fs;
use std::os::unix::fs::MetadataExt;

fn inode(lab: &Lab) -> u64 {
    fs::metadata(code(lab).join("a")).unwrap().ino()
}

#[tokio::test]
async fn the_same_job_again_keeps_the_clone_and_fetches_nothing() {
    for more in
        [&[][..], &["--revision=dev"], &["--revision=v1-note"], &["--flags=--depth 1"], &["--revision=HEAD"]]
    {
        let mut scene = Scene::new().await;
        let first = scene.clone(more).await;
        first.succeeded();
        let (before, head) = (inode(&scene.lab), git(&scene.lab, &["rev-parse", "HEAD"]));
        scene.http.forget_requests();
        let api = tracked(&mut scene.lab).await;
        let second = scene.clone(more).await;
        let branch = first.report["branch"].as_str().unwrap().to_owned();
        stands(&scene.lab, &second, &head, &branch);
        assert_eq!((inode(&scene.lab), scene.fetches()), (before, 0), "{more:?}");
        assert_eq!(first.stdout, second.stdout);
        // The run is told of its code all the same: the first may have died before it could.
        assert_eq!(api.artifacts(RUN)[0]["name"], head);
    }
}

#[tokio::test]
async fn what_was_counted_from_another_commit_is_kept_too() {
    let scene = Scene::new().await;
    for revision in ["HEAD~1", "dev~1"] {
        let lab = Lab::empty();
        clone(&lab, &scene.url(), &["--revision", revision]).await.succeeded();
        let before = inode(&lab);
        let ended = clone(&lab, &scene.url(), &["--revision", revision]).await;
        stands(&lab, &ended, &git(&lab, &["rev-parse", "HEAD"]), "HEAD");
        assert_eq!(inode(&lab), before);
    }
}

#[tokio::test]
async fn a_whole_id_is_kept_without_asking_anybody() {
    let scene = Scene::new().await;
    let id = scene.repo.git(&["rev-parse", "v1"]);
    scene.clone(&["--revision", &id]).await.succeeded();
    scene.http.forget_requests();
    scene.http.refuse_all(500);
    let ended = scene.clone(&["--revision", &id]).await;
    stands(&scene.lab, &ended, &id, "HEAD");
    assert_eq!(scene.http.requests(), []);
}

#[tokio::test]
async fn other_flags_that_only_concern_the_transfer_are_the_same_job() {
    let scene = Scene::new().await;
    scene.clone(&[]).await.succeeded();
    let before = inode(&scene.lab);
    let ended = scene.clone(&["--flags=-c http.sslVerify=false"]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(inode(&scene.lab), before);
}

#[tokio::test]
async fn a_branch_that_moved_meanwhile_is_73_and_says_from_where_to_where() {
    let scene = Scene::new().await;
    for more in [&["--revision=dev"][..], &[]] {
        let lab = Lab::empty();
        clone(&lab, &scene.url(), more).await.succeeded();
        let before = (inode(&lab), git(&lab, &["rev-parse", "HEAD"]));
        scene.repo.checkout(more.first().map_or("main", |_| "dev"));
        let now = scene.repo.commit(&[("a", "moved")], "moved");
        scene.repo.checkout("main");
        clone(&lab, &scene.url(), more).await.failed(73, &[&before.1, &now, "by now"]);
        assert_eq!((inode(&lab), git(&lab, &["rev-parse", "HEAD"])), before);
    }
}

#[tokio::test]
async fn a_tracked_file_that_was_changed_or_removed_is_73() {
    for text in [Some("changed"), None] {
        let scene = Scene::new().await;
        scene.clone(&[]).await.succeeded();
        let file = code(&scene.lab).join("src/b");
        match text {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        scene.clone(&[]).await.failed(73, &["changed", "`src/b`"]);
        assert_eq!(fs::read_to_string(&file).ok().as_deref(), text);
    }
}

#[tokio::test]
async fn a_commit_that_main_made_is_73() {
    let scene = Scene::new().await;
    scene.clone(&[]).await.succeeded();
    git(&scene.lab, &["commit", "--quiet", "--allow-empty", "--message=mine"]);
    let mine = git(&scene.lab, &["rev-parse", "HEAD"]);
    scene.clone(&[]).await.failed(73, &[&mine, "moved"]);
    assert_eq!(git(&scene.lab, &["rev-parse", "HEAD"]), mine);
}

#[tokio::test]
async fn files_that_main_added_do_not_matter() {
    let scene = Scene::new().await;
    scene.clone(&[]).await.succeeded();
    let (before, new) = (inode(&scene.lab), code(&scene.lab).join("src/__pycache__"));
    fs::create_dir_all(&new).unwrap();
    fs::write(new.join("b.pyc"), "made by main").unwrap();
    scene.clone(&[]).await.succeeded();
    assert_eq!(inode(&scene.lab), before);
    assert_eq!(fs::read_to_string(new.join("b.pyc")).unwrap(), "made by main");
}

#[tokio::test]
async fn another_revision_url_or_shape_is_73_and_the_clone_stays() {
    let scene = Scene::new().await;
    scene.http.serve("org/other", &scene.repo);
    scene.clone(&["--revision=dev"]).await.succeeded();
    let before = inode(&scene.lab);
    let (url, other) = (scene.url(), scene.http.url("org/other"));
    for (url, more) in [
        (&url, &["--revision=v1"][..]),
        (&url, &[]),
        (&other, &["--revision=dev"]),
        (&url, &["--revision=dev", "--flags=--depth 1"]),
        (&url, &["--revision=dev", "--flags=--recurse-submodules"]),
    ] {
        clone(&scene.lab, url, more).await.failed(73, &["another clone", "dev"]);
        assert_eq!(
            (inode(&scene.lab), git(&scene.lab, &["symbolic-ref", "HEAD"])),
            (before, "refs/heads/dev".into())
        );
    }
}

#[tokio::test]
async fn a_clone_that_lost_its_objects_is_73_and_not_taken_for_good() {
    let scene = Scene::new().await;
    scene.clone(&[]).await.succeeded();
    fs::remove_dir_all(code(&scene.lab).join(".git/objects/pack")).unwrap();
    scene.clone(&[]).await.failed(73, &["broken"]);
}

#[tokio::test]
async fn a_second_job_whose_credentials_no_longer_work_does_not_pass_for_a_fresh_look() {
    let mut scene = Scene::new().await;
    scene.clone(&["--revision=dev"]).await.succeeded();
    scene.http.password("user", "right-password-0");
    scene.lab.set("POLYAXON_GIT_CREDENTIALS", "user:wrong-password-0");
    scene.clone(&["--revision=dev"]).await.failed(77, &[]);
    assert_eq!(git_in(&code(&scene.lab), &["status", "--porcelain"]), "");
}
