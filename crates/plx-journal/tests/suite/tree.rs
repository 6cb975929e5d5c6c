//! A context folder to play in.

use filetime::FileTime;
use plx_contract::RelPath;
use plx_contract::run::RunUuid;
use plx_journal::{Changes, Delete, Journal, Root, ScanRules, Seen, Stat, StoredAs, scan};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub const RUN: &str = "8aac02e3a62a4f0aaa257c59da5eab80";
pub const T0: i64 = 1_700_000_000;

pub fn key(raw: &str) -> RelPath {
    RelPath::parse(raw).unwrap()
}

pub fn run() -> RunUuid {
    RunUuid::new(RUN).unwrap()
}

pub fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

/// A moment at which every file that exists now is settled.
pub fn later() -> i64 {
    now_ns() + 10_000_000_000
}

/// `ART` with the run's folder in it.
pub struct Tree {
    temp: tempfile::TempDir,
}

impl Tree {
    pub fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let tree = Self { temp };
        fs::create_dir_all(tree.run()).unwrap();
        tree
    }

    pub fn art(&self) -> PathBuf {
        self.temp.path().join("artifacts")
    }

    pub fn outside(&self) -> PathBuf {
        self.temp.path().join("outside")
    }

    pub fn run(&self) -> PathBuf {
        self.art().join(RUN)
    }

    pub fn at(&self, rel: &str) -> PathBuf {
        self.run().join(rel)
    }

    pub fn write(&self, rel: &str, text: &str) {
        fs::create_dir_all(self.at(rel).parent().unwrap()).unwrap();
        fs::write(self.at(rel), text).unwrap();
    }

    pub fn write_at(&self, rel: &str, text: &str, secs: i64, micros: u32) {
        self.write(rel, text);
        set_mtime(&self.at(rel), secs, micros);
    }

    pub fn link(&self, target: impl AsRef<Path>, rel: &str) {
        std::os::unix::fs::symlink(target, self.at(rel)).unwrap();
    }

    /// As the sidecar scans: the run, and every related run.
    pub fn scan(&self) -> Seen {
        let mut roots = vec![Root::of(&self.run())];
        let related = fs::read_dir(self.art().join("_related_runs")).into_iter().flatten();
        roots.extend(related.map(|entry| Root::of(&entry.unwrap().path())));
        scan(&roots, &ScanRules { boundary: self.art(), skip_git: true })
    }
}

pub fn set_mtime(path: &Path, secs: i64, micros: u32) {
    filetime::set_file_mtime(path, FileTime::from_unix_time(secs, micros * 1000)).unwrap();
}

/// Keys without the run's own prefix.
pub fn short<'a>(keys: impl IntoIterator<Item = &'a RelPath>) -> BTreeSet<String> {
    let prefix = format!("{RUN}/");
    keys.into_iter()
        .map(|key| key.as_str().strip_prefix(&prefix).unwrap_or(key.as_str()).to_owned())
        .collect()
}

pub fn puts(changes: &Changes) -> BTreeSet<String> {
    short(changes.puts.iter().map(|put| &put.key))
}

pub fn deletes(changes: &Changes) -> BTreeSet<String> {
    short(
        changes
            .deletes
            .iter()
            .chain(&changes.blocking)
            .filter(|delete| !delete.is_dir)
            .map(|delete| &delete.key),
    )
}

/// Carries out all of a plan, as if every transfer succeeded long after the last change.
pub fn commit(journal: &mut Journal, changes: &Changes) {
    for Delete { key, is_dir, .. } in changes.blocking.iter().chain(&changes.deletes) {
        if *is_dir { journal.dir_removed(key).unwrap() } else { journal.removed(key).unwrap() }
    }
    for key in &changes.dirs {
        journal.dir_made(key, Path::new("/ctx")).unwrap();
    }
    for put in &changes.puts {
        let stat = Stat::of(&fs::metadata(&put.path).unwrap());
        journal.landed(&put.key, &put.base, stat, later(), StoredAs::default()).unwrap();
    }
    for key in &changes.dir_deletes {
        journal.dir_removed(key).unwrap();
    }
}
