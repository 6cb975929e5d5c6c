//! A server of git's smart HTTP protocol: `git http-backend` behind a small server of our own.

mod cgi;
mod rules;

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;

use self::rules::{Break, Rules};
use super::GitRepo;
use super::program::backend;
use crate::http_server::{Request, Reset, Response, all_headers, drain, lock, serve};
use crate::loopback::{self, Background};
use crate::planted::{Searched, Wire};
use crate::{PrivateCa, TlsFront};

/// A running server of any number of repositories. Dropping it closes its port and all connections.
///
/// It takes everybody, until [`GitHttp::password`]. For more faults put a [`crate::FaultProxy`] before it.
#[derive(Debug)]
pub struct GitHttp {
    address: SocketAddr,
    shared: Arc<Shared>,
    _background: Background,
    _searched: Searched,
}

/// A request the server was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenGit {
    /// As `GET`.
    pub method: String,
    /// As it was sent.
    pub path_and_query: String,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What the client was told; nothing when it went away before.
    pub status: Option<u16>,
}

impl SeenGit {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// User and password, when the client showed any.
    pub fn login(&self) -> Option<(String, String)> {
        let shown = BASE64_STANDARD.decode(self.header("authorization")?.strip_prefix("Basic ")?).ok()?;
        let shown = String::from_utf8(shown).ok()?;
        shown.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    }
}

#[derive(Debug)]
struct Shared {
    root: TempDir,
    rules: Mutex<Rules>,
    log: Mutex<Vec<SeenGit>>,
    wire: Arc<Wire>,
}

impl GitHttp {
    /// One on a free port, that has no repository yet.
    ///
    /// # Panics
    /// When git is not installed, or the machine gives no folder or port.
    pub async fn start() -> Self {
        backend("git-http-backend"); // says so when git is missing
        let root = TempDir::with_prefix("plx-git-http-").expect("a temporary folder");
        let (wire, searched) = Wire::start("git-http");
        let shared = Arc::new(Shared { root, rules: Mutex::default(), log: Mutex::default(), wire });
        let listener = loopback::listener();
        let address = loopback::address_of(&listener);
        let serving = Arc::clone(&shared);
        let background = Background::run("git-http", move || {
            serve(listener, move |request| handle(Arc::clone(&serving), request))
        });
        Self { address, shared, _background: background, _searched: searched }
    }

    /// Serves a repository from now on as `/NAME.git`, with what is committed and configured there later. The name may
    /// have slashes. The repository must live on.
    ///
    /// # Panics
    /// When the name is taken.
    pub fn serve(&self, name: &str, repo: &GitRepo) {
        link(self.shared.root.path(), name, repo);
    }

    /// As `http://127.0.0.1:PORT/NAME.git`.
    pub fn url(&self, name: &str) -> String {
        self.url_through(&format!("http://{}", self.address), name)
    }

    /// The same through what stands before this server: [`TlsFront::url`], a proxy.
    pub fn url_through(&self, front: &str, name: &str) -> String {
        format!("{front}/{name}.git")
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// TLS before this server, with a good certificate of that authority.
    pub async fn tls(&self, ca: &PrivateCa) -> TlsFront {
        TlsFront::start(self.address, ca).await
    }

    /// From now on who does not show this user and password gets 401.
    pub fn password(&self, user: &str, password: &str) {
        lock(&self.shared.rules).login = Some((user.to_owned(), password.to_owned()));
    }

    /// The next `n` requests get that status.
    pub fn fail_next(&self, n: usize, status: u16) {
        lock(&self.shared.rules).fail_next = (n, status);
    }

    /// Every request gets that status, until [`GitHttp::refuse_none`].
    pub fn refuse_all(&self, status: u16) {
        lock(&self.shared.rules).refuse_all = Some(status);
    }

    /// Takes [`GitHttp::refuse_all`] back.
    pub fn refuse_none(&self) {
        lock(&self.shared.rules).refuse_all = None;
    }

    /// What begins with `from`, as `/old/`, is sent elsewhere by 301: `to`, a path or a whole URL, and the rest.
    pub fn redirect(&self, from: &str, to: &str) {
        lock(&self.shared.rules).redirects.push((from.to_owned(), to.to_owned()));
    }

    /// The connections of the next `times` answers of git-upload-pack are reset, each after so many bytes of its body.
    ///
    /// A body of fewer bytes passes, and is not counted.
    pub fn cut_after(&self, bytes: u64, times: usize) {
        lock(&self.shared.rules).add_break(Break::Cut, bytes, times);
    }

    /// The next `times` answers of git-upload-pack stop after so many bytes of their body; the connection stays open.
    ///
    /// A body of fewer bytes passes, and is not counted. It ends when the server is dropped.
    pub fn hang_after(&self, bytes: u64, times: usize) {
        lock(&self.shared.rules).add_break(Break::Hang, bytes, times);
    }

    /// All requests so far, in the order they were answered.
    pub fn requests(&self) -> Vec<SeenGit> {
        lock(&self.shared.log).clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        lock(&self.shared.log).clear();
    }
}

/// Puts a repository under a folder, by a link to what git keeps of it.
pub(super) fn link(root: &Path, name: &str, repo: &GitRepo) {
    let link = root.join(format!("{name}.git"));
    std::fs::create_dir_all(link.parent().expect("a link stands in a folder")).expect("a new folder");
    symlink(repo.path().join(".git"), &link).expect("a new name for a repository");
}

async fn handle(shared: Arc<Shared>, request: Request) -> Result<Response, Reset> {
    shared.wire.note_request(&request);
    let mut seen = SeenGit {
        method: request.method().to_string(),
        path_and_query: request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: all_headers(request.headers()),
        status: None,
    };
    let refused = lock(&shared.rules).refuse(&seen);
    let answered = match refused {
        Some(refusal) => drain(request.into_body()).await.map(|()| refusal),
        None => Ok(cgi::answer(&shared, request).await),
    };
    seen.status = answered.as_ref().ok().map(|answered| answered.status().as_u16());
    lock(&shared.log).push(seen);
    answered
}
