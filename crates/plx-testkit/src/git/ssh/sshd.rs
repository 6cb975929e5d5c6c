//! How sshd is started.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Key, KeyType, write};
use crate::git::inetd::Inetd;
use crate::git::program::{environment, find, git_command};

/// What sshd says.
pub(super) fn log_file(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// Whom it lets in.
pub(super) fn authorized_keys(folder: &Path) -> PathBuf {
    folder.join("authorized_keys")
}

/// The user of this process.
pub(super) fn user() -> String {
    let said = Command::new(find("id", "coreutils")).arg("-un").output().expect("id can be started");
    let name = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    assert!(!name.is_empty(), "this user has no name, and sshd lets only users with names in");
    name
}

/// Writes what sshd needs into a folder and listens.
pub(super) fn start(folder: &Path, host_keys: &[(KeyType, Key)]) -> Inetd {
    drop(git_command()); // says so when git is missing
    let program = find("sshd", "openssh-server");
    let config = folder.join("sshd_config");
    fs::write(&config, self::config(folder, host_keys)).expect("a new file");
    let log = OpenOptions::new().create(true).append(true).open(log_file(folder)).expect("a new file");
    // As root, sshd wants this folder; who is not root cannot make it, and needs none.
    fs::create_dir_all("/run/sshd").ok();
    Inetd::start("sshd", move || {
        let mut command = Command::new(&program);
        let log = log.try_clone().expect("one more file");
        command.env_clear().args(["-i", "-e", "-f"]).arg(&config).stderr(Stdio::from(log));
        command
    })
}

fn config(folder: &Path, host_keys: &[(KeyType, Key)]) -> String {
    let mut lines = vec![
        "LogLevel VERBOSE".to_owned(),
        "UsePAM no".to_owned(),
        "StrictModes no".to_owned(),
        "PermitRootLogin yes".to_owned(),
        "PasswordAuthentication no".to_owned(),
        "KbdInteractiveAuthentication no".to_owned(),
        "MaxAuthTries 100".to_owned(),
        "UseDNS no".to_owned(),
        "PrintMotd no".to_owned(),
        "AcceptEnv GIT_PROTOCOL".to_owned(),
        format!("AuthorizedKeysFile {}", authorized_keys(folder).display()),
    ];
    for (kind, key) in host_keys {
        let file = folder.join(format!("host-{}", kind.name()));
        write(&file, &key.private);
        lines.push(format!("HostKey {}", file.display()));
    }
    // The first such line alone counts.
    let wanted = |name: &str| name == "PATH" || name.starts_with("GIT_CONFIG_");
    let variables = environment().into_iter().filter(|(name, _)| wanted(name));
    let variables: Vec<_> = variables.map(|(name, value)| format!(r#""{name}={value}""#)).collect();
    lines.push(format!("SetEnv {}\n", variables.join(" ")));
    lines.join("\n")
}
