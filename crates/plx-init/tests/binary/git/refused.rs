//! Revisions and addresses that are none: an error of the right class, and nothing under the clone's name.

use super::scene::{RUN, Scene, clone, history, misses, nothing_left, tracked};
use crate::lab::Lab;
use plx_testkit::GitRepo;

#[tokio::test]
async fn r7_a_mistyped_revision_is_66_suggests_the_right_one_and_warns_the_platform() {
    for (wrong, right) in [("dew", "dev"), ("feature/y", "feature/x"), ("v1-nots", "v1-note")] {
        let mut scene = Scene::new().await;
        let api = tracked(&mut scene.lab).await;
        let ended = scene.clone(&["--revision", wrong]).await;
        ended.failed(66, &[&format!("`{wrong}`"), &format!("did you mean `{right}`?")]);
        nothing_left(&scene.lab);
        let [status] = &api.statuses(RUN)[..] else { panic!("{:?}", api.calls()) };
        assert_eq!(
            (&status["condition"]["type"], &status["condition"]["reason"]),
            (&"warning".into(), &"GitInitializer".into())
        );
        assert_eq!(api.artifacts(RUN), Vec::<serde_json::Value>::new());
    }
}

#[tokio::test]
async fn a_revision_that_is_like_no_other_is_66_and_says_where_it_was_looked_for() {
    misses(history(), &["--revision=zzzzzzzzzz"], 66, &["3 there", "a tag (2)", "was pushed"]).await;
}

#[tokio::test]
async fn an_id_that_is_nowhere_is_66() {
    for id in ["0123456789012345678901234567890123456789", "0123456", "dead", &"0".repeat(40)] {
        misses(history(), &["--revision", id], 66, &[id]).await;
    }
}

#[tokio::test]
async fn too_few_digits_are_66() {
    let repo = history();
    let start = repo.head()[..3].to_owned();
    misses(repo, &["--revision", &start], 66, &[&start]).await;
}

#[tokio::test]
async fn the_name_of_a_file_or_folder_is_no_revision() {
    for name in ["a", "src", "src/b", "./a", "."] {
        misses(history(), &["--revision", name], 66, &[name]).await;
    }
}

#[tokio::test]
async fn a_file_in_a_commit_is_no_revision() {
    for name in ["HEAD:a", "main:src", "HEAD:", "HEAD^{tree}", "v1-note^{tree}"] {
        misses(history(), &["--revision", name], 66, &[name]).await;
    }
}

#[tokio::test]
async fn an_id_of_a_file_is_no_revision() {
    let repo = history();
    let file = repo.git(&["rev-parse", "HEAD:a"]);
    misses(repo, &["--revision", &file], 66, &[&file]).await;
}

#[tokio::test]
async fn a_tag_of_a_file_is_no_revision() {
    let repo = history();
    repo.git(&["tag", "of-a-file", "HEAD:a"]);
    misses(repo, &["--revision=of-a-file"], 66, &["of-a-file"]).await;
}

#[tokio::test]
async fn a_tag_of_a_file_does_not_hinder_a_clone() {
    let repo = history();
    repo.git(&["tag", "of-a-file", "HEAD:a"]);
    let head = repo.head();
    super::scene::lands(repo, &[], &head, "main").await;
}

#[tokio::test]
async fn counting_below_the_first_commit_is_66() {
    for revision in ["HEAD~9", "dev~9", "v1^", "HEAD^2"] {
        misses(history(), &["--revision", revision], 66, &[revision]).await;
    }
}

#[tokio::test]
async fn a_range_or_several_words_are_no_revision() {
    for revision in ["main..dev", "main dev", "^dev", "dev~x", "dev^{", "@{u}", "--all", "dev\n"] {
        misses(history(), &["--revision", revision], 66, &[]).await;
    }
}

#[tokio::test]
async fn a_revision_with_a_dash_is_data_and_no_option() {
    let scene = Scene::new().await;
    let file = scene.lab.path("touched");
    let command = format!("--upload-pack=touch {}", file.display());
    for revision in ["-x", "--", "-", "--help", "-b", &command] {
        for words in
            [vec![format!("--revision={revision}")], vec!["--revision".to_owned(), revision.to_owned()]]
        {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            scene.clone(&words).await.failed(66, &[revision]);
        }
    }
    nothing_left(&scene.lab);
    assert!(!file.exists());
}

#[tokio::test]
async fn an_address_with_a_dash_is_data_and_no_option() {
    let lab = Lab::empty();
    let file = lab.path("touched");
    let touch = format!("touch {}", file.display());
    for url in [
        format!("--upload-pack={touch}"),
        format!("-u{touch}"),
        format!("ssh://-oProxyCommand={touch}/repo"),
        format!("-oProxyCommand={touch}:repo"),
        format!("ext::sh -c '{touch}'"),
        format!("ssh://git@127.0.0.1:1/;{touch}"),
        format!("file://`{touch}`"),
        format!("| {touch}"),
    ] {
        let ended = clone(&lab, &url, &[]).await;
        assert!([64, 66, 78].contains(&ended.code), "{url}: {ended:?}");
        assert!(ended.report["next"].is_string(), "{url}: {ended:?}");
    }
    nothing_left(&lab);
    assert!(!file.exists());
}

#[tokio::test]
async fn a_branch_flag_with_a_dash_is_data_and_no_option() {
    let scene = Scene::new().await;
    let file = scene.lab.path("touched");
    let flags = serde_json::json!([format!("--branch='--upload-pack=touch {}'", file.display())]);
    scene.clone(&[&format!("--flags={flags}")]).await.failed(66, &["--upload-pack"]);
    nothing_left(&scene.lab);
    assert!(!file.exists());
}

#[tokio::test]
async fn an_address_that_is_none_is_64_and_tells_the_platform_so() {
    for url in ["", " ", "https://", "http://host:99999/r", "https:/host/r", "http://[::1/r", "git@host:"] {
        let mut lab = Lab::empty();
        let api = tracked(&mut lab).await;
        clone(&lab, url, &[]).await.failed(64, &[]);
        nothing_left(&lab);
        let [status] = &api.statuses(RUN)[..] else { panic!("{url}: {:?}", api.calls()) };
        let message = status["condition"]["message"].as_str().unwrap();
        assert!(message.starts_with("Error parsing git url."), "{message}");
    }
}

#[tokio::test]
async fn an_address_of_a_kind_that_is_not_supported_is_78() {
    for url in ["ftp://host/r", "svn://host/r", "rsync://host/r", "ext::sh"] {
        let lab = Lab::empty();
        clone(&lab, url, &[]).await.failed(78, &["not supported", "https://"]);
        nothing_left(&lab);
    }
}

#[tokio::test]
async fn an_empty_repository_is_66_and_says_so() {
    for more in [&[][..], &["--revision=main"], &["--revision=HEAD~1"], &["--flags=--depth=1"]] {
        misses(GitRepo::new(), more, 66, &["empty"]).await;
    }
}

#[tokio::test]
async fn a_default_branch_without_commits_is_66_when_no_revision_is_named() {
    for more in [&[][..], &["--revision=HEAD"], &["--revision=HEAD~1"]] {
        let repo = history();
        repo.git(&["symbolic-ref", "HEAD", "refs/heads/unborn"]);
        misses(repo, more, 66, &["HEAD"]).await;
    }
}
