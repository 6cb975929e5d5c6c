//! SSH: keys, and the hosts they are shown to.

use super::scene::{clone, git, history, holds_nowhere, nothing_left, stands};
use crate::lab::{Ended, Lab};
use plx_testkit::git::KeyType::{Ecdsa, Ed25519, Rsa};
use plx_testkit::{GitRepo, GitSsh};
use std::fs;
use std::path::Path;

struct Shell {
    ssh: GitSsh,
    repo: GitRepo,
    lab: Lab,
}

impl Shell {
    /// With these files beside each other, on a host with one key.
    async fn with(files: impl FnOnce(&GitSsh) -> Vec<(&'static str, String)>) -> Self {
        Self::on(GitSsh::with_host_keys(&[Ed25519]).await, files)
    }

    fn on(ssh: GitSsh, files: impl FnOnce(&GitSsh) -> Vec<(&'static str, String)>) -> Self {
        let (repo, mut lab) = (history(), Lab::empty());
        let files = files(&ssh);
        for (_, text) in files.iter().filter(|(_, text)| text.contains("PRIVATE KEY")) {
            text.lines()
                .filter(|line| !line.contains("---") && line.len() >= 60)
                .for_each(|line| lab.plant(line));
        }
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        lab.set("POLYAXON_SSH_PATH", &ssh.secret_folder(&files).display().to_string());
        Self { ssh, repo, lab }
    }

    fn url(&self) -> String {
        self.ssh.url(&self.repo.path())
    }

    async fn clone(&self) -> Ended {
        clone(&self.lab, &self.url(), &[]).await
    }

    async fn succeeds(&self) -> Ended {
        let ended = self.clone().await;
        stands(&self.lab, &ended, &self.repo.head(), "main");
        ended
    }

    async fn fails(&self, code: i32, words: &[&str]) {
        self.clone().await.failed(code, words);
        nothing_left(&self.lab);
    }
}

#[tokio::test]
async fn a_key_is_kept_nowhere_and_shown_once() {
    let mut shell = Shell::with(|ssh| vec![("id_ed25519", ssh.key(Ed25519))]).await;
    shell.lab.set("POLYAXON_LOG_LEVEL", "trace");
    let ended = shell.succeeds().await;
    let (logins, refusals) = (shell.ssh.logins(), shell.ssh.refusals());
    assert_eq!(
        (logins, refusals, shell.ssh.connections()),
        (1, 0, 1),
        "{}\n{}",
        ended.stderr,
        shell.ssh.log()
    );
    let key = shell.ssh.key(Ed25519);
    key.lines().filter(|line| line.len() >= 60).for_each(|line| holds_nowhere(&shell.lab, line));
    assert_eq!(git(&shell.lab, &["config", "remote.origin.url"]), shell.url());
}

#[tokio::test]
async fn the_usual_names_of_keys_are_found_without_a_name() {
    for name in ["id_rsa", "id_ed25519", "id_ecdsa", "ssh-privatekey"] {
        Shell::with(|ssh| vec![(name, ssh.key(Ecdsa))]).await.succeeds().await;
    }
}

#[tokio::test]
async fn a_key_file_without_its_last_newline_or_with_those_of_windows_is_read() {
    let bare = Shell::with(|ssh| vec![("id_rsa", ssh.key(Rsa).trim_end().to_owned())]).await;
    bare.succeeds().await;
    let windows = Shell::with(|ssh| vec![("id_rsa", ssh.key(Ed25519).replace('\n', "\r\n"))]).await;
    windows.succeeds().await;
}

#[tokio::test]
async fn of_several_keys_the_one_that_fits_is_found() {
    let keys = |ssh: &GitSsh| vec![("id_rsa", ssh.stranger_key(Ecdsa)), ("id_ed25519", ssh.key(Ed25519))];
    let shell = Shell::with(keys).await;
    shell.succeeds().await;
    assert_eq!((shell.ssh.logins(), shell.ssh.refusals()), (1, 1));
}

#[tokio::test]
async fn the_key_that_is_named_is_the_only_one_that_is_tried() {
    let keys = |ssh: &GitSsh| vec![("id_rsa", ssh.stranger_key(Ecdsa)), ("deploy", ssh.key(Ed25519))];
    let mut shell = Shell::with(keys).await;
    shell.lab.set("POLYAXON_SSH_PRIVATE_KEY", "deploy");
    shell.succeeds().await;
    assert_eq!((shell.ssh.logins(), shell.ssh.refusals()), (1, 0));
}

#[tokio::test]
async fn the_key_of_a_stranger_is_77_at_once() {
    let mut shell = Shell::with(|ssh| vec![("id_ed25519", ssh.stranger_key(Ed25519))]).await;
    shell.lab.set("PLX_RETRY_SECONDS", "30");
    shell.fails(77, &["id_ed25519", &format!("user `{}`", shell.ssh.user()), "public half"]).await;
    assert_eq!((shell.ssh.logins(), shell.ssh.refusals(), shell.ssh.connections()), (0, 1, 1));
}

#[tokio::test]
async fn a_key_with_a_passphrase_is_78_and_says_so() {
    for kind in [Ed25519, Rsa] {
        let shell = Shell::with(|ssh| vec![("id_rsa", ssh.locked_key(kind))]).await;
        shell.fails(78, &["id_rsa", "has a passphrase", "without a passphrase"]).await;
        assert_eq!(shell.ssh.connections(), 0);
    }
}

#[tokio::test]
async fn a_key_that_is_none_is_78_and_not_repeated() {
    for text in [
        "",
        "private-content",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nprivate-content\n-----END OPENSSH PRIVATE KEY-----\n",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5private-content me",
    ] {
        let mut shell = Shell::with(|_| vec![("id_rsa", text.to_owned())]).await;
        shell.lab.plant("private-content");
        shell.fails(78, &["id_rsa", "POLYAXON_SSH_PRIVATE_KEY"]).await;
    }
}

#[tokio::test]
async fn a_folder_without_a_key_or_without_the_named_one_is_78() {
    let mut shell = Shell::with(|ssh| vec![("deploy", ssh.key(Ed25519))]).await;
    shell.fails(78, &["holds none of id_rsa, id_ed25519"]).await;
    shell.lab.set("POLYAXON_SSH_PRIVATE_KEY", "deplyo");
    shell.fails(78, &["deplyo", "POLYAXON_SSH_PRIVATE_KEY"]).await;
    shell.lab.env.remove("POLYAXON_SSH_PATH");
    shell.fails(78, &["POLYAXON_SSH_PATH"]).await;
    shell.lab.set("POLYAXON_SSH_PATH", "/nonexistent/ssh");
    shell.fails(78, &["POLYAXON_SSH_PATH"]).await;
    assert_eq!(shell.ssh.connections(), 0);
}

#[tokio::test]
async fn a_host_in_known_hosts_is_trusted_by_whichever_of_its_keys_is_there() {
    for kind in [Rsa, Ecdsa] {
        let files =
            |ssh: &GitSsh| vec![("id_rsa", ssh.key(Ed25519)), ("known_hosts", ssh.known_hosts_line(kind))];
        let ended = Shell::on(GitSsh::start().await, files).succeeds().await;
        assert!(!ended.stderr.contains("not checked"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn r8_a_host_with_another_key_than_known_hosts_says_is_78() {
    for kind in [Ed25519, Rsa] {
        let files = |ssh: &GitSsh| {
            vec![("id_rsa", ssh.key(Ed25519)), ("known_hosts", ssh.false_known_hosts_line(kind))]
        };
        let shell = Shell::on(GitSsh::start().await, files);
        shell.fails(78, &["known_hosts has another one", "SHA256:", "in between"]).await;
        assert_eq!(
            (shell.ssh.logins(), shell.ssh.refusals(), shell.ssh.connections()),
            (0, 0, 1),
            "no key was shown"
        );
    }
}

#[tokio::test]
async fn a_host_that_known_hosts_does_not_know_is_78_and_the_line_that_is_missing_is_printed() {
    let known =
        "git.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n";
    let shell =
        Shell::with(|ssh| vec![("id_rsa", ssh.key(Ed25519)), ("known_hosts", known.to_owned())]).await;
    let ended = shell.clone().await;
    ended.failed(78, &["does not know it", "add the line"]);
    works_with_the_line_of(&shell, ended.report["next"].as_str().unwrap()).await;
}

#[tokio::test]
async fn without_known_hosts_there_is_a_warning_with_the_line_that_pins_the_host() {
    let shell = Shell::with(|ssh| vec![("id_rsa", ssh.key(Ed25519))]).await;
    let ended = shell.succeeds().await;
    let warning = ended.stderr.lines().find(|line| line.contains("is not checked")).unwrap();
    works_with_the_line_of(&shell, warning).await;
}

/// What stands in backquotes goes to a file of its own, and that is all it takes.
async fn works_with_the_line_of(shell: &Shell, text: &str) {
    let line =
        text.split('`').find(|part| part.starts_with("[127.0.0.1]:")).unwrap_or_else(|| panic!("{text}"));
    let file = shell.lab.path("known");
    fs::write(&file, format!("{line}\n")).unwrap();
    let mut lab = Lab::empty();
    lab.set("POLYAXON_SSH_PATH", &shell.lab.env["POLYAXON_SSH_PATH"]);
    lab.set("PLX_SSH_KNOWN_HOSTS", &file.display().to_string());
    let ended = clone(&lab, &shell.url(), &[]).await;
    stands(&lab, &ended, &shell.repo.head(), "main");
    assert!(!ended.stderr.contains("not checked"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_file_of_known_hosts_that_is_named_and_not_there_is_78() {
    let mut shell = Shell::with(|ssh| vec![("id_rsa", ssh.key(Ed25519))]).await;
    shell.lab.set("PLX_SSH_KNOWN_HOSTS", "/nonexistent/known_hosts");
    shell.fails(78, &["PLX_SSH_KNOWN_HOSTS", "/nonexistent/known_hosts", "unset"]).await;
    assert_eq!(shell.ssh.connections(), 0);
}

#[tokio::test]
async fn known_hosts_that_are_named_win_over_those_beside_the_key() {
    let files =
        |ssh: &GitSsh| vec![("id_rsa", ssh.key(Ed25519)), ("known_hosts", ssh.false_known_hosts_line(Rsa))];
    let mut shell = Shell::with(files).await;
    let file = shell.lab.path("known");
    fs::write(&file, format!("# right\n\n{}", shell.ssh.known_hosts_line(Ed25519))).unwrap();
    shell.lab.set("PLX_SSH_KNOWN_HOSTS", &file.display().to_string());
    shell.succeeds().await;
}

#[tokio::test]
async fn the_users_own_known_hosts_refuse_another_key_and_take_an_unknown_host() {
    let mut shell = Shell::with(|ssh| vec![("id_rsa", ssh.key(Ed25519))]).await;
    let home = shell.lab.path("home");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    shell.lab.set("HOME", &home.display().to_string());
    let write = |text: &str| fs::write(home.join(".ssh/known_hosts"), text).unwrap();
    write(&shell.ssh.false_known_hosts_line(Ed25519));
    shell.fails(78, &["another one"]).await;
    write("");
    assert!(shell.succeeds().await.stderr.contains("is not checked"));
}

#[tokio::test]
async fn a_repository_that_the_host_does_not_have_is_66() {
    let shell = Shell::with(|ssh| vec![("id_rsa", ssh.key(Ed25519))]).await;
    let url = shell.ssh.url(Path::new("/nonexistent/repo.git"));
    clone(&shell.lab, &url, &[]).await.failed(66, &["/nonexistent/repo.git"]);
    nothing_left(&shell.lab);
    assert_eq!(shell.ssh.connections(), 1, "what is not there does not come by waiting");
}

#[tokio::test]
async fn user_and_port_may_stand_in_the_short_form_with_brackets() {
    let shell = Shell::with(|ssh| vec![("id_rsa", ssh.key(Ed25519))]).await;
    let path = shell.repo.path();
    let url = format!("{}@[{}]:{}", shell.ssh.user(), shell.ssh.addr(), path.display());
    let ended = clone(&shell.lab, &url, &["--revision=dev"]).await;
    stands(&shell.lab, &ended, &shell.repo.git(&["rev-parse", "dev"]), "dev");
}

#[tokio::test]
async fn a_path_with_quotes_spaces_and_a_dollar_reaches_the_server_as_it_is() {
    let shell = Shell::with(|ssh| vec![("id_rsa", ssh.key(Ed25519))]).await;
    let path = shell.lab.path("it's a $(touch x) `y` !z.git");
    plx_testkit::git::git_in(
        &shell.repo.path(),
        &["clone", "--quiet", "--bare", ".", path.to_str().unwrap()],
    );
    let encoded = path.display().to_string().replace(' ', "%20").replace('`', "%60");
    let url = shell.ssh.url(Path::new(&encoded));
    let ended = clone(&shell.lab, &url, &[]).await;
    stands(&shell.lab, &ended, &shell.repo.head(), "main");
}
