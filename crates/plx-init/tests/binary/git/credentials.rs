//! Logins over HTTP: who gets them, and that nobody else ever sees them.

use super::scene::{RUN, Scene, clone, git, holds_nowhere, keeps_to_itself, nothing_left, stands, tracked};
use crate::lab::Lab;
use plx_testkit::{FaultProxy, Match, SeenGit};
use std::fs;

const PASSWORD: &str = "right-password-0";

async fn private() -> Scene {
    let scene = Scene::new().await;
    scene.http.password("user", PASSWORD);
    scene
}

fn login(seen: &SeenGit) -> Option<(String, String)> {
    seen.login()
}

#[tokio::test]
async fn r8_right_credentials_open_the_repository_and_are_kept_nowhere() {
    for level in ["info", "trace"] {
        let mut scene = private().await;
        let api = tracked(&mut scene.lab).await;
        scene.lab.set("POLYAXON_LOG_LEVEL", level);
        scene.lab.secret("POLYAXON_GIT_CREDENTIALS", &format!("user:{PASSWORD}"));
        scene.lab.plant(PASSWORD);
        let ended = scene.clone(&["--revision=dev", "--connection=repo1"]).await;
        stands(&scene.lab, &ended, &scene.repo.git(&["rev-parse", "dev"]), "dev");
        keeps_to_itself(&scene.lab, &ended, &scene.http, &[PASSWORD]);
        assert!(api.calls().iter().all(|call| !call.text.contains(PASSWORD)), "{:?}", api.calls());
        assert_eq!(api.artifacts(RUN)[0]["summary"]["url"], scene.url());
        assert_eq!(git(&scene.lab, &["config", "remote.origin.url"]), scene.url());
        // Nobody is told who asks before it is known that they want to know.
        let first = &scene.http.requests()[0];
        assert_eq!((first.status, first.header("authorization")), (Some(401), None));
    }
}

#[tokio::test]
async fn wrong_credentials_are_77_at_once() {
    let mut scene = private().await;
    scene.lab.set("PLX_RETRY_SECONDS", "30");
    scene.lab.secret("POLYAXON_GIT_CREDENTIALS", "user:wrong-password-0");
    scene.clone(&[]).await.failed(77, &[&scene.url(), "refuses the credentials", "still valid"]);
    nothing_left(&scene.lab);
    assert_eq!(scene.http.requests().len(), 2, "{:?}", scene.http.requests());
}

#[tokio::test]
async fn no_credentials_are_77_and_the_next_step_names_the_variable() {
    let mut scene = private().await;
    scene.lab.set("PLX_RETRY_SECONDS", "30");
    scene.clone(&[]).await.failed(77, &["without credentials", "POLYAXON_GIT_CREDENTIALS=user:token"]);
    nothing_left(&scene.lab);
    assert_eq!(scene.http.requests().len(), 1);
}

#[tokio::test]
async fn empty_credentials_are_none() {
    for empty in ["", ":", " ", "\n"] {
        let mut scene = private().await;
        scene.lab.set("POLYAXON_GIT_CREDENTIALS", empty);
        scene.clone(&[]).await.failed(77, &["without credentials", "POLYAXON_GIT_CREDENTIALS"]);
        assert!(scene.http.requests().iter().all(|seen| seen.header("authorization").is_none()));
    }
}

#[tokio::test]
async fn a_token_alone_is_sent_as_the_user() {
    let mut scene = Scene::new().await;
    scene.http.password("token-0123456789", "");
    scene.lab.secret("POLYAXON_GIT_CREDENTIALS", "token-0123456789");
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    keeps_to_itself(&scene.lab, &ended, &scene.http, &["token-0123456789"]);
}

#[tokio::test]
async fn a_final_newline_of_a_secret_is_not_part_of_it() {
    let mut scene = private().await;
    scene.lab.set("POLYAXON_GIT_CREDENTIALS", &format!("user:{PASSWORD}\n"));
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
}

#[tokio::test]
async fn percent_encoded_credentials_are_decoded() {
    let mut scene = Scene::new().await;
    scene.http.password("user@example.com", "p@ss:w/rd%1 ü");
    scene.lab.secret("POLYAXON_GIT_CREDENTIALS", "user%40example.com:p%40ss%3Aw%2Frd%251%20%C3%BC");
    scene.lab.plant("p@ss:w/rd%1 ü");
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    keeps_to_itself(&scene.lab, &ended, &scene.http, &["p@ss:w/rd%1 ü", "p%40ss%3Aw%2Frd%251%20%C3%BC"]);
}

#[tokio::test]
async fn credentials_with_characters_that_should_have_been_encoded_are_sent_as_they_are() {
    let mut scene = Scene::new().await;
    scene.http.password("user", "p@ss:w/rd#0%zz");
    scene.lab.secret("POLYAXON_GIT_CREDENTIALS", "user:p@ss:w/rd#0%zz");
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
}

fn with_login(url: &str, login: &str) -> String {
    url.replace("://", &format!("://{login}@"))
}

#[tokio::test]
async fn a_login_in_the_url_is_used_and_taken_out_of_everything_that_is_written() {
    let mut scene = private().await;
    let api = tracked(&mut scene.lab).await;
    scene.lab.set("POLYAXON_LOG_LEVEL", "trace");
    scene.lab.plant(PASSWORD);
    let url = with_login(&scene.url(), &format!("user:{PASSWORD}"));
    let ended = clone(&scene.lab, &url, &[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    keeps_to_itself(&scene.lab, &ended, &scene.http, &[PASSWORD]);
    assert_eq!(git(&scene.lab, &["config", "remote.origin.url"]), scene.url());
    assert_eq!(api.artifacts(RUN)[0]["summary"]["url"], scene.url());
}

#[tokio::test]
async fn a_wrong_login_in_the_url_is_77_and_not_shown() {
    let mut scene = private().await;
    scene.lab.plant("wrong-password-0");
    let url = with_login(&scene.url(), "user:wrong-password-0");
    clone(&scene.lab, &url, &[]).await.failed(77, &[&scene.url()]);
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn credentials_take_the_place_of_a_login_in_the_url_and_empty_ones_do_not() {
    let mut scene = private().await;
    scene.lab.set("POLYAXON_GIT_CREDENTIALS", &format!("user:{PASSWORD}"));
    let ended = clone(&scene.lab, &with_login(&scene.url(), "user:other-password"), &[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    let mut lab = Lab::empty();
    lab.set("POLYAXON_GIT_CREDENTIALS", "");
    let ended = clone(&lab, &with_login(&scene.url(), &format!("user:{PASSWORD}")), &[]).await;
    stands(&lab, &ended, &scene.repo.head(), "main");
}

#[tokio::test]
async fn a_repository_that_does_not_ask_is_not_told_who_asks() {
    let mut scene = Scene::new().await;
    fs::write(scene.lab.path("store"), format!("http://user:{PASSWORD}@{}\n", scene.http.addr())).unwrap();
    scene.lab.set("POLYAXON_GIT_CREDENTIALS_STORE", &scene.lab.path("store").display().to_string());
    scene.lab.secret("POLYAXON_GIT_CREDENTIALS", &format!("user:{PASSWORD}"));
    let url = with_login(&scene.url(), &format!("user:{PASSWORD}"));
    let ended = clone(&scene.lab, &url, &[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(scene.http.requests().iter().filter_map(login).count(), 0);
    holds_nowhere(&scene.lab, PASSWORD);
}

#[tokio::test]
async fn a_server_that_hides_the_repository_is_asked_again_with_the_login() {
    for hidden in [404, 403] {
        let mut scene = private().await;
        let proxy = FaultProxy::start(scene.http.addr()).await;
        proxy.on(Match::any()).first(1).answer(hidden, "not found", &[]);
        scene.lab.secret("POLYAXON_GIT_CREDENTIALS", &format!("user:{PASSWORD}"));
        let url = scene.http.url_through(&proxy.url(), "org/repo");
        let ended = clone(&scene.lab, &url, &[]).await;
        stands(&scene.lab, &ended, &scene.repo.head(), "main");
    }
}

#[tokio::test]
async fn credentials_that_do_not_see_the_repository_are_66_and_that_is_said() {
    let mut scene = private().await;
    scene.lab.secret("POLYAXON_GIT_CREDENTIALS", &format!("user:{PASSWORD}"));
    let url = scene.http.url("org/none");
    clone(&scene.lab, &url, &[]).await.failed(66, &[&url, "credentials that do not see"]);
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn a_store_with_several_hosts_gives_each_its_own_login() {
    let mut scene = private().await;
    let host = scene.http.addr();
    let store = format!(
        "# a comment\nhttps://user:{PASSWORD}@other.example\nhttp://user:wrong-password-0@{host}/org/other\n\nnonsense\n\
         http://user:{PASSWORD}@{host}\n"
    );
    fs::write(scene.lab.path("store"), store).unwrap();
    scene.lab.set("POLYAXON_GIT_CREDENTIALS_STORE", &scene.lab.path("store").display().to_string());
    scene.lab.plant(PASSWORD);
    scene.lab.plant("wrong-password-0");
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    keeps_to_itself(&scene.lab, &ended, &scene.http, &[PASSWORD, "wrong-password-0"]);
}

#[tokio::test]
async fn a_store_named_by_a_flag_is_used() {
    let mut scene = private().await;
    let store = scene.lab.path("store");
    fs::write(&store, format!("http://user:{PASSWORD}@{}\n", scene.http.addr())).unwrap();
    scene.lab.plant(PASSWORD);
    let flag = format!("--flags=-c 'credential.helper=store --file={}'", store.display());
    let ended = scene.clone(&[&flag]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
}

#[tokio::test]
async fn a_store_for_another_host_or_none_at_all_is_77() {
    let mut scene = private().await;
    let store = scene.lab.path("store");
    scene.lab.set("POLYAXON_GIT_CREDENTIALS_STORE", &store.display().to_string());
    scene.lab.plant(PASSWORD);
    scene.clone(&[]).await.failed(77, &["without credentials"]);
    let host = scene.http.addr();
    for line in [format!("http://user:{PASSWORD}@127.0.0.1:1\n"), format!("https://user:{PASSWORD}@{host}\n")]
    {
        fs::write(&store, line).unwrap();
        scene.clone(&[]).await.failed(77, &["without credentials"]);
    }
    assert_eq!(scene.http.requests().iter().filter_map(login).count(), 0);
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_78() {
    let mut scene = private().await;
    scene.lab.set("POLYAXON_GIT_CREDENTIALS_STORE", &scene.lab.path("artifacts").display().to_string());
    scene.clone(&[]).await.failed(78, &["credential store", "https://user:token@host"]);
    nothing_left(&scene.lab);
}
