//! A login stays with its host.

use super::scene::{Scene, clone, keeps_to_itself, nothing_left, small, stands};
use plx_testkit::{GitHttp, GitRepo, PrivateCa};
use std::fs;

const PASSWORD: &str = "right-password-0";

/// `/old/…` on the first server leads to `/org/…` on the second, which has the repository.
async fn moved() -> (Scene, GitHttp) {
    let (scene, first) = (Scene::of(small("a", "1")).await, GitHttp::start().await);
    first.redirect("/old/", &format!("http://{}/org/", scene.http.addr()));
    (scene, first)
}

#[tokio::test]
async fn a_redirect_on_the_same_host_keeps_the_login() {
    let mut scene = Scene::new().await;
    scene.http.redirect("/old/", "/org/");
    scene.http.password("user", PASSWORD);
    scene.lab.secret("POLYAXON_GIT_CREDENTIALS", &format!("user:{PASSWORD}"));
    let ended = clone(&scene.lab, &scene.http.url("old/repo"), &[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    keeps_to_itself(&scene.lab, &ended, &scene.http, &[PASSWORD]);
    let posts = scene.http.requests().into_iter().filter(|seen| seen.method == "POST");
    assert!(posts.into_iter().all(|seen| seen.path_and_query.starts_with("/org/")));
}

#[tokio::test]
async fn a_redirect_to_another_host_is_followed_without_the_login() {
    let (mut scene, first) = moved().await;
    scene.lab.secret("POLYAXON_GIT_CREDENTIALS", &format!("user:{PASSWORD}"));
    let url = first.url("old/repo").replace("://", &format!("://user:{PASSWORD}@"));
    let ended = clone(&scene.lab, &url, &[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert!(scene.http.requests().iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn another_host_that_asks_after_a_redirect_does_not_get_the_login() {
    let (mut scene, first) = moved().await;
    scene.http.password("user", PASSWORD);
    scene.lab.secret("POLYAXON_GIT_CREDENTIALS", &format!("user:{PASSWORD}"));
    clone(&scene.lab, &first.url("old/repo"), &[]).await.failed(77, &["without credentials"]);
    nothing_left(&scene.lab);
    assert!(scene.http.requests().iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn another_host_that_asks_after_a_redirect_gets_what_the_store_has_for_it() {
    let (mut scene, first) = moved().await;
    scene.http.password("second", "second-password-0");
    let store = scene.lab.path("store");
    let lines = [
        format!("http://user:{PASSWORD}@{}\n", first.addr()),
        format!("http://second:second-password-0@{}\n", scene.http.addr()),
    ];
    fs::write(&store, lines.concat()).unwrap();
    scene.lab.set("POLYAXON_GIT_CREDENTIALS_STORE", &store.display().to_string());
    let ended = clone(&scene.lab, &first.url("old/repo"), &[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    keeps_to_itself(&scene.lab, &ended, &scene.http, &[PASSWORD, "second-password-0"]);
}

#[tokio::test]
async fn an_extra_header_does_not_follow_to_another_host() {
    let (mut scene, first) = moved().await;
    scene.lab.plant("header-token-0123");
    let flags = "--flags=-c 'http.extraHeader=Authorization: Bearer header-token-0123'";
    let ended = clone(&scene.lab, &first.url("old/repo"), &[flags]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert!(first.requests().iter().all(|seen| seen.header("authorization").is_some()));
    assert!(scene.http.requests().iter().all(|seen| seen.header("authorization").is_none()));
}

#[tokio::test]
async fn a_login_in_a_location_header_is_not_shown() {
    let (scene, first) = (Scene::of(small("a", "1")).await, GitHttp::start().await);
    let mut lab = crate::lab::Lab::empty();
    lab.plant("location-password-0");
    lab.set("POLYAXON_LOG_LEVEL", "trace");
    first.redirect("/old/", &format!("http://u:location-password-0@{}/org/", scene.http.addr()));
    let ended = clone(&lab, &first.url("old/repo"), &[]).await;
    stands(&lab, &ended, &scene.repo.head(), "main");
    keeps_to_itself(&lab, &ended, &scene.http, &["location-password-0"]);
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused() {
    let (mut scene, ca) = (Scene::of(small("a", "1")).await, PrivateCa::new());
    let front = scene.http.tls(&ca).await;
    ca.write_to(&scene.lab.path("ca.pem")).unwrap();
    scene.lab.set("POLYAXON_SSL_CA_CERT", &scene.lab.path("ca.pem").display().to_string());
    scene.http.redirect("/old/", &format!("http://{}/org/", scene.http.addr()));
    let url = scene.http.url_through(&front.url(), "old/repo");
    clone(&scene.lab, &url, &[]).await.failed(78, &["not as safe"]);
    nothing_left(&scene.lab);
    assert_eq!(scene.http.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_to_this_machines_files_or_in_a_circle_is_refused() {
    let (scene, secret): (Scene, GitRepo) = (Scene::new().await, small("a", "1"));
    scene.http.redirect("/file/", &format!("{}?x=", secret.url()));
    scene.http.redirect("/circle/", "/circle/");
    for name in ["file/repo", "circle/repo"] {
        clone(&scene.lab, &scene.http.url(name), &[]).await.failed(78, &[&scene.http.url(name)]);
    }
    nothing_left(&scene.lab);
    assert!(scene.http.requests().len() < 20);
}

#[tokio::test]
async fn redirects_are_not_followed_when_a_flag_says_so() {
    let (scene, first) = moved().await;
    let ended = clone(&scene.lab, &first.url("old/repo"), &["--flags=-c http.followRedirects=false"]).await;
    ended.failed(78, &["301"]);
    assert_eq!(scene.http.requests(), []);
}
