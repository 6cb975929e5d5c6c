//! The connection to one repository: what it has, and bringing some of it here.

use crate::transport::Conversation;
use crate::{GitError, library, local};
use git2::{AutotagOption, Direction, FetchOptions, Oid, RemoteCallbacks, Repository};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// Bytes that come between two looks at the disk.
const LOOK_EVERY: usize = 1 << 20;
/// What must be left of it. The library writes packs through memory: where the disk is full it would be killed by a signal.
const LEFT: u64 = 4 << 20;

/// Deltas that are put together between two looks at memory.
const GIVE_BACK_EVERY: usize = 512;

/// Everything, also behind the end of a shallow history.
const ALL: i32 = i32::MAX;

/// What the other side has under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// As `refs/heads/main`, `HEAD`, `refs/tags/v1^{}`.
    pub name: String,
    pub oid: Oid,
    /// The name that it only stands for.
    pub points_to: Option<String>,
}

/// How much of history is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    All,
    Commits(u32),
}

pub(crate) struct Link<'r> {
    repo: &'r Repository,
    talk: Arc<Conversation>,
    remote: git2::Remote<'r>,
    pub heads: Vec<Head>,
    /// Over most transports a connection serves one fetch.
    used: bool,
}

impl<'r> Link<'r> {
    /// Connects, and asks what there is.
    pub fn open(repo: &'r Repository, talk: Arc<Conversation>) -> Result<Self, GitError> {
        let at = talk.address.to_string();
        if talk.address.scheme.is_local() {
            // The library takes a folder that is none for one that cannot be reached.
            local::open(&talk.address)?;
        }
        let mut remote = talk.during("connect", || repo.remote_anonymous(&talk.address.to_request()))?;
        let heads = talk.during("connect", || {
            remote.connect(Direction::Fetch)?;
            let heads = remote.list()?.iter().map(|head| Head {
                name: head.name().to_owned(),
                oid: head.oid(),
                points_to: head.symref_target().map(str::to_owned),
            });
            Ok(heads.collect::<Vec<_>>())
        })?;
        // Without any ref there is at most a placeholder for what the server can do.
        let heads: Vec<Head> = heads.into_iter().filter(|head| !head.oid.is_zero()).collect();
        if heads.is_empty() {
            return Err(GitError::Empty { at });
        }
        Ok(Self { repo, talk, remote, heads, used: false })
    }

    /// The address, for errors.
    pub fn at(&self) -> String {
        self.talk.address.to_string()
    }

    /// The ref of exactly this name.
    pub fn head(&self, name: &str) -> Option<&Head> {
        self.heads.iter().find(|head| head.name == name)
    }

    /// Brings refs, and what they need.
    pub fn fetch(&mut self, specs: &[String], depth: Depth, tags: AutotagOption) -> Result<(), GitError> {
        tracing::debug!("{}: fetch {specs:?} {depth:?}", self.talk.address);
        if self.talk.address.scheme.is_local() {
            return local::fetch(self.repo, &self.talk, &self.heads, specs, depth, tags);
        }
        let shallow = self.repo.is_shallow();
        let depth = match depth {
            Depth::Commits(commits) => i32::try_from(commits).unwrap_or(ALL),
            Depth::All if shallow => ALL,
            Depth::All => 0,
        };
        let (talk, remote, used, repo) = (&self.talk, &mut self.remote, self.used, self.repo);
        let mut looked = 0;
        self.used = true;
        talk.during("fetch", || {
            if used {
                // A connection that is over says so again when it is closed.
                remote.disconnect().ok();
                remote.connect(Direction::Fetch)?;
            }
            let mut callbacks = RemoteCallbacks::new();
            let session = &talk.session;
            callbacks.transfer_progress(|progress| {
                session.received.of_pack(&progress, talk.counts_bytes());
                if progress.received_bytes() >= looked + LOOK_EVERY {
                    looked = progress.received_bytes();
                    if let Some(full) = full(repo.path()) {
                        talk.note(full);
                        return false;
                    }
                }
                if progress.indexed_deltas() % GIVE_BACK_EVERY == GIVE_BACK_EVERY - 1 {
                    library::give_back();
                }
                !session.stop.is_cancelled()
            });
            let mut options = FetchOptions::new();
            options.remote_callbacks(callbacks).download_tags(tags).depth(depth).update_fetchhead(false);
            remote.fetch(specs, Some(&mut options), Some(&format!("fetch from {}", talk.address)))
        })
    }
}

/// That there is no room left, if there is none.
fn full(path: &Path) -> Option<GitError> {
    let disk = rustix::fs::statvfs(path).ok()?;
    let room = disk.f_bavail.saturating_mul(disk.f_frsize);
    (room < LEFT).then(|| GitError::disk("write a pack to", path)(ErrorKind::StorageFull.into()))
}

/// The commit that a refspec asks for by its id.
pub(crate) fn commit_of(spec: &str) -> Option<Oid> {
    let from = spec.trim_start_matches('+').split(':').next().unwrap_or_default();
    is_id(from).then(|| Oid::from_str(from).ok()).flatten()
}

/// Whether a text is the whole id of an object.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
