//! What a revision means: the same as `git checkout` in a fresh clone makes of it.

use super::scene::{Scene, clone, git, history, lands, stands, text};
use crate::lab::Lab;
use plx_testkit::GitRepo;
use plx_testkit::git::git_in;

fn of(repo: &GitRepo, revision: &str) -> String {
    repo.git(&["rev-parse", &format!("{revision}^{{commit}}")])
}

#[tokio::test]
async fn no_revision_and_an_empty_one_are_the_branch_that_the_remotes_head_names() {
    for more in [&[][..], &["--revision="], &["--revision", ""], &["--revision=HEAD"]] {
        let repo = history();
        repo.git(&["symbolic-ref", "HEAD", "refs/heads/dev"]);
        let dev = of(&repo, "dev");
        lands(repo, more, &dev, "dev").await;
    }
}

#[tokio::test]
async fn a_branch_is_checked_out_as_one_and_follows_its_origin() {
    let scene = Scene::new().await;
    let ended = scene.clone(&["--revision=dev"]).await;
    stands(&scene.lab, &ended, &of(&scene.repo, "dev"), "dev");
    let status = git(&scene.lab, &["status"]);
    assert!(status.contains("Your branch is up to date with 'origin/dev'."), "{status}");
    scene.repo.checkout("dev");
    let new = scene.repo.commit(&[("a", "5")], "later");
    git(&scene.lab, &["pull", "--quiet", "--ff-only"]);
    assert_eq!(git(&scene.lab, &["rev-parse", "HEAD"]), new);
}

#[tokio::test]
async fn refs_and_settings_are_those_of_gits_own_clone() {
    for revision in ["", "main", "dev", "v1", "feature/x"] {
        let scene = Scene::new().await;
        scene.clone(&["--revision", revision]).await.succeeded();
        let theirs = scene.lab.path("theirs");
        let to = theirs.to_str().unwrap();
        git_in(&scene.lab.path(""), &["clone", "--quiet", "--template=", &scene.url(), to]);
        if !revision.is_empty() {
            git_in(&theirs, &["checkout", "--quiet", revision]);
        }
        for args in [
            &["for-each-ref", "--format=%(refname) %(objectname) %(symref)"][..],
            &["status", "--branch", "--porcelain=v2"],
            &["config", "--list", "--local", "--name-only"],
            &["config", "remote.origin.fetch"],
            &["for-each-ref", "refs/heads", "--format=%(refname) %(upstream) %(upstream:track)"],
        ] {
            let sorted = |text: String| {
                let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            let (ours, theirs) = (sorted(git(&scene.lab, args)), sorted(git_in(&theirs, args)));
            assert_eq!(ours, theirs, "{revision:?}: {args:?}");
        }
    }
}

#[tokio::test]
async fn a_branch_with_a_slash_is_checked_out_as_one() {
    let repo = history();
    let commit = of(&repo, "feature/x");
    lands(repo, &["--revision=feature/x"], &commit, "feature/x").await;
}

#[tokio::test]
async fn a_branch_may_be_named_as_in_a_clone_with_its_origin() {
    let repo = history();
    let commit = of(&repo, "dev");
    lands(repo, &["--revision=origin/dev"], &commit, "HEAD").await;
}

#[tokio::test]
async fn a_lightweight_tag_is_checked_out_on_no_branch() {
    let repo = history();
    let commit = of(&repo, "v1");
    lands(repo, &["--revision=v1"], &commit, "HEAD").await;
}

#[tokio::test]
async fn an_annotated_tag_is_checked_out_at_its_commit_on_no_branch() {
    let repo = history();
    assert_ne!(repo.git(&["rev-parse", "v1-note"]), of(&repo, "v1-note"));
    let commit = of(&repo, "v1-note");
    lands(repo, &["--revision=v1-note"], &commit, "HEAD").await;
}

#[tokio::test]
async fn a_tag_of_a_tag_is_checked_out_at_the_commit_behind_both() {
    let repo = history();
    repo.git(&["tag", "--annotate", "--message=again", "outer", "v1-note"]);
    let commit = of(&repo, "v1");
    lands(repo, &["--revision=outer"], &commit, "HEAD").await;
}

#[tokio::test]
async fn a_whole_id_within_history_is_checked_out_on_no_branch() {
    let repo = history();
    let commit = of(&repo, "v1");
    lands(repo, &["--revision", &commit], &commit, "HEAD").await;
}

#[tokio::test]
async fn a_whole_id_may_be_written_in_capitals() {
    let repo = history();
    let commit = of(&repo, "v1");
    lands(repo, &["--revision", &commit.to_uppercase()], &commit, "HEAD").await;
}

#[tokio::test]
async fn a_whole_id_that_a_branch_is_at_is_checked_out_on_no_branch() {
    for branch in ["main", "dev"] {
        let repo = history();
        let commit = of(&repo, branch);
        lands(repo, &["--revision", &commit], &commit, "HEAD").await;
    }
}

#[tokio::test]
async fn a_short_id_is_found_in_the_history_of_any_branch() {
    for (revision, digits) in [("v1", 7), ("dev", 10), ("feature/x", 4)] {
        let repo = history();
        let commit = of(&repo, revision);
        lands(repo, &["--revision", &commit[..digits]], &commit, "HEAD").await;
    }
}

#[tokio::test]
async fn commits_are_counted_from_head_from_a_branch_and_from_a_tag() {
    for (revision, same) in [
        ("HEAD~1", "v1"),
        ("HEAD^", "v1"),
        ("dev~1", "main"),
        ("feature/x~2", "main"),
        ("origin/dev~2", "v1"),
        ("v1^{commit}", "v1"),
        ("v1-note^0", "v1"),
        ("refs/heads/dev~1", "main"),
    ] {
        let repo = history();
        let commit = of(&repo, same);
        lands(repo, &["--revision", revision], &commit, "HEAD").await;
    }
}

#[tokio::test]
async fn commits_are_counted_from_an_id_whole_or_short() {
    for digits in [40, 8] {
        let repo = history();
        let (dev, commit) = (of(&repo, "dev"), of(&repo, "main"));
        lands(repo, &["--revision", &format!("{}~1", &dev[..digits])], &commit, "HEAD").await;
    }
}

#[tokio::test]
async fn the_output_of_git_describe_is_a_revision() {
    let repo = history();
    let described = repo.git(&["describe", "--tags", "--long", "dev"]);
    assert!(described.contains("-g"), "{described}");
    let commit = of(&repo, "dev");
    lands(repo, &["--revision", &described], &commit, "HEAD").await;
}

#[tokio::test]
async fn whole_names_of_refs_are_checked_out_on_no_branch() {
    for (revision, same) in [("refs/heads/dev", "dev"), ("refs/tags/v1-note", "v1"), ("refs/tags/v1", "v1")] {
        let repo = history();
        let commit = of(&repo, same);
        lands(repo, &["--revision", revision], &commit, "HEAD").await;
    }
}

/// A commit that only a ref of a pull request holds.
pub fn with_pull() -> (GitRepo, String) {
    let repo = history();
    repo.git(&["checkout", "--quiet", "--detach"]);
    let below = repo.commit(&[("a", "below")], "below");
    let commit = repo.commit(&[("a", "pull")], "pull");
    repo.git(&["update-ref", "refs/pull/1/head", &commit]);
    repo.checkout("main");
    (repo, below)
}

#[tokio::test]
async fn a_ref_that_is_neither_branch_nor_tag_is_found_and_not_kept() {
    for revision in ["refs/pull/1/head", "pull/1/head"] {
        let (repo, _) = with_pull();
        let commit = of(&repo, "refs/pull/1/head");
        lands(repo, &["--revision", revision], &commit, "HEAD").await;
    }
}

#[tokio::test]
async fn commits_are_counted_from_a_ref_that_is_neither_branch_nor_tag() {
    let (repo, below) = with_pull();
    lands(repo, &["--revision=refs/pull/1/head~1"], &below, "HEAD").await;
}

#[tokio::test]
async fn an_id_that_only_such_a_ref_reaches_is_found_whether_or_not_the_server_gives_out_ids() {
    for allowed in ["true", "false"] {
        let (repo, below) = with_pull();
        repo.git(&["config", "uploadpack.allowAnySHA1InWant", allowed]);
        lands(repo, &["--revision", &below], &below, "HEAD").await;
        let (repo, below) = with_pull();
        repo.git(&["config", "uploadpack.allowAnySHA1InWant", allowed]);
        lands(repo, &["--revision", &below[..9]], &below, "HEAD").await;
    }
}

#[tokio::test]
async fn an_id_that_no_ref_reaches_is_there_when_the_server_gives_out_ids() {
    let scene = Scene::new().await;
    scene.repo.git(&["checkout", "--quiet", "--detach"]);
    let lost = scene.repo.commit(&[("a", "lost")], "lost");
    scene.repo.checkout("main");
    scene.clone(&["--revision", &lost]).await.failed(66, &[&lost]);
    scene.repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let ended = scene.clone(&["--revision", &lost]).await;
    stands(&scene.lab, &ended, &lost, "HEAD");
    assert_eq!(text(&scene.lab, "a"), "lost");
}

#[tokio::test]
async fn a_remote_whose_head_is_on_no_branch_gives_a_clone_on_none() {
    let repo = history();
    let commit = of(&repo, "main~1");
    repo.checkout(&commit);
    lands(repo, &[], &commit, "HEAD").await;
}

#[tokio::test]
async fn a_default_branch_without_commits_does_not_hide_the_others() {
    let repo = history();
    repo.git(&["symbolic-ref", "HEAD", "refs/heads/unborn"]);
    let commit = of(&repo, "dev");
    lands(repo, &["--revision=dev"], &commit, "dev").await;
}

#[tokio::test]
async fn links_executables_and_foreign_names_are_checked_out_as_they_are() {
    let scene = Scene::new().await;
    let path = scene.repo.path();
    std::os::unix::fs::symlink("a", path.join("link")).unwrap();
    scene.repo.git(&["add", "link"]);
    scene.repo.commit(&[("run", "#!/bin/sh\n"), ("größe/ü \"x\"", "utf"), ("crlf", "1\r\n2\n")], "kinds");
    scene.repo.git(&["update-index", "--chmod=+x", "run"]);
    let commit = scene.repo.commit(&[], "mode");
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &commit, "main");
    assert_eq!(text(&scene.lab, "größe/ü \"x\""), "utf");
    assert_eq!(text(&scene.lab, "crlf"), "1\r\n2\n");
    let code = super::scene::code(&scene.lab);
    assert_eq!(std::fs::read_link(code.join("link")).unwrap().to_str(), Some("a"));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(code.join("run")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o755);
}

#[tokio::test]
async fn a_tag_is_taken_from_a_repository_without_any_branch() {
    let scene = Scene::new().await;
    let commit = of(&scene.repo, "v1");
    scene.repo.checkout("v1");
    for branch in ["main", "dev", "feature/x"] {
        scene.repo.git(&["branch", "--quiet", "-D", branch]);
    }
    for more in [&["--revision=v1"][..], &[]] {
        let lab = Lab::empty();
        let ended = clone(&lab, &scene.url(), more).await;
        stands(&lab, &ended, &commit, "HEAD");
    }
}
