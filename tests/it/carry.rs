//! Something goes up and comes down again: whether a connection works, and how it fails.

use crate::bench::{engine, rel, want};
use crate::planted::{download, says_nothing_secret};
use plx_testkit::{Seen, Snapshot, Tree};
use plx_transfer::WantKind::{File, Folder, Lookup};
use plx_transfer::{
    Ended, Engine, Expected, Patience, Remote, Settings, TransferError, Upload, WantKind, plan, upload,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// An engine that tries once.
pub fn once() -> Engine {
    let patience = Patience { time: Duration::ZERO, unreachable: Duration::ZERO, tries: 1 };
    Engine::new(Settings { patience, ..Settings::default() })
}

/// One object at a time, so that what is asked comes in an order.
pub fn one_by_one() -> Engine {
    Engine::new(Settings { workers: 1, ..Settings::default() })
}

/// Sends a tree; all of it must land.
pub async fn send(engine: &Engine, remote: &Remote, tree: &Tree) -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    let sent = tree.write_to(folder.path()).unwrap();
    let jobs = sent.files.iter().map(|(name, content)| Upload {
        key: rel(name),
        path: folder.path().join(name),
        size: content.size,
        expected: Expected::Anything,
    });
    upload(engine, remote, jobs.collect(), &CancellationToken::new(), |job, how| {
        assert!(matches!(how, Ended::Landed { .. }), "{}: {how:?}", job.key);
    })
    .await;
    sent
}

/// Fetches all there is.
pub async fn fetch(engine: &Engine, remote: &Remote) -> Snapshot {
    let (to, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    let plan = plan(engine, remote, vec![want("", "", Folder)], &stop).await;
    assert!(plan.missing.is_empty(), "{:?}", plan.missing);
    let outcome = download(engine, remote, plan, to.path(), &stop).await;
    assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
    Snapshot::of(to.path()).unwrap()
}

/// Everything that a connection does: whole objects, parts, a listing, ranges.
pub async fn works(remote: &Remote) {
    let tree = Tree::new(5).small(3, 1000).file("parts", 9 << 20);
    let sent = send(&engine(), remote, &tree).await;
    assert_eq!(fetch(&engine(), remote).await.diff(&sent), "");
}

/// A little of it.
pub async fn works_a_little(remote: &Remote) {
    let sent = send(&engine(), remote, &Tree::new(5).small(2, 1000)).await;
    assert_eq!(fetch(&engine(), remote).await.diff(&sent), "");
}

/// Why something cannot be looked for.
pub async fn look_with(engine: &Engine, remote: &Remote, kind: WantKind) -> TransferError {
    let plan = plan(engine, remote, vec![want("R", "", kind)], &CancellationToken::new()).await;
    let [error] = &plan.missing[..] else { panic!("{plan:?}") };
    says_nothing_secret(error);
    error.clone()
}

pub async fn look(remote: &Remote, kind: WantKind) -> TransferError {
    look_with(&engine(), remote, kind).await
}

/// Why a file cannot be sent.
pub async fn refused(remote: &Remote, size: usize) -> TransferError {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    std::fs::write(&path, vec![1; size]).unwrap();
    let mut ended = Vec::new();
    let job = Upload { key: rel("f"), path, size: size as u64, expected: Expected::Anything };
    upload(&engine(), remote, vec![job], &CancellationToken::new(), |_, how| ended.push(how)).await;
    match ended.remove(0) {
        Ended::Failed(error) => {
            says_nothing_secret(&error);
            error
        }
        other => panic!("{other:?}"),
    }
}

/// Why anything fails: a listing, both questions for one object, a file, a file in parts.
pub async fn every_failure(remote: &Remote) -> Vec<TransferError> {
    let mut errors = Vec::new();
    for kind in [Folder, File, Lookup] {
        errors.push(look(remote, kind).await);
    }
    for size in [10, 9 << 20] {
        errors.push(refused(remote, size).await);
    }
    errors
}

/// Only what was refused was sent again, and once. How many were refused.
pub fn only_the_refused_were_sent_twice(requests: &[Seen]) -> usize {
    let mut told: BTreeMap<_, Vec<u16>> = BTreeMap::new();
    for seen in requests {
        // A query may hold a signature, which changes; a part of an object is told by its range.
        let (path, query) = seen.path_and_query.split_once('?').unwrap_or((&seen.path_and_query, ""));
        let asked: Vec<&str> =
            query.split('&').filter(|pair| !pair.starts_with("sig=") && !pair.starts_with("s")).collect();
        let what = (seen.method.clone(), path.to_owned(), asked.join("&"), seen.header("range"));
        told.entry(what).or_default().push(seen.status.unwrap());
    }
    for (what, statuses) in &told {
        let refused = statuses.iter().filter(|status| **status >= 400).count();
        assert!(refused <= 1 && statuses.len() == refused + 1, "{what:?}: {statuses:?}");
    }
    told.values().flatten().filter(|status| **status >= 400).count()
}

/// A folder whose files change all at once, as the kubelet changes a mounted secret: behind a link.
pub struct Mounted {
    folder: tempfile::TempDir,
}

impl Mounted {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let mounted = Self { folder: tempfile::tempdir().unwrap() };
        mounted.rotate(files);
        for (name, _) in files {
            std::os::unix::fs::symlink(format!("..data/{name}"), mounted.path().join(name)).unwrap();
        }
        mounted
    }

    /// New files under the same names.
    pub fn rotate(&self, files: &[(&str, &str)]) {
        let version = tempfile::Builder::new().prefix("..").tempdir_in(self.path()).unwrap().keep();
        for (name, content) in files {
            std::fs::write(version.join(name), content).unwrap();
        }
        let new = self.path().join("..data_tmp");
        std::os::unix::fs::symlink(version.file_name().unwrap(), &new).unwrap();
        std::fs::rename(new, self.path().join("..data")).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// One of the files, as a variable names it.
    pub fn file(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }

    /// As the secret of a connection.
    pub fn secret(&self) -> String {
        format!(r#","secret":{{"name":"keys","mountPath":"{}"}}"#, self.path().display())
    }
}
