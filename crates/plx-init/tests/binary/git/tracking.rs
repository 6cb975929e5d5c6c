//! What the platform is told.

use super::scene::{RUN, Scene, clone, nothing_left, small, stands, tracked};
use crate::lab::Lab;
use plx_testkit::{GitHttp, loopback};
use serde_json::json;

#[tokio::test]
async fn the_code_is_told_in_one_call_in_the_words_of_the_contract() {
    for (connection, told) in [(None, ""), (Some("--connection=repo1"), r#""connection":"repo1","#)] {
        let mut scene = Scene::new().await;
        let api = tracked(&mut scene.lab).await;
        let more: Vec<_> = connection.into_iter().chain(["--revision=dev"]).collect();
        scene.clone(&more).await.succeeded();
        let (commit, url) = (scene.repo.git(&["rev-parse", "dev"]), scene.url());
        let [call] = &api.calls()[..] else { panic!("{:?}", api.calls()) };
        let path = format!("/api/v1/owner-name/project-name/runs/{RUN}/lineage/artifacts");
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", path.as_str()));
        assert_eq!(call.header("authorization"), Some("Token agent-token-0"));
        let summary = format!(r#"{{"commit":"{commit}","branch":"dev","url":"{url}"}}"#);
        let head = format!(r#"{{"artifacts":[{{"name":"{commit}","kind":"coderef","summary":"#);
        assert_eq!(call.text, format!("{head}{summary},{told}\"is_input\":true}}]}}"));
    }
}

/// The url of the code reference for an address that is asked for on a server of the test.
async fn code_url(url: &str, from: &str, revision: &str) -> serde_json::Value {
    let (http, repo, mut lab) = (GitHttp::start().await, small("a", "1"), Lab::empty());
    http.serve("it", &repo);
    let api = tracked(&mut lab).await;
    let flag = format!("--flags=-c 'url.{}.insteadOf={from}'", http.url("it"));
    let ended = clone(&lab, url, &[&flag, "--revision", revision]).await;
    stands(&lab, &ended, &repo.head(), if revision.is_empty() { "main" } else { "HEAD" });
    let found = api.artifacts(RUN);
    let summary = &found[0]["summary"];
    assert_eq!(summary["branch"], if revision.is_empty() { "main" } else { "HEAD" });
    summary["url"].clone()
}

/// `fixtures/git/code_refs.json`; the one with a login is told without it, other than there.
#[tokio::test]
async fn the_address_that_is_told_is_one_that_people_open() {
    for (url, told) in [
        ("https://github.com/org/repo.git", "https://github.com/org/repo.git"),
        ("git@github.com:org/repo.git", "https://github.com/org/repo"),
        ("ssh://git@host:2222/org/repo.git", "https://host/2222/org/repo"),
        ("https://user:tok@github.com/o/r", "https://github.com/o/r"),
        ("https://token-0123@github.com/o/r", "https://github.com/o/r"),
        ("ssh://jane@host/r.git", "ssh://jane@host/r.git"),
    ] {
        assert_eq!(code_url(url, url, "").await, told, "{url}");
    }
    assert_eq!(code_url("https://x/y", "https://x/y", "HEAD~0").await, "https://x/y");
}

#[tokio::test]
async fn nothing_is_told_when_there_is_no_api() {
    let mut scene = Scene::new().await;
    let api = tracked(&mut scene.lab).await;
    scene.lab.set("POLYAXON_NO_API", "true");
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    let lab = Lab::empty();
    let mut failing = lab;
    failing.set("POLYAXON_NO_API", "true");
    failing.set("POLYAXON_HOST", &api.url());
    clone(&failing, &scene.url(), &["--revision=nope-nope"]).await.failed(66, &[]);
    assert_eq!(api.calls(), []);
}

#[tokio::test]
async fn an_api_that_is_down_or_refuses_does_not_fail_the_job() {
    let mut scene = Scene::new().await;
    let api = tracked(&mut scene.lab).await;
    api.fail("/lineage/artifacts", 500, 100);
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    let mut lab = Lab::empty();
    let _api = tracked(&mut lab).await;
    lab.set("POLYAXON_HOST", &format!("http://127.0.0.1:{}", loopback::free_port()));
    let ended = clone(&lab, &scene.url(), &[]).await;
    stands(&lab, &ended, &scene.repo.head(), "main");
}

#[tokio::test]
async fn a_failure_is_told_as_one_warning_in_the_words_of_the_contract() {
    let mut scene = Scene::new().await;
    let api = tracked(&mut scene.lab).await;
    let url = scene.http.url("org/none");
    clone(&scene.lab, &url, &["--connection=repo1"]).await.failed(66, &[]);
    nothing_left(&scene.lab);
    let [call] = &api.calls()[..] else { panic!("{:?}", api.calls()) };
    assert_eq!(call.path, format!("/api/v1/owner-name/project-name/runs/{RUN}/statuses"));
    let mut condition = call.body["condition"].clone();
    for time in ["last_update_time", "last_transition_time"] {
        assert!(condition[time].as_str().unwrap().contains("+00:00"), "{condition}");
        condition.as_object_mut().unwrap().remove(time);
    }
    let message = "Error cloning git repo. Please check the git init container's logs for more details.";
    let want = json!({"type": "warning", "status": true, "reason": "GitInitializer", "message": message});
    assert_eq!(condition, want);
}

#[tokio::test]
async fn a_job_that_cannot_be_understood_is_told_as_a_warning_too() {
    for more in ["--flags=--upload-pack=x", "--flags=--depth 0"] {
        let mut scene = Scene::new().await;
        let api = tracked(&mut scene.lab).await;
        scene.clone(&[more]).await.failed(64, &[]);
        assert_eq!(api.statuses(RUN).len(), 1, "{more}");
    }
    let mut scene = Scene::new().await;
    let api = tracked(&mut scene.lab).await;
    scene.lab.set("PLX_SSH_KNOWN_HOSTS", "/nonexistent");
    scene.clone(&[]).await.failed(78, &[]);
    assert_eq!(api.statuses(RUN).len(), 1);
}
