//! `--flags`: what of `git clone`'s options is understood, and what is refused.

use super::scene::{
    Scene, clone, code, git, history, holds_nowhere, lands, misses, nothing_left, small, stands,
};
use crate::lab::Lab;
use plx_testkit::{GitHttp, GitRepo};
use serde_json::json;
use std::fs;

fn commit(repo: &GitRepo, revision: &str) -> String {
    repo.git(&["rev-parse", &format!("{revision}^{{commit}}")])
}

#[tokio::test]
async fn single_branch_brings_that_branch_alone() {
    for (more, branch) in [(&[][..], "main"), (&["--revision=dev"], "dev")] {
        let scene = Scene::new().await;
        let ended = scene.clone(&[&["--flags=--single-branch"], more].concat()).await;
        stands(&scene.lab, &ended, &commit(&scene.repo, branch), branch);
        let remotes = git(&scene.lab, &["for-each-ref", "--format=%(refname)", "refs/remotes"]);
        let known = |name: &str| {
            [format!("refs/remotes/origin/{branch}"), "refs/remotes/origin/HEAD".into()]
                .contains(&name.to_owned())
        };
        assert!(remotes.lines().all(known), "{remotes}");
        let spec = format!("+refs/heads/{branch}:refs/remotes/origin/{branch}");
        assert_eq!(git(&scene.lab, &["config", "--get-all", "remote.origin.fetch"]), spec);
    }
}

#[tokio::test]
async fn branch_names_what_is_checked_out_without_a_revision() {
    let repo = history();
    let dev = commit(&repo, "dev");
    lands(repo, &["--flags=[\"--branch dev\"]"], &dev, "dev").await;
}

#[tokio::test]
async fn branch_may_be_a_tag_and_then_head_is_on_none() {
    let repo = history();
    let tagged = commit(&repo, "v1");
    lands(repo, &["--flags=-b v1-note"], &tagged, "HEAD").await;
}

#[tokio::test]
async fn a_revision_counts_from_the_branch_of_the_flags() {
    let repo = history();
    let main = commit(&repo, "main");
    lands(repo, &["--flags=-b dev", "--revision=HEAD~1"], &main, "HEAD").await;
}

#[tokio::test]
async fn a_branch_of_the_flags_that_is_not_there_is_66() {
    misses(history(), &["--flags=--branch=dew"], 66, &["`dew`", "did you mean `dev`?"]).await;
    misses(history(), &["--flags=--branch=dew", "--revision=v1"], 66, &["`dew`"]).await;
}

#[tokio::test]
async fn no_tags_brings_none_and_a_tag_may_still_be_the_revision() {
    let scene = Scene::new().await;
    let ended = scene.clone(&["--flags=--no-tags"]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(git(&scene.lab, &["tag"]), "");
    assert_eq!(git(&scene.lab, &["config", "remote.origin.tagOpt"]), "--no-tags");
    let repo = history();
    let tagged = commit(&repo, "v1-note");
    lands(repo, &["--flags=--no-tags", "--revision=v1-note"], &tagged, "HEAD").await;
}

#[tokio::test]
async fn experimental_fetch_brings_the_revision_alone_and_leaves_head_on_no_branch() {
    for revision in ["dev", "v1", "refs/heads/dev"] {
        let scene = Scene::new().await;
        let ended = scene.clone(&["--flags=[\"--experimental-fetch\"]", "--revision", revision]).await;
        stands(&scene.lab, &ended, &commit(&scene.repo, revision), "HEAD");
        let remotes = git(&scene.lab, &["for-each-ref", "--format=%(refname)", "refs/remotes"]);
        assert!(!remotes.contains("feature/x"), "{remotes}");
    }
}

#[tokio::test]
async fn experimental_fetch_without_a_revision_is_the_default_branch_on_no_branch() {
    let repo = history();
    repo.git(&["symbolic-ref", "HEAD", "refs/heads/feature/x"]);
    let commit = commit(&repo, "feature/x");
    lands(repo, &["--flags=--experimental-fetch"], &commit, "HEAD").await;
}

#[tokio::test]
async fn experimental_fetch_of_an_id_with_a_depth_brings_one_commit() {
    let scene = Scene::new().await;
    scene.repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let id = commit(&scene.repo, "main");
    scene.repo.checkout("dev");
    let ended = scene.clone(&["--flags=--experimental-fetch,--depth=1", "--revision", &id]).await;
    stands(&scene.lab, &ended, &id, "HEAD");
    assert_eq!(git(&scene.lab, &["rev-list", "--count", "HEAD"]), "1");
}

#[tokio::test]
async fn experimental_fetch_of_what_is_not_there_is_66() {
    misses(history(), &["--flags=--experimental-fetch", "--revision=nope-nope"], 66, &["nope-nope"]).await;
}

#[tokio::test]
async fn an_extra_header_goes_to_the_main_host_alone_and_into_no_file() {
    let (other, part) = (GitHttp::start().await, small("s", "s"));
    other.serve("part", &part);
    let mut scene = Scene::new().await;
    scene.repo.name_submodule(&other.url("part"), "part", &part.head());
    scene.repo.commit(&[], "with a part");
    scene.lab.plant("header-token-0123");
    let flags = json!(["--recurse-submodules", "-c 'http.extraHeader=X-Token: header-token-0123'"]);
    let ended = scene.clone(&[&format!("--flags={flags}")]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert!(code(&scene.lab).join("part/s").is_file());
    let sent = |http: &GitHttp| {
        let seen = http.requests();
        (seen.len(), seen.iter().filter(|seen| seen.header("x-token") == Some("header-token-0123")).count())
    };
    let (main, others) = (sent(&scene.http), sent(&other));
    assert!(main.0 > 0 && main.0 == main.1, "{main:?}");
    assert!(others.0 > 0 && others.1 == 0, "{others:?}");
    holds_nowhere(&scene.lab, "header-token-0123");
}

#[tokio::test]
async fn a_user_agent_is_sent() {
    let scene = Scene::new().await;
    scene.clone(&["--flags=-c http.userAgent=git/9.9"]).await.succeeded();
    assert!(scene.http.requests().iter().all(|seen| seen.header("user-agent") == Some("git/9.9")));
    let scene = Scene::new().await;
    scene.clone(&[]).await.succeeded();
    let agents: Vec<_> =
        scene.http.requests().iter().map(|seen| seen.header("user-agent").unwrap().to_owned()).collect();
    assert!(agents.iter().all(|agent| agent.starts_with("git/")), "servers know git by that: {agents:?}");
}

#[tokio::test]
async fn settings_for_main_are_written_to_the_clone() {
    let scene = Scene::new().await;
    let flags =
        json!(["-c user.name='Jane Doe'", "-c", "core.autocrlf=input", "-c advice.detachedHead=false"]);
    let ended = scene.clone(&[&format!("--flags={flags}")]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    for (key, value) in
        [("user.name", "Jane Doe"), ("core.autocrlf", "input"), ("advice.detachedHead", "false")]
    {
        assert_eq!(git(&scene.lab, &["config", "--local", key]), value);
    }
}

#[tokio::test]
async fn an_address_may_be_replaced_and_the_clone_keeps_the_one_that_was_written() {
    let scene = Scene::new().await;
    let base = scene.url().replace("org/repo.git", "");
    let flag = format!("--flags=-c url.{base}.insteadOf=git@git.example:");
    let ended = clone(&scene.lab, "git@git.example:org/repo.git", &[&flag]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(git(&scene.lab, &["config", "remote.origin.url"]), "git@git.example:org/repo.git");
}

/// Every flag that is refused, with a word of what is said instead.
const REFUSED: [(&str, &str); 23] = [
    ("--filter=blob:none", "--depth"),
    ("--upload-pack=touch x", "--upload-pack"),
    ("-u touch", "--upload-pack"),
    ("--template=/tmp", "--template"),
    ("--reference=/tmp", "--reference"),
    ("--shallow-since=2020-01-01", "--shallow-since"),
    ("--bare", "--bare"),
    ("--mirror", "--mirror"),
    ("--no-checkout", "--no-checkout"),
    ("--sparse", "--sparse"),
    ("--origin=other", "--origin"),
    ("--separate-git-dir=/tmp/x", "--separate-git-dir"),
    ("--bundle-uri=https://h", "--bundle-uri"),
    ("--config=core.sshCommand=x", "core.sshcommand"),
    ("-c core.sshCommand=touch", "core.sshcommand"),
    ("-c core.hooksPath=/tmp", "core.hookspath"),
    ("-c core.fsmonitor=/bin/x", "core.fsmonitor"),
    ("-c credential.helper=!touch", "credential"),
    ("-c filter.x.clean=touch", "filter"),
    ("-c alias.st=!touch", "alias"),
    ("-c protocol.ext.allow=always", "protocol"),
    ("-c include.path=/tmp/x", "include"),
    ("-c remote.origin.uploadpack=touch", "remote"),
];

#[tokio::test]
async fn every_flag_that_is_refused_is_64_by_name_before_anybody_is_asked() {
    let scene = Scene::new().await;
    for (flag, word) in REFUSED {
        scene.clone(&[&format!("--flags={flag}")]).await.failed(64, &[word]);
        scene.clone(&[&format!("--flags={}", json!([flag]))]).await.failed(64, &[word]);
    }
    nothing_left(&scene.lab);
    assert_eq!(scene.http.requests(), []);
}

#[tokio::test]
async fn a_mistyped_or_broken_flag_is_64_and_its_value_is_not_repeated() {
    let mut scene = Scene::new().await;
    scene.lab.plant("secret-in-a-flag");
    for (flags, word) in [
        ("--dept=1", "depth"),
        ("--depth=secret-in-a-flag", "--depth"),
        ("--depth=0", "at least 1"),
        ("--depth", "--depth"),
        ("--single-branch=secret-in-a-flag", "--single-branch"),
        ("-c http.extraHeadr=secret-in-a-flag", "extraheader"),
        ("-c secret-in-a-flag", "-c"),
        ("secret-in-a-flag", "no option"),
        ("--depth 1 'secret-in-a-flag", "quote"),
        ("[\"--depth 1\", secret-in-a-flag]", "JSON"),
        ("[1]", "JSON"),
        ("{}", "no option"),
    ] {
        scene.clone(&["--flags", flags]).await.failed(64, &[word]);
    }
    nothing_left(&scene.lab);
    assert_eq!(scene.http.requests(), []);
}

#[tokio::test]
async fn no_flags_in_any_form_are_no_flags() {
    let scene = Scene::new().await;
    for flags in ["", " ", "[]", "[\"\"]", ","] {
        let lab = Lab::empty();
        let ended = clone(&lab, &scene.url(), &["--flags", flags]).await;
        stands(&lab, &ended, &scene.repo.head(), "main");
    }
}

#[tokio::test]
async fn a_hook_or_filter_of_the_repository_is_not_run() {
    let scene = Scene::new().await;
    let file = scene.lab.path("touched");
    let hook = scene.repo.path().join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", file.display())).unwrap();
    std::os::unix::fs::symlink("/nonexistent", scene.repo.path().join("out")).unwrap();
    scene.repo.git(&["add", "out"]);
    scene.repo.commit(&[(".gitattributes", "* filter=x diff=y\n")], "attributes");
    scene.repo.git(&["config", "filter.x.smudge", &format!("touch {}", file.display())]);
    for url in [scene.url(), scene.repo.url()] {
        let lab = Lab::empty();
        let ended = clone(&lab, &url, &[]).await;
        stands(&lab, &ended, &scene.repo.head(), "main");
    }
    assert!(!file.exists());
}
