//! Servers that fail, break off, say nothing or something else; and being stopped.

use super::scene::{RUN, Scene, big, clone, is_sound, nothing_left, small, stands, tracked};
use crate::lab::Lab;
use plx_testkit::git::KeyType;
use plx_testkit::{FaultProxy, GitDaemon, GitSsh, Match, loopback};
use rustix::process::{Pid, Signal, kill_process};
use std::process::Output;
use tokio::process::Child;

/// Well within the one file of [`big`].
const MIDDLE: u64 = 50_000;

#[tokio::test]
async fn a_server_that_is_overloaded_twice_is_tried_again() {
    for (status, times) in [(503, 2), (429, 1), (500, 1)] {
        let mut scene = Scene::of(small("a", "1")).await;
        scene.lab.set("PLX_RETRY_SECONDS", "10");
        scene.http.fail_next(times, status);
        let ended = scene.clone(&[]).await;
        stands(&scene.lab, &ended, &scene.repo.head(), "main");
        assert_eq!(ended.stderr.matches("tried again in").count(), times, "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_server_that_stays_overloaded_is_69_when_patience_ends() {
    let mut scene = Scene::new().await;
    let api = tracked(&mut scene.lab).await;
    scene.http.refuse_all(503);
    scene.clone(&[]).await.failed(69, &[&scene.url(), "503", "PLX_RETRY_SECONDS"]);
    nothing_left(&scene.lab);
    assert!(scene.http.requests().len() > 1);
    assert_eq!(api.statuses(RUN).len(), 1, "one warning, however often it was tried");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_69_over_every_transport() {
    let (ssh, mut lab) = (GitSsh::with_host_keys(&[KeyType::Ed25519]).await, Lab::empty());
    lab.set("PLX_RETRY_SECONDS", "0");
    for scheme in ["http", "https", "git"] {
        let url = format!("{scheme}://127.0.0.1:{}/org/repo.git", loopback::free_port());
        clone(&lab, &url, &[]).await.failed(69, &[&url]);
    }
    lab.set("POLYAXON_SSH_PATH", &ssh.key_folder(KeyType::Ed25519, "id_rsa").display().to_string());
    let url = format!("ssh://git@127.0.0.1:{}/repo.git", loopback::free_port());
    clone(&lab, &url, &[]).await.failed(69, &[&url]);
    nothing_left(&lab);
}

#[tokio::test]
async fn a_host_that_has_no_address_is_69() {
    let mut lab = Lab::empty();
    lab.set("PLX_RETRY_SECONDS", "0");
    clone(&lab, "https://no-such-host.invalid/r", &[]).await.failed(69, &["no-such-host.invalid"]);
    nothing_left(&lab);
}

#[tokio::test]
async fn an_answer_that_breaks_off_once_comes_whole_at_the_second_try() {
    let mut scene = Scene::of(big()).await;
    scene.lab.set("PLX_RETRY_SECONDS", "10");
    scene.http.cut_after(MIDDLE, 1);
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert!(ended.stderr.contains("tried again in"), "{}", ended.stderr);
}

#[tokio::test]
async fn an_answer_that_always_breaks_off_is_69_and_leaves_nothing() {
    let scene = Scene::of(big()).await;
    scene.http.cut_after(MIDDLE, 1000);
    scene.clone(&[]).await.failed(69, &[&scene.url()]);
    nothing_left(&scene.lab);
    assert!(scene.fetches() > 1);
}

#[tokio::test]
async fn an_answer_that_stops_coming_is_69_after_the_silence_that_is_allowed() {
    let mut scene = Scene::of(big()).await;
    scene.lab.set("PLX_STALL_SECONDS", "1");
    scene.lab.set("PLX_RETRY_SECONDS", "0");
    scene.http.hang_after(MIDDLE, 1000);
    scene.clone(&[]).await.failed(69, &["nothing came for 1 s"]);
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn a_server_that_never_answers_at_all_is_69_after_the_silence_that_is_allowed() {
    let mut scene = Scene::new().await;
    let proxy = FaultProxy::start(scene.http.addr()).await;
    proxy.on(Match::any()).stall();
    scene.lab.set("PLX_STALL_SECONDS", "1");
    scene.lab.set("PLX_RETRY_SECONDS", "0");
    clone(&scene.lab, &scene.http.url_through(&proxy.url(), "org/repo"), &[])
        .await
        .failed(69, &["nothing came"]);
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn a_listener_that_says_nothing_is_69_over_ssh_and_git_too() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ssh, mut lab) = (GitSsh::with_host_keys(&[KeyType::Ed25519]).await, Lab::empty());
    lab.set("PLX_STALL_SECONDS", "1");
    lab.set("PLX_RETRY_SECONDS", "0");
    let address = silent.local_addr().unwrap();
    clone(&lab, &format!("git://{address}/repo.git"), &[]).await.failed(69, &[&address.to_string()]);
    lab.set("POLYAXON_SSH_PATH", &ssh.key_folder(KeyType::Ed25519, "id_rsa").display().to_string());
    clone(&lab, &format!("ssh://git@{address}/repo.git"), &[]).await.failed(69, &[&address.to_string()]);
    nothing_left(&lab);
}

/// A clone that stands still in the middle of the pack.
async fn hanging(more: &[&str]) -> (Scene, FaultProxy, Child) {
    let scene = Scene::of(big()).await;
    let proxy = FaultProxy::start(scene.http.addr()).await;
    scene.http.hang_after(MIDDLE, 1);
    let url = format!("--url={}", scene.http.url_through(&proxy.url(), "org/repo"));
    let to = format!("--to={}", super::scene::code(&scene.lab).display());
    let running = scene.lab.start(&[&["git", &url, &to], more].concat());
    // The server sends no more than that, and that much has come.
    let came = |proxy: &FaultProxy| {
        let seen = proxy.requests();
        seen.iter().any(|seen| seen.method == "POST" && seen.response_bytes >= MIDDLE)
    };
    while !came(&proxy) {
        tokio::task::yield_now().await;
    }
    (scene, proxy, running)
}

async fn ended(running: Child) -> Output {
    running.wait_with_output().await.unwrap()
}

fn signal(running: &Child, signal: Signal) {
    let id = i32::try_from(running.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn a_stop_in_the_middle_is_75_and_leaves_nothing() {
    for sent in [Signal::TERM, Signal::INT] {
        let (scene, _proxy, running) = hanging(&[]).await;
        signal(&running, sent);
        let output = ended(running).await;
        assert_eq!(output.status.code(), Some(75), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("stopped") && stderr.contains("run it again"), "{stderr}");
        nothing_left(&scene.lab);
    }
}

#[tokio::test]
async fn a_stop_while_waiting_for_the_next_try_is_75() {
    let mut scene = Scene::new().await;
    let proxy = FaultProxy::start(scene.http.addr()).await;
    proxy.on(Match::any()).answer(503, "", &[]);
    scene.lab.set("PLX_RETRY_SECONDS", "600");
    let url = format!("--url={}", scene.http.url_through(&proxy.url(), "org/repo"));
    let to = format!("--to={}", super::scene::code(&scene.lab).display());
    let running = scene.lab.start(&["git", &url, &to]);
    proxy.answered(Match::any(), 2).await;
    signal(&running, Signal::TERM);
    assert_eq!(ended(running).await.status.code(), Some(75));
    nothing_left(&scene.lab);
}

#[tokio::test]
async fn after_a_kill_in_the_middle_the_next_run_succeeds_and_clears_up() {
    let (scene, proxy, mut running) = hanging(&[]).await;
    running.kill().await.unwrap();
    let unfinished = scene.lab.art(".plx-part.code.git");
    assert!(unfinished.is_dir() && !super::scene::code(&scene.lab).exists());
    let ended = clone(&scene.lab, &scene.http.url_through(&proxy.url(), "org/repo"), &[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn a_web_page_in_place_of_a_git_server_is_78_and_what_came_is_said() {
    let scene = Scene::new().await;
    let proxy = FaultProxy::start(scene.http.addr()).await;
    let page = "<html>sign in, please</html>";
    proxy.on(Match::any()).answer(200, page, &[("Content-Type", "text/html; charset=utf-8")]);
    let url = scene.http.url_through(&proxy.url(), "org/repo");
    clone(&scene.lab, &url, &[]).await.failed(78, &[&url, "text/html", "git clone"]);
    nothing_left(&scene.lab);
    assert_eq!(proxy.count(&Match::any()), 1);
}

#[tokio::test]
async fn nonsense_in_the_form_of_an_answer_is_no_clone() {
    for (kind, body) in [
        ("GET", ""),
        ("GET", "001e# service=git-upload-pack\n0000"),
        ("GET", "001e# service=git-upload-pack\n0000zzzz"),
        ("POST", ""),
        ("POST", "0008NAK\nPACKnonsense"),
    ] {
        let mut scene = Scene::new().await;
        scene.lab.set("PLX_RETRY_SECONDS", "0");
        let proxy = FaultProxy::start(scene.http.addr()).await;
        let part = if kind == "GET" { "advertisement" } else { "result" };
        let header = format!("application/x-git-upload-pack-{part}");
        proxy.on(Match::method(kind)).answer(200, body, &[("Content-Type", &header)]);
        let ended = clone(&scene.lab, &scene.http.url_through(&proxy.url(), "org/repo"), &[]).await;
        assert!([65, 66, 69, 78].contains(&ended.code), "{kind} {body:?}: {ended:?}");
        assert!(ended.report["next"].is_string(), "{ended:?}");
        nothing_left(&scene.lab);
    }
}

#[tokio::test]
async fn r7_a_server_without_that_repository_is_66_after_one_question() {
    let scene = Scene::new().await;
    let url = scene.http.url("org/none");
    clone(&scene.lab, &url, &[]).await.failed(66, &[&url, "no repository"]);
    nothing_left(&scene.lab);
    assert_eq!(scene.http.requests().len(), 1);
}

#[tokio::test]
async fn a_damaged_repository_is_no_clone() {
    let scene = Scene::of(small("a", "1")).await;
    let blob = scene.repo.git(&["rev-parse", "main:a"]);
    std::fs::remove_file(scene.repo.path().join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    for url in [scene.url(), scene.repo.url()] {
        let mut lab = Lab::empty();
        lab.set("PLX_RETRY_SECONDS", "0");
        let ended = clone(&lab, &url, &[]).await;
        assert!([65, 69].contains(&ended.code), "{url}: {ended:?}");
        nothing_left(&lab);
    }
}

#[tokio::test]
async fn a_big_clone_from_git_daemon_takes_one_connection() {
    let (daemon, repo, lab) = (GitDaemon::start().await, big(), Lab::empty());
    daemon.serve("repo", &repo);
    clone(&lab, &daemon.url("repo"), &[]).await.succeeded();
    is_sound(&super::scene::code(&lab));
    assert_eq!(daemon.connections(), 1);
}
