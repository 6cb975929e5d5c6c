//! Repositories in a repository.

use super::scene::{Scene, clone, code, git, is_sound, keeps_to_itself, small, stands, text};
use crate::lab::Lab;
use plx_testkit::git::{KeyType, git_in};
use plx_testkit::{GitHttp, GitRepo, GitSsh};
use std::fs;

const RECURSE: &str = "--flags=[\"--recurse-submodules\"]";

/// `main` with a submodule `part`, and in it `inner`; all on one server, by relative addresses.
async fn nested() -> (Scene, GitRepo, GitRepo) {
    let (inner, part) = (small("i", "inner"), small("p", "part"));
    part.name_submodule("../inner.git", "deep/inner", &inner.head());
    part.commit(&[], "with inner");
    let scene = Scene::of(small("a", "main")).await;
    scene.http.serve("org/part", &part);
    scene.http.serve("org/inner", &inner);
    scene.repo.name_submodule("../part.git", "part", &part.head());
    scene.repo.commit(&[], "with part");
    (scene, part, inner)
}

#[tokio::test]
async fn submodules_come_however_deep_and_by_relative_addresses() {
    let (scene, part, inner) = nested().await;
    let ended = scene.clone(&[RECURSE]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(
        (text(&scene.lab, "part/p"), text(&scene.lab, "part/deep/inner/i")),
        ("part".into(), "inner".into())
    );
    let status = git(&scene.lab, &["submodule", "status", "--recursive"]);
    let lines: Vec<_> =
        status.lines().map(|line| line.split(" (").next().unwrap().trim().to_owned()).collect();
    assert_eq!(lines, [format!("{} part", part.head()), format!("{} part/deep/inner", inner.head())]);
    for folder in ["part", "part/deep/inner"] {
        is_sound(&code(&scene.lab).join(folder));
        let link = fs::read_to_string(code(&scene.lab).join(folder).join(".git")).unwrap();
        assert!(link.starts_with("gitdir: ../"), "a clone can be moved: {link}");
    }
    let origin = git_in(&code(&scene.lab).join("part"), &["config", "remote.origin.url"]);
    assert_eq!(origin, scene.http.url("org/part"));
}

#[tokio::test]
async fn submodules_work_on_with_git_and_where_the_clone_is_moved_to() {
    let (scene, _part, _inner) = nested().await;
    scene.clone(&[RECURSE]).await.succeeded();
    let moved = scene.lab.path("moved");
    fs::rename(code(&scene.lab), &moved).unwrap();
    git_in(&moved, &["submodule", "update", "--init", "--recursive", "--quiet"]);
    let status = git_in(&moved, &["submodule", "status", "--recursive"]);
    assert!(
        !status.contains(['+', '-', 'U']) || status.lines().all(|line| line.starts_with(' ')),
        "{status}"
    );
    git_in(&moved, &["submodule", "foreach", "--recursive", "git fetch --quiet && git status --porcelain"]);
}

#[tokio::test]
async fn without_the_flag_a_submodule_is_an_empty_folder() {
    let (scene, _part, _inner) = nested().await;
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(fs::read_dir(code(&scene.lab).join("part")).unwrap().count(), 0);
}

#[tokio::test]
async fn submodules_are_those_of_the_revision() {
    let (scene, part, _inner) = nested().await;
    let before = part.git(&["rev-parse", "HEAD~1"]);
    scene.repo.git(&["update-index", "--cacheinfo", &format!("160000,{before},part")]);
    scene.repo.commit(&[], "part as it was before");
    let ended = scene.clone(&[RECURSE, "--revision=HEAD~1"]).await;
    ended.succeeded();
    assert_eq!(text(&scene.lab, "part/deep/inner/i"), "inner");
    let lab = Lab::empty();
    let ended = clone(&lab, &scene.url(), &[RECURSE]).await;
    stands(&lab, &ended, &scene.repo.head(), "main");
    assert_eq!(git_in(&code(&lab).join("part"), &["rev-parse", "HEAD"]), before);
    assert!(!code(&lab).join("part/deep/inner/i").exists());
    let lab = Lab::empty();
    clone(&lab, &scene.url(), &[RECURSE, "--revision=HEAD~2"]).await.succeeded();
    assert!(!code(&lab).join("part").exists());
}

#[tokio::test]
async fn a_repository_on_this_machine_brings_submodules_of_this_machine() {
    let repo = GitRepo::sample();
    for url in [repo.url(), repo.path().display().to_string()] {
        let lab = Lab::empty();
        let ended = clone(&lab, &url, &[RECURSE, "--revision=dev"]).await;
        stands(&lab, &ended, &repo.git(&["rev-parse", "dev"]), "dev");
        assert_eq!(text(&lab, "submod/s"), "s");
    }
}

#[tokio::test]
async fn a_relative_address_is_relative_to_a_path_too() {
    let (folder, lab) = (Lab::empty(), Lab::empty());
    let (repo, part) = (small("a", "main"), small("p", "part"));
    repo.name_submodule("../part.git", "part", &part.head());
    repo.commit(&[], "with part");
    for (name, from) in [("main.git", &repo), ("part.git", &part)] {
        let to = folder.path(name).display().to_string();
        git_in(&from.path(), &["clone", "--quiet", "--bare", ".", &to]);
    }
    let ended = clone(&lab, &folder.path("main.git").display().to_string(), &[RECURSE]).await;
    stands(&lab, &ended, &repo.head(), "main");
    assert_eq!(text(&lab, "part/p"), "part");
}

#[tokio::test]
async fn a_submodule_on_another_host_gets_its_own_login_and_never_the_main_one() {
    let (scene, other, part) = (Scene::new().await, GitHttp::start().await, small("p", "part"));
    other.serve("part", &part);
    scene.http.password("main", "main-password-0");
    other.password("other", "other-password-0");
    scene.repo.name_submodule(&other.url("part"), "part", &part.head());
    scene.repo.commit(&[], "with part");
    let store = scene.lab.path("store");
    let of = |login: &str, http: &GitHttp| format!("http://{login}@{}\n", http.addr());
    fs::write(&store, of("main:main-password-0", &scene.http) + &of("other:other-password-0", &other))
        .unwrap();
    for credentials in [None, Some("main:main-password-0")] {
        let mut lab = Lab::empty();
        lab.set("POLYAXON_GIT_CREDENTIALS_STORE", &store.display().to_string());
        if let Some(credentials) = credentials {
            lab.set("POLYAXON_GIT_CREDENTIALS", credentials);
        }
        lab.plant("main-password-0");
        lab.plant("other-password-0");
        let ended = clone(&lab, &scene.url(), &[RECURSE]).await;
        stands(&lab, &ended, &scene.repo.head(), "main");
        assert_eq!(text(&lab, "part/p"), "part");
        for (http, user) in [(&scene.http, "main"), (&other, "other")] {
            let logins: Vec<_> = http.requests().iter().filter_map(|seen| seen.login()).collect();
            let own = (user.to_owned(), format!("{user}-password-0"));
            assert!(!logins.is_empty() && logins.iter().all(|login| *login == own), "{user}: {logins:?}");
            keeps_to_itself(&lab, &ended, http, &["main-password-0", "other-password-0"]);
            http.forget_requests();
        }
    }
}

#[tokio::test]
async fn a_submodule_on_the_same_host_gets_the_main_login() {
    let (mut scene, _part, _inner) = nested().await;
    scene.http.password("user", "main-password-0");
    scene.lab.secret("POLYAXON_GIT_CREDENTIALS", "user:main-password-0");
    let ended = scene.clone(&[RECURSE]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(text(&scene.lab, "part/deep/inner/i"), "inner");
    keeps_to_itself(&scene.lab, &ended, &scene.http, &["main-password-0"]);
}

#[tokio::test]
async fn a_submodule_over_ssh_gets_the_key_and_its_own_host_is_checked() {
    let (mut scene, ssh, part) = (Scene::new().await, GitSsh::start().await, small("p", "part"));
    scene.repo.name_submodule(&ssh.url(&part.path()), "part", &part.head());
    scene.repo.commit(&[], "with part");
    let key = ssh.key(KeyType::Ed25519);
    let folder =
        ssh.secret_folder(&[("id_ed25519", &key), ("known_hosts", &ssh.known_hosts_line(KeyType::Rsa))]);
    // A main repository over HTTP would be asked for over SSH now, so it is one of this machine.
    scene.lab.set("POLYAXON_SSH_PATH", &folder.display().to_string());
    let ended = clone(&scene.lab, &scene.repo.url(), &[RECURSE]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!((text(&scene.lab, "part/p"), ssh.logins()), ("part".into(), 1));
}

#[tokio::test]
async fn update_none_leaves_a_submodule_out_and_says_so() {
    let (scene, _part, _inner) = nested().await;
    scene.repo.git(&["config", "--file", ".gitmodules", "submodule.part.update", "none"]);
    scene.repo.git(&["add", ".gitmodules"]);
    scene.repo.commit(&[], "without part");
    let ended = scene.clone(&[RECURSE]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(fs::read_dir(code(&scene.lab).join("part")).unwrap().count(), 0);
    assert!(ended.stderr.contains("part"), "{}", ended.stderr);
}

#[tokio::test]
async fn pathspecs_choose_submodules() {
    let (scene, part, _inner) = nested().await;
    for path in ["libs/one", "libs/two", "other"] {
        scene.repo.name_submodule("../part.git", path, &part.head());
    }
    scene.repo.commit(&[], "many parts");
    for (flags, there) in [
        ("--recurse-submodules=libs/one", &["libs/one"][..]),
        ("--recurse-submodules=libs", &["libs/one", "libs/two"]),
        ("--recurse-submodules=other --recurse-submodules=part", &["other", "part"]),
        ("--recurse-submodules=.", &["libs/one", "libs/two", "other", "part"]),
    ] {
        let lab = Lab::empty();
        let ended = clone(&lab, &scene.url(), &["--flags", flags]).await;
        stands(&lab, &ended, &scene.repo.head(), "main");
        let all = ["libs/one", "libs/two", "other", "part"];
        let found: Vec<_> =
            all.into_iter().filter(|path| code(&lab).join(path).join("p").is_file()).collect();
        assert_eq!(found, there, "{flags}");
        // What is within a chosen one comes whole.
        assert!(code(&lab).join(there[0]).join("deep/inner/i").is_file(), "{flags}");
    }
}

#[tokio::test]
async fn shallow_submodules_have_one_commit_and_others_all() {
    for (flags, count) in [
        ("--recurse-submodules --shallow-submodules", "1"),
        ("--recurse-submodules --depth 1 --no-shallow-submodules", "2"),
    ] {
        let (scene, part, _inner) = nested().await;
        let ended = scene.clone(&["--flags", flags]).await;
        stands(&scene.lab, &ended, &scene.repo.head(), "main");
        let folder = code(&scene.lab).join("part");
        assert_eq!(git_in(&folder, &["rev-parse", "HEAD"]), part.head());
        assert_eq!(git_in(&folder, &["rev-list", "--count", "HEAD"]), count, "{flags}");
    }
}

#[tokio::test]
async fn a_submodule_with_a_name_of_its_own_and_odd_characters_is_cloned() {
    let (scene, part, _inner) = nested().await;
    scene.repo.name_submodule("../part.git", "with space/ü", &part.head());
    let rename =
        ["config", "--file", ".gitmodules", "--rename-section", "submodule.with space/ü", "submodule.a name"];
    scene.repo.git(&rename);
    scene.repo.git(&["add", ".gitmodules"]);
    scene.repo.commit(&[], "odd");
    let ended = scene.clone(&[RECURSE]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
    assert_eq!(text(&scene.lab, "with space/ü/p"), "part");
}
