//! The git servers, by the real git as their client.

#![expect(clippy::unwrap_used, reason = "in helpers of tests, too, a surprise ends the test")]

mod ssh;

use std::time::Duration;

use plx_testkit::git::{git_command, git_in};
use plx_testkit::{GitDaemon, GitHttp, GitRepo, PrivateCa, SeenGit};
use tempfile::TempDir;

/// Clones into a new folder; what git said when it fails.
fn clone(url: &str, arguments: &[&str]) -> Result<TempDir, String> {
    clone_with(url, arguments, &[])
}

fn clone_with(url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<TempDir, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = git_command();
    command.envs(variables.iter().copied()).arg("clone").args(arguments).arg(url).arg(folder.path());
    let ran = command.output().unwrap();
    if ran.status.success() { Ok(folder) } else { Err(String::from_utf8_lossy(&ran.stderr).into_owned()) }
}

fn read(folder: &TempDir, file: &str) -> String {
    std::fs::read_to_string(folder.path().join(file)).unwrap()
}

fn statuses(http: &GitHttp) -> Vec<u16> {
    http.requests().iter().filter_map(|seen| seen.status).collect()
}

/// Bytes that do not pack well.
fn noise(length: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.alphanumeric()).take(length).collect()
}

/// A repository whose pack is some megabytes.
fn large() -> GitRepo {
    let repo = GitRepo::new();
    repo.commit(&[("noise", &noise(3 << 20))], "large");
    repo
}

#[test]
fn repositories_are_the_same_each_time() {
    let (one, other) = (GitRepo::new(), GitRepo::new());
    for repo in [&one, &other] {
        repo.commit(&[("a", "1"), ("deep/er/b", "2")], "first");
        repo.annotated_tag("v1");
        repo.branch("dev");
        repo.commit(&[], "empty");
        repo.checkout("dev");
        repo.tag("light");
    }
    assert_eq!(one.git(&["show-ref", "--head"]), other.git(&["show-ref", "--head"]));
    assert_eq!(one.git(&["cat-file", "-t", "v1"]), "tag");
    assert_eq!(one.git(&["cat-file", "-t", "light"]), "commit");
    assert_eq!(one.git(&["rev-list", "--count", "main"]), "2");
    assert_eq!(
        one.git(&["log", "-1", "--format=%an <%ae> %ad %s", "main"]),
        "n <a@b.c> Tue Jan 2 03:04:05 2024 +0000 empty"
    );
    assert_eq!(one.head(), one.git(&["rev-parse", "light"]));
}

#[test]
#[should_panic(expected = "unknown revision")]
fn what_git_says_is_in_the_panic() {
    GitRepo::new().git(&["log", "nowhere"]);
}

#[test]
fn the_sample_is_that_of_the_contract() {
    let repo = GitRepo::sample();
    let files = |revision: &str| {
        let names = repo.git(&["ls-tree", "--name-only", revision]);
        (repo.git(&["show", &format!("{revision}:a")]), names.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let with_part = || vec![".gitmodules".to_owned(), "a".to_owned(), "submod".to_owned()];
    assert_eq!(files("v1"), ("1".to_owned(), vec!["a".to_owned()]));
    assert_eq!(files("main"), ("2".to_owned(), with_part()));
    assert_eq!(files("dev"), ("3".to_owned(), with_part()));
    assert_eq!(repo.git(&["rev-list", "--count", "dev"]), "3");
    assert_eq!(repo.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    let copy = clone(&repo.url(), &["--recurse-submodules"]).unwrap();
    assert_eq!((read(&copy, "a"), read(&copy, "submod/s")), ("2".to_owned(), "s".to_owned()));
}

#[tokio::test]
async fn http_serves_what_is_committed_later_too() {
    let (http, repo) = (GitHttp::start().await, GitRepo::sample());
    http.serve("org/repo", &repo);
    assert_eq!(read(&clone(&http.url("org/repo"), &[]).unwrap(), "a"), "2");
    repo.commit(&[("a", "4")], "four");
    let copy = clone(&http.url("org/repo"), &["--depth=1"]).unwrap();
    assert_eq!(read(&copy, "a"), "4");
    assert_eq!(git_in(copy.path(), &["rev-list", "--count", "HEAD"]), "1");
    let seen = http.requests();
    let asked: Vec<_> =
        seen.iter().map(|seen| (seen.method.as_str(), seen.path_and_query.as_str())).collect();
    let upload = ("POST", "/org/repo.git/git-upload-pack");
    let first = ("GET", "/org/repo.git/info/refs?service=git-upload-pack");
    assert_eq!(asked, [first, upload, upload, first, upload, upload]);
    assert_eq!(seen[0].header("git-protocol"), Some("version=2"));
    assert!(statuses(&http).iter().all(|status| *status == 200));
    let missing = clone(&http.url("nothing"), &[]).unwrap_err();
    assert!(missing.contains("not found"), "{missing}");
}

#[tokio::test]
async fn http_serves_older_protocols_and_packed_requests() {
    let (http, repo) = (GitHttp::start().await, GitRepo::new());
    for number in 0..60 {
        repo.commit(&[("a", &number.to_string())], "more");
        repo.branch(&format!("branch-{number}"));
    }
    http.serve("repo", &repo);
    let copy = clone(&http.url("repo"), &["-c", "protocol.version=0"]).unwrap();
    assert_eq!(read(&copy, "a"), "59");
    assert!(http.requests().iter().any(|seen| seen.header("content-encoding") == Some("gzip")));
    http.forget_requests();
    // A body whose length is not said before.
    let chunked = ["-c", "protocol.version=0", "-c", "http.postBuffer=1", "-c", "core.compression=0"];
    assert_eq!(read(&clone(&http.url("repo"), &chunked).unwrap(), "a"), "59");
    assert!(http.requests().iter().any(|seen| seen.header("transfer-encoding") == Some("chunked")));
}

#[tokio::test]
async fn http_gives_a_commit_as_the_repository_is_configured() {
    let (http, repo) = (GitHttp::start().await, GitRepo::new());
    let first = repo.commit(&[("a", "1")], "one");
    repo.commit(&[("a", "2")], "two");
    http.serve("repo", &repo);
    let fetch = |url: &str| {
        let copy = tempfile::tempdir().unwrap();
        git_in(copy.path(), &["init", "--quiet"]);
        let arguments = ["-c", "protocol.version=0", "fetch", "--quiet", "--depth=1", url, &first];
        git_command().current_dir(copy.path()).args(arguments).output().unwrap().status.success()
    };
    assert!(!fetch(&http.url("repo")));
    repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    assert!(fetch(&http.url("repo")));
}

#[tokio::test]
async fn http_asks_for_a_password_and_sees_what_is_shown() {
    let (http, repo) = (GitHttp::start().await, GitRepo::sample());
    http.serve("repo", &repo);
    http.password("user", "pass word");
    let with = |login: &str| http.url("repo").replace("http://", &format!("http://{login}@"));
    clone(&http.url("repo"), &[]).unwrap_err();
    clone(&with("user:wrong"), &[]).unwrap_err();
    assert!(http.requests().iter().all(|seen| seen.status == Some(401)), "{:?}", http.requests());
    let shown: Vec<_> = http.requests().iter().filter_map(SeenGit::login).collect();
    assert_eq!(shown, [("user".to_owned(), "wrong".to_owned())]);
    http.forget_requests();
    assert_eq!(read(&clone(&with("user:pass%20word"), &[]).unwrap(), "a"), "2");
    assert_eq!(statuses(&http), [401, 200, 200, 200]);
    assert_eq!(http.requests()[1].login(), Some(("user".to_owned(), "pass word".to_owned())));
}

#[tokio::test]
async fn http_refuses_as_it_is_told() {
    let (http, repo) = (GitHttp::start().await, GitRepo::sample());
    http.serve("repo", &repo);
    http.fail_next(2, 503);
    assert!(clone(&http.url("repo"), &[]).unwrap_err().contains("503"));
    assert!(clone(&http.url("repo"), &[]).unwrap_err().contains("503"));
    clone(&http.url("repo"), &[]).unwrap();
    assert_eq!(statuses(&http), [503, 503, 200, 200, 200]);
    http.refuse_all(403);
    assert!(clone(&http.url("repo"), &[]).unwrap_err().contains("403"));
    http.refuse_none();
    clone(&http.url("repo"), &[]).unwrap();
}

#[tokio::test]
async fn http_sends_elsewhere() {
    let (old, new, repo) = (GitHttp::start().await, GitHttp::start().await, GitRepo::sample());
    new.serve("new/repo", &repo);
    new.redirect("/old/", "/new/");
    assert_eq!(read(&clone(&new.url("old/repo"), &[]).unwrap(), "a"), "2");
    assert_eq!(statuses(&new), [301, 200, 200, 200]);
    old.redirect("/", &format!("http://localhost:{}/new/", new.addr().port()));
    new.forget_requests();
    let url = old.url("repo").replace("http://", "http://user:secret@");
    assert_eq!(read(&clone(&url, &[]).unwrap(), "a"), "2");
    assert_eq!((statuses(&old), statuses(&new)), (vec![301], vec![200, 200, 200]));
}

#[tokio::test]
async fn http_is_cut_in_the_middle_as_often_as_told() {
    let (http, repo) = (GitHttp::start().await, large());
    http.serve("repo", &repo);
    http.cut_after(1 << 20, 2);
    for _ in 0..2 {
        let told = clone(&http.url("repo"), &[]).unwrap_err();
        assert!(told.contains("early EOF") || told.contains("RPC failed"), "{told}");
    }
    assert_eq!(read(&clone(&http.url("repo"), &[]).unwrap(), "noise").len(), 3 << 20);
    http.cut_after(0, 1);
    clone(&http.url("repo"), &[]).unwrap_err();
    clone(&http.url("repo"), &[]).unwrap();
}

#[tokio::test]
async fn http_hangs_until_the_server_goes() {
    let (http, repo) = (GitHttp::start().await, large());
    http.serve("repo", &repo);
    http.hang_after(1 << 20, 1);
    let url = http.url("repo");
    let mut client = tokio::task::spawn_blocking(move || clone(&url, &[]));
    let hung = tokio::time::timeout(Duration::from_millis(500), &mut client).await;
    assert!(hung.is_err(), "it did not hang");
    assert_eq!(http.requests().len(), 3);
    drop(http);
    client.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn https_is_for_who_trusts_its_authority() {
    let (http, repo, ca) = (GitHttp::start().await, large(), PrivateCa::new());
    http.serve("repo", &repo);
    let (front, trust) = (http.tls(&ca).await, tempfile::NamedTempFile::new().unwrap());
    ca.write_to(trust.path()).unwrap();
    let url = http.url_through(&front.url(), "repo");
    let copy = clone_with(&url, &[], &[("GIT_SSL_CAINFO", trust.path().to_str().unwrap())]).unwrap();
    assert_eq!(read(&copy, "noise").len(), 3 << 20);
    assert!(clone(&url, &[]).unwrap_err().contains("certificate"));
}

#[tokio::test]
async fn a_submodule_is_found_beside_its_repository() {
    let (http, repo, part) = (GitHttp::start().await, GitRepo::new(), GitRepo::new());
    let commit = part.commit(&[("s", "s")], "s");
    repo.name_submodule("../part.git", "deep/part", &commit);
    repo.commit(&[("a", "1")], "one");
    http.serve("repo", &repo);
    http.serve("part", &part);
    let copy = clone(&http.url("repo"), &["--recurse-submodules"]).unwrap();
    assert_eq!(read(&copy, "deep/part/s"), "s");
}

#[tokio::test]
async fn the_daemon_serves() {
    let (daemon, repo) = (GitDaemon::start().await, GitRepo::sample());
    daemon.serve("repo", &repo);
    assert_eq!(read(&clone(&daemon.url("repo"), &["--branch=dev"]).unwrap(), "a"), "3");
    clone(&daemon.url("nothing"), &[]).unwrap_err();
    assert_eq!(daemon.connections(), 2);
}
