//! A server of git's own protocol: `git daemon`.

use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;

use super::GitRepo;
use super::http::link;
use super::inetd::Inetd;
use super::program::backend;

/// A running `git daemon`, which takes everybody. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct GitDaemon {
    inetd: Inetd,
    root: TempDir,
}

impl GitDaemon {
    /// One on a free port, that has no repository yet.
    ///
    /// # Panics
    /// When git is not installed, or the machine gives no folder or port.
    pub async fn start() -> Self {
        backend("git-daemon"); // says so when git is missing
        let root = TempDir::with_prefix("plx-git-daemon-").expect("a temporary folder");
        let base = format!("--base-path={}", root.path().display());
        let inetd = Inetd::start("git-daemon", move || {
            let mut command = backend("git-daemon");
            command.args(["--inetd", "--export-all", &base]).stderr(Stdio::null());
            command
        });
        Self { inetd, root }
    }

    /// Serves a repository from now on, as [`crate::GitHttp::serve`] does.
    ///
    /// # Panics
    /// When the name is taken.
    pub fn serve(&self, name: &str, repo: &GitRepo) {
        link(self.root.path(), name, repo);
    }

    /// As `git://127.0.0.1:PORT/NAME.git`.
    pub fn url(&self, name: &str) -> String {
        format!("git://{}/{name}.git", self.addr())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.inetd.addr()
    }

    /// How many clients came so far.
    pub fn connections(&self) -> usize {
        self.inetd.connections()
    }
}
