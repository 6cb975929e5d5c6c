//! How a repository is talked to: one conversation per repository, and libgit2's transports that carry it on.
//!
//! libgit2 knows of a failure only that there was one. What it was stays in the conversation, and is what the caller
//! tells.

mod client;
mod daemon;
mod http;
mod known_hosts;
mod ssh;

use crate::access::Access;
use crate::address::{Address, Login, Route};
use crate::flags::Transfer;
use crate::{GitError, Received};
use git2::transport::Transport;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// What all repositories of one clone share.
pub(crate) struct Session {
    pub access: Access,
    pub transfer: Transfer,
    /// The host of the main repository: what belongs to it alone goes to no other.
    pub main: Address,
    /// What came with it, or was given for it.
    login: Option<Login>,
    pub received: Arc<Received>,
    pub stop: CancellationToken,
    pub handle: Handle,
    clients: Mutex<HashMap<String, reqwest::Client>>,
    submodules: AtomicUsize,
}

impl Session {
    pub fn new(
        access: Access,
        transfer: Transfer,
        main: Route,
        received: Arc<Received>,
        stop: CancellationToken,
    ) -> Self {
        let (handle, clients, submodules) = (Handle::current(), Mutex::default(), AtomicUsize::new(0));
        let Route { address: main, login } = main;
        Self { access, transfer, main, login, received, stop, handle, clients, submodules }
    }

    /// Waits, but not after a stop.
    pub fn pause(&self, time: Duration) -> Result<(), GitError> {
        self.handle.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(time) => Ok(()),
                () = self.stop.cancelled() => Err(GitError::Stopped { at: self.main.to_string() }),
            }
        })
    }

    /// How many submodules there are with this one.
    pub fn count_submodule(&self) -> usize {
        self.submodules.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The main repository's login, for what lies on the same host.
    pub fn main_login(&self, address: &Address) -> Option<Login> {
        self.login.clone().filter(|_| self.main == *address || self.main.same_host(address))
    }

    /// A URL after `url.BASE.insteadOf`: the longest that fits wins, as in git.
    pub fn replaced(&self, raw: &str) -> String {
        replaced(&self.transfer, raw)
    }
}

/// A URL after `url.BASE.insteadOf`.
pub(crate) fn replaced(transfer: &Transfer, raw: &str) -> String {
    let fitting = transfer.instead_of.iter().filter(|(_, from)| raw.starts_with(from.as_str()));
    match fitting.max_by_key(|(_, from)| from.len()) {
        Some((base, from)) => format!("{base}{}", &raw[from.len()..]),
        None => raw.to_owned(),
    }
}

/// One repository that is talked to.
pub(crate) struct Conversation {
    pub session: Arc<Session>,
    pub address: Address,
    pub login: Option<Login>,
    failure: Mutex<Option<GitError>>,
}

impl Conversation {
    pub fn new(session: &Arc<Session>, address: Address, login: Option<Login>) -> Arc<Self> {
        Arc::new(Self { session: Arc::clone(session), address, login, failure: Mutex::default() })
    }

    /// Runs `work` with this conversation behind every transport that libgit2 makes meanwhile on this thread.
    pub fn during<T>(
        self: &Arc<Self>,
        what: &str,
        work: impl FnOnce() -> Result<T, git2::Error>,
    ) -> Result<T, GitError> {
        let before = CURRENT.with_borrow_mut(|current| current.replace(Arc::clone(self)));
        let done = work();
        CURRENT.with_borrow_mut(|current| *current = before);
        done.map_err(|error| self.told(what, error))
    }

    /// What is told of an error of libgit2: what a transport knows of it, else its own words.
    fn told(&self, what: &str, error: git2::Error) -> GitError {
        if let Some(failure) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return failure;
        }
        let at = self.address.to_string();
        if self.session.stop.is_cancelled() {
            return GitError::Stopped { at };
        }
        let words = error.message();
        let absent = ["not found", "not exported", "does not exist", "no such", "could not find repository"];
        match error.class() {
            _ if absent.iter().any(|word| words.to_lowercase().contains(word)) && what == "connect" => {
                GitError::NoRepository { at, why: words.to_owned() }
            }
            // A stream that ended too early is the network's fault in whatever part it is noticed.
            git2::ErrorClass::Net
            | git2::ErrorClass::Indexer
            | git2::ErrorClass::Zlib
            | git2::ErrorClass::Ssh
            | git2::ErrorClass::Http
                if !words.contains("write") && !words.contains("No space") =>
            {
                GitError::Unavailable { at, why: format!("{what}: {words}") }
            }
            _ => GitError::library(format!("{at}: {what}"))(error),
        }
    }

    /// Whether a transport of ours counts what comes.
    pub fn counts_bytes(&self) -> bool {
        !self.address.scheme.is_local()
    }

    fn keep(&self, failure: GitError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    /// Waits for `work`, no longer than a silent connection is waited for, and not after a stop.
    fn wait<T>(&self, work: impl Future<Output = Result<T, GitError>>) -> Result<T, GitError> {
        let (session, at) = (&self.session, || self.address.to_string());
        let silence = session.access.stall;
        session.handle.block_on(async {
            tokio::select! {
                done = tokio::time::timeout(silence, work) => match done {
                    Ok(done) => done,
                    Err(_) => Err(GitError::Unavailable {
                        at: at(),
                        why: format!("nothing came for {} s", silence.as_secs()),
                    }),
                },
                () = session.stop.cancelled() => Err(GitError::Stopped { at: at() }),
            }
        })
    }

    /// The same for libgit2.
    fn wait_for_library<T>(&self, work: impl Future<Output = Result<T, GitError>>) -> Result<T, git2::Error> {
        self.wait(work).map_err(|failure| {
            let words = git2::Error::from_str(&failure.to_string());
            self.keep(failure);
            words
        })
    }

    /// The same for a stream that libgit2 reads.
    fn wait_for_stream<T>(&self, work: impl Future<Output = Result<T, GitError>>) -> std::io::Result<T> {
        self.wait(work).map_err(|failure| {
            let words = std::io::Error::other(failure.to_string());
            self.keep(failure);
            words
        })
    }

    /// Notes what a callback of the library found, which can only say that it must not go on.
    pub fn note(&self, failure: GitError) {
        self.keep(failure);
    }

    fn unavailable(&self, why: impl Into<String>) -> GitError {
        GitError::Unavailable { at: self.address.to_string(), why: why.into() }
    }
}

thread_local! {
    /// libgit2 gives a factory of transports nothing but a remote, and calls it on the thread that asked.
    static CURRENT: RefCell<Option<Arc<Conversation>>> = const { RefCell::new(None) };
}

fn current() -> Result<Arc<Conversation>, git2::Error> {
    CURRENT
        .with_borrow(Clone::clone)
        .ok_or_else(|| git2::Error::from_str("a transport without a conversation"))
}

/// Makes transports of `http` and `https`.
pub(crate) fn http(remote: &git2::Remote<'_>) -> Result<Transport, git2::Error> {
    Transport::smart(remote, true, http::Http::new(current()?))
}

/// Makes transports of `git`.
pub(crate) fn daemon(remote: &git2::Remote<'_>) -> Result<Transport, git2::Error> {
    Transport::smart(remote, false, daemon::Daemon::new(current()?))
}

/// Makes transports of `ssh`.
pub(crate) fn ssh(remote: &git2::Remote<'_>) -> Result<Transport, git2::Error> {
    Transport::smart(remote, false, ssh::Ssh::new(current()?))
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
