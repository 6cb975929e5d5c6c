//! Repositories, and how a clone of one is made and looked at.

use crate::lab::{Ended, Lab};
use plx_testkit::git::git_in;
use plx_testkit::{FakeTracking, GitHttp, GitRepo};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub const RUN: &str = "8aac02e3a62a4f0aaa257c59da5eab80";

/// A repository behind a server of its own, and a pod that clones it.
pub struct Scene {
    pub lab: Lab,
    pub http: GitHttp,
    pub repo: GitRepo,
}

impl Scene {
    pub async fn of(repo: GitRepo) -> Self {
        let http = GitHttp::start().await;
        http.serve("org/repo", &repo);
        Self { lab: Lab::empty(), http, repo }
    }

    /// [`history`], served.
    pub async fn new() -> Self {
        Self::of(history()).await
    }

    pub fn url(&self) -> String {
        self.http.url("org/repo")
    }

    pub async fn clone(&self, more: &[&str]) -> Ended {
        clone(&self.lab, &self.url(), more).await
    }

    /// How often objects were asked for.
    pub fn fetches(&self) -> usize {
        self.http.requests().iter().filter(|seen| seen.method == "POST").count()
    }
}

/// `main` with `a` of "1" (tags `v1`, and `v1-note` with a note), then of "2"; from there `dev` with "3", and from there
/// `feature/x` with "4".
pub fn history() -> GitRepo {
    static ONE: OnceLock<GitRepo> = OnceLock::new();
    // Made once and copied: a dozen calls of git each time is most of the time these tests take.
    let one = ONE.get_or_init(|| {
        let repo = GitRepo::new();
        repo.commit(&[("a", "1")], "one");
        repo.tag("v1");
        repo.annotated_tag("v1-note");
        repo.commit(&[("a", "2"), ("src/b", "b")], "two");
        repo.git(&["checkout", "--quiet", "-b", "dev"]);
        repo.commit(&[("a", "3")], "three");
        repo.git(&["checkout", "--quiet", "-b", "feature/x"]);
        repo.commit(&[("a", "4")], "four");
        repo.checkout("main");
        repo.git(&["gc", "--quiet"]);
        repo
    });
    let repo = GitRepo::new();
    copy(&one.path(), &repo.path());
    repo
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// One commit with a file.
pub fn small(name: &str, text: &str) -> GitRepo {
    let repo = GitRepo::new();
    repo.commit(&[(name, text)], "small");
    repo
}

/// One commit of some hundred kilobytes that no packing makes smaller.
pub fn big() -> GitRepo {
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
    };
    let text: String = (0..300_000).map(|_| noise()).collect();
    small("noise", &text)
}

/// `plx-init git --url=URL --to=ART/code …`
pub async fn clone(lab: &Lab, url: &str, more: &[&str]) -> Ended {
    let (url, to) = (format!("--url={url}"), format!("--to={}", code(lab).display()));
    lab.init(&[&["git", &url, &to], more].concat()).await
}

pub fn code(lab: &Lab) -> PathBuf {
    lab.art("code")
}

/// Git in the clone.
#[track_caller]
pub fn git(lab: &Lab, args: &[&str]) -> String {
    git_in(&code(lab), args)
}

pub fn text(lab: &Lab, name: &str) -> String {
    fs::read_to_string(code(lab).join(name)).unwrap()
}

/// Fails unless git finds a whole clone at that commit, on that branch (`HEAD`: on none), and nothing beside it.
#[track_caller]
pub fn stands(lab: &Lab, ended: &Ended, commit: &str, branch: &str) {
    ended.succeeded();
    let stood = git(lab, &["rev-parse", "HEAD", "--abbrev-ref", "HEAD"]);
    assert_eq!(stood, format!("{commit}\n{branch}"), "{ended:?}");
    assert_eq!(ended.report["commit"], commit, "{ended:?}");
    assert_eq!(ended.report["branch"], branch, "{ended:?}");
    is_sound(&code(lab));
    assert_eq!(parts(lab), Vec::<PathBuf>::new());
}

/// Fails unless git has nothing to say against a clone.
#[track_caller]
pub fn is_sound(folder: &Path) {
    assert_eq!(git_in(folder, &["status", "--porcelain"]), "");
    git_in(folder, &["fsck", "--strict", "--no-dangling"]);
    let others = git_in(folder, &["for-each-ref", "--format=%(refname)"]);
    let usual = |name: &str| {
        let rest = ["refs/heads/", "refs/tags/", "refs/remotes/origin/"]
            .iter()
            .find_map(|kind| name.strip_prefix(kind));
        rest.is_some_and(|rest| !rest.contains("refs/"))
    };
    assert!(others.lines().all(usual), "{others}");
}

/// Unfinished clones.
fn parts(lab: &Lab) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![lab.path("artifacts")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().contains(".plx-part") {
                found.push(entry.path());
            }
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
        }
    }
    found
}

/// Fails unless the artifacts folder is as empty as it was.
#[track_caller]
pub fn nothing_left(lab: &Lab) {
    let left: Vec<_> =
        fs::read_dir(lab.path("artifacts")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// Clones over HTTP and from this machine; both must be at that commit, on that branch.
pub async fn lands(repo: GitRepo, more: &[&str], commit: &str, branch: &str) {
    let scene = Scene::of(repo).await;
    for url in [scene.url(), scene.repo.url()] {
        let lab = Lab::empty();
        let ended = clone(&lab, &url, more).await;
        stands(&lab, &ended, commit, branch);
    }
}

/// Clones over HTTP and from this machine; both must end with that code and say these words, and leave nothing.
pub async fn misses(repo: GitRepo, more: &[&str], code: i32, words: &[&str]) {
    let scene = Scene::of(repo).await;
    for url in [scene.url(), scene.repo.url()] {
        let lab = Lab::empty();
        clone(&lab, &url, more).await.failed(code, words);
        nothing_left(&lab);
    }
}

/// The tracking API for a pod of a run.
pub async fn tracked(lab: &mut Lab) -> FakeTracking {
    let api = FakeTracking::start().await;
    lab.set("POLYAXON_HOST", &api.url());
    lab.set("POLYAXON_RUN_INSTANCE", &format!("owner-name.project-name.runs.{RUN}"));
    lab.set("POLYAXON_AUTH_TOKEN", "agent-token-0");
    api
}

/// Fails when a text is in a file below the artifacts, packed or not.
#[track_caller]
pub fn holds_nowhere(lab: &Lab, secret: &str) {
    let mut open = vec![lab.path("artifacts")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                let bytes = fs::read(&path).unwrap();
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret:?} in {}", path.display());
            }
        }
        if folder.join("objects").is_dir() {
            let objects = git_in(&folder, &["cat-file", "--batch-all-objects", "--batch"]);
            assert!(!objects.contains(secret), "{secret:?} in an object of {}", folder.display());
        }
    }
}

/// Fails when the login that a server was shown stands anywhere, in whatever form it was sent.
#[track_caller]
pub fn keeps_to_itself(lab: &Lab, ended: &Ended, http: &GitHttp, secrets: &[&str]) {
    for secret in secrets {
        ended.says_nowhere(secret);
        holds_nowhere(lab, secret);
    }
    for seen in http.requests() {
        if let Some(shown) = seen.header("authorization") {
            let coded = shown.rsplit(' ').next().unwrap();
            ended.says_nowhere(coded);
            holds_nowhere(lab, coded);
        }
        // What is in a URL ends in the logs of servers and proxies.
        assert!(secrets.iter().all(|secret| !seen.path_and_query.contains(secret)), "{seen:?}");
    }
}
