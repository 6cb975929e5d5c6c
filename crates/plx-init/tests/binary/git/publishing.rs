//! Where a clone is put: only there, whole, and for everybody to read.

use super::scene::{Scene, clone, code, history, is_sound, nothing_left, small, stands};
use crate::lab::below;
use plx_testkit::git::{git_command, git_in};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[tokio::test]
async fn a_folder_that_holds_something_else_is_73_and_stays_as_it_is() {
    let scene = Scene::new().await;
    fs::create_dir_all(code(&scene.lab)).unwrap();
    fs::write(code(&scene.lab).join("mine"), "text").unwrap();
    let before = scene.lab.files();
    scene.clone(&[]).await.failed(73, &[&code(&scene.lab).display().to_string(), "`mine`", "another path"]);
    assert_eq!((scene.lab.files(), scene.http.requests()), (before, vec![]));
}

#[tokio::test]
async fn a_clone_that_somebody_else_made_is_73_and_stays_as_it_is() {
    let scene = Scene::new().await;
    let to = code(&scene.lab).display().to_string();
    git_in(&scene.repo.path(), &["clone", "--quiet", "--template=", ".", &to]);
    scene.clone(&[]).await.failed(73, &[&to]);
    assert!(scene.fetches() == 0 && code(&scene.lab).join("a").is_file());
}

#[tokio::test]
async fn a_file_where_the_clone_should_be_is_73() {
    let scene = Scene::new().await;
    fs::write(code(&scene.lab), "mine").unwrap();
    scene.clone(&[]).await.failed(73, &["no folder"]);
    assert_eq!(fs::read_to_string(code(&scene.lab)).unwrap(), "mine");
}

#[tokio::test]
async fn a_link_where_the_clone_should_be_is_73_and_leads_to_nothing_new() {
    let scene = Scene::new().await;
    fs::create_dir_all(scene.lab.path("elsewhere")).unwrap();
    for to in ["elsewhere", "none"] {
        symlink(scene.lab.path(to), code(&scene.lab)).unwrap();
        scene.clone(&[]).await.failed(73, &["no folder"]);
        fs::remove_file(code(&scene.lab)).unwrap();
    }
    assert_eq!(below(&scene.lab.path("elsewhere")).len(), 0);
}

#[tokio::test]
async fn a_parent_that_is_a_file_is_73() {
    let scene = Scene::new().await;
    fs::write(scene.lab.art("file"), "mine").unwrap();
    let to = format!("--to={}", scene.lab.art("file/deep/code").display());
    scene.lab.init(&["git", "--url", &scene.url(), &to]).await.failed(73, &["file"]);
}

#[tokio::test]
async fn an_empty_folder_is_taken() {
    let scene = Scene::new().await;
    fs::create_dir_all(code(&scene.lab)).unwrap();
    let ended = scene.clone(&[]).await;
    stands(&scene.lab, &ended, &scene.repo.head(), "main");
}

#[tokio::test]
async fn folders_on_the_way_are_made() {
    let scene = Scene::new().await;
    let to = scene.lab.art("deep/er/code");
    let ended = scene.lab.init(&["git", "--url", &scene.url(), "--to", to.to_str().unwrap()]).await;
    ended.succeeded();
    is_sound(&to);
}

#[tokio::test]
async fn without_a_path_the_clone_is_named_after_the_url_or_the_connection() {
    let scene = Scene::new().await;
    let name = |more: &'static [&str]| {
        let words: Vec<String> =
            ["git", "--url", &scene.url()].iter().chain(more).map(|word| (*word).to_owned()).collect();
        words
    };
    for (more, folder) in [(&[][..], "repo"), (&["--connection=code-1"], "code-1")] {
        let words = name(more);
        scene.lab.init(&words.iter().map(String::as_str).collect::<Vec<_>>()).await.succeeded();
        is_sound(&scene.lab.art(folder));
    }
}

#[tokio::test]
async fn two_clones_side_by_side_do_not_disturb_each_other() {
    let (scene, other) = (Scene::new().await, small("b", "other"));
    scene.http.serve("org/other", &other);
    let to = |name: &str| format!("--to={}", scene.lab.art(name).display());
    let (one, two) = ([to("one"), scene.url()], [to("two"), scene.http.url("org/other")]);
    let (one, two) =
        tokio::join!(async { scene.lab.init(&["git", &one[0], "--url", &one[1]]).await }, async {
            scene.lab.init(&["git", &two[0], "--url", &two[1]]).await
        });
    one.succeeded();
    two.succeeded();
    assert_eq!(git_in(&scene.lab.art("one"), &["rev-parse", "HEAD"]), scene.repo.head());
    assert_eq!(git_in(&scene.lab.art("two"), &["rev-parse", "HEAD"]), other.head());
}

#[tokio::test]
async fn a_clone_holds_a_record_of_what_was_asked_and_no_hook_that_would_run() {
    let scene = Scene::new().await;
    scene.clone(&["--revision=v1", "--flags=--depth 1"]).await.succeeded();
    let record = fs::read_to_string(code(&scene.lab).join(".git/plx-init.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let commit = scene.repo.git(&["rev-parse", "v1"]);
    let want =
        serde_json::json!({"url": scene.url(), "revision": "v1", "flags": "--depth=1", "commit": commit});
    assert_eq!(record, want);
    let hooks = code(&scene.lab).join(".git/hooks");
    let hooks = fs::read_dir(hooks).into_iter().flatten().map(|entry| entry.unwrap().path());
    assert!(
        hooks.into_iter().all(|hook| hook.extension().is_some_and(|end| end == "sample")),
        "none that would run"
    );
}

/// Every file and folder below one, with its mode.
fn modes(root: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let seen = fs::symlink_metadata(&path).unwrap();
        if seen.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        if !seen.is_symlink() {
            found.push((path, seen.permissions().mode() & 0o777));
        }
    }
    found
}

/// With a submodule and a program, cloned under a strict umask.
async fn under_a_strict_umask() -> Scene {
    let (scene, part) = (Scene::new().await, small("p", "part"));
    scene.http.serve("org/part", &part);
    scene.repo.name_submodule("../part.git", "part", &part.head());
    scene.repo.commit(&[("run", "#!/bin/sh\n")], "program");
    scene.repo.git(&["update-index", "--chmod=+x", "run"]);
    scene.repo.commit(&[], "mode");
    let mut shell = tokio::process::Command::new("/bin/sh");
    let to = code(&scene.lab).display().to_string();
    let program = env!("CARGO_BIN_EXE_plx-init");
    shell.args(["-c", "umask 077; exec \"$0\" \"$@\"", program, "git", "--url", &scene.url(), "--to", &to]);
    shell.args(["--flags", "--recurse-submodules"]).env_clear().envs(&scene.lab.env).stdin(Stdio::null());
    let output = shell.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    scene
}

#[tokio::test]
async fn everybody_may_read_a_clone_also_under_a_strict_umask() {
    let scene = under_a_strict_umask().await;
    for (path, mode) in modes(&code(&scene.lab)) {
        let wanted = if path.is_dir() { 0o755 } else { 0o444 };
        assert_eq!(mode & wanted, wanted, "{}: {mode:o}", path.display());
    }
    let run = fs::metadata(code(&scene.lab).join("run")).unwrap().permissions().mode();
    assert_eq!(run & 0o755, 0o755, "{run:o}");
    is_sound(&code(&scene.lab));
}

/// Git as nobody.
fn as_nobody(folder: &Path, config: Option<&Path>, args: &[&str]) -> (bool, String) {
    let mut command: Command = git_command();
    command.current_dir(folder).args(args).uid(65534).gid(65534).env("HOME", "/nonexistent");
    if let Some(config) = config {
        command.env("GIT_CONFIG_GLOBAL", config);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.success(), said)
}

#[tokio::test]
async fn another_user_can_work_with_the_clone_by_the_settings_that_lie_in_it() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let scene = under_a_strict_umask().await;
    let (folder, root) = (code(&scene.lab), scene.lab.path(""));
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    let (done, said) = as_nobody(&folder, None, &["status"]);
    assert!(!done && said.contains("dubious ownership"), "{said}");
    let config = folder.join(".git/plx-main.gitconfig");
    for (folder, args, words) in [
        (folder.clone(), &["status", "--porcelain"][..], ""),
        (folder.clone(), &["log", "--oneline"], "two"),
        (folder.clone(), &["show", "--stat"], "mode"),
        (folder.clone(), &["submodule", "status"], " part"),
        (folder.join("part"), &["log", "--oneline"], "small"),
        (folder.join("src"), &["rev-parse", "--show-toplevel"], "code"),
    ] {
        let (done, said) = as_nobody(&folder, Some(&config), args);
        assert!(done && said.contains(words), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn a_dry_run_clones_nothing_asks_nobody_and_shows_no_login() {
    let scene = Scene::of(history()).await;
    let url = scene.url().replace("://", "://user:dry-password-0@");
    let ended = clone(&scene.lab, &url, &["--dry-run", "--revision=dev"]).await;
    ended.succeeded();
    ended.says_nowhere("dry-password-0");
    let to = code(&scene.lab).display().to_string();
    assert_eq!(ended.stdout, format!("{} at dev would be cloned to {to}\n", scene.url()));
    nothing_left(&scene.lab);
    assert_eq!(scene.http.requests(), []);
}
