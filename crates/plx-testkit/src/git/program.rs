//! The machine's git, cut off from the machine's configuration.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::environment::variable;

/// Of every commit and tag, as in the contract's own repositories.
const DATE: &str = "2024-01-02T03:04:05+0000";

/// `git` as the tests run it: no configuration but the repository's own, always the same author and date, and nobody
/// who could be asked for a password. Paths as submodules' addresses are allowed.
///
/// # Panics
/// When git is not installed.
pub fn git_command() -> Command {
    git_folder(); // says so when git is missing
    isolated(OsStr::new("git"))
}

/// Runs `git` in a folder and returns what it printed, without the last line's end.
///
/// # Panics
/// When it fails; with what it said.
pub fn git_in(folder: &Path, arguments: &[&str]) -> String {
    let ran = git_command().current_dir(folder).args(arguments).output().expect("git was there a moment ago");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "git {arguments:?} in {}: {}\n{said}", folder.display(), ran.status);
    String::from_utf8_lossy(&ran.stdout).trim_end().to_owned()
}

/// A program of git's that is not meant to be called by hand, as `git-http-backend`.
pub(super) fn backend(name: &str) -> Command {
    let file = git_folder().join(name);
    assert!(
        file.is_file(),
        "{} is missing: run tests/servers.sh, or install the package git",
        file.display()
    );
    isolated(file.as_os_str())
}

/// Checks that a program is there, by the names of what was asked for and of its package.
#[expect(clippy::panic, reason = "a test that needs a server cannot go on without it")]
pub(super) fn find(name: &str, package: &str) -> PathBuf {
    let path = variable("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/local/sbin", "/usr/bin"]).map(Path::new);
    let mut files = folders.filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
    files.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("{name} is missing: run tests/servers.sh, or install the package {package}")
    })
}

fn git_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let asked = isolated(find("git", "git").as_os_str()).arg("--exec-path").output();
        let said = asked.expect("git can be started").stdout;
        PathBuf::from(String::from_utf8_lossy(&said).trim_end())
    })
}

/// What a program of git's may see of this process, and what it must believe.
pub(super) fn environment() -> Vec<(&'static str, String)> {
    let fixed = [
        ("HOME", "/nonexistent"),
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ASKPASS", "/bin/false"),
        ("GIT_AUTHOR_NAME", "n"),
        ("GIT_AUTHOR_EMAIL", "a@b.c"),
        ("GIT_AUTHOR_DATE", DATE),
        ("GIT_COMMITTER_NAME", "n"),
        ("GIT_COMMITTER_EMAIL", "a@b.c"),
        ("GIT_COMMITTER_DATE", DATE),
        ("GIT_CONFIG_COUNT", "4"),
        ("GIT_CONFIG_KEY_0", "init.defaultBranch"),
        ("GIT_CONFIG_VALUE_0", "main"),
        ("GIT_CONFIG_KEY_1", "protocol.file.allow"),
        ("GIT_CONFIG_VALUE_1", "always"),
        ("GIT_CONFIG_KEY_2", "gc.auto"),
        ("GIT_CONFIG_VALUE_2", "0"),
        ("GIT_CONFIG_KEY_3", "maintenance.auto"),
        ("GIT_CONFIG_VALUE_3", "false"),
    ];
    let path = variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let fixed = fixed.into_iter().map(|(name, value)| (name, value.to_owned()));
    fixed.chain([("PATH", path)]).collect()
}

fn isolated(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(environment());
    command
}
