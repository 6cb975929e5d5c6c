//! What a program left on disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::{Look, Planted};
use crate::Content;

/// Folders as they are before a program runs. What is there then and stays as it is, the test put there itself: its
/// keys, tokens and catalogs. Everything else was left by the program, and is searched, names and bytes.
#[derive(Debug)]
pub struct LeftFiles {
    planted: Planted,
    roots: Vec<PathBuf>,
    before: BTreeMap<PathBuf, Content>,
}

/// A file that is there to hold a token, and why. Keys that only sign are searched for there too.
#[derive(Debug, Clone)]
pub struct Belongs {
    /// The file.
    pub file: PathBuf,
    /// What it is for.
    pub why: &'static str,
}

impl LeftFiles {
    /// Before the program runs. Folders that are not there yet count as empty.
    pub fn before(planted: &Planted, roots: Vec<PathBuf>) -> Self {
        let before = entries(&roots).map(|(path, bytes)| (path, Content::of(&bytes))).collect();
        Self { planted: planted.clone(), roots, before }
    }

    /// Fails when a file that is new or was changed holds a secret, or is named like one.
    ///
    /// # Panics
    /// Then.
    #[track_caller]
    pub fn assert_free(&self, excepted: &[Belongs]) {
        for (path, bytes) in entries(&self.roots) {
            if self.before.get(&path) == Some(&Content::of(&bytes)) {
                continue;
            }
            let belongs = excepted.iter().find(|belongs| belongs.file == path);
            let look = if belongs.is_some() { Look::AtCarrier } else { Look::Anywhere };
            let found = self.planted.look(&bytes, look);
            assert!(found.is_none(), "{} in the file {}", found.unwrap_or_default(), path.display());
            let named = self.planted.find(path.as_os_str().as_bytes());
            assert!(named.is_none(), "{} in the name {}", named.unwrap_or_default(), path.display());
        }
    }
}

/// Files with their bytes, links with where they lead, folders with nothing. Sockets and pipes hold nothing.
fn entries(roots: &[PathBuf]) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
    let walks = roots.iter().flat_map(|root| WalkDir::new(root).min_depth(1));
    walks.filter_map(Result::ok).filter_map(|entry| {
        let path = entry.path();
        let bytes = held(path, entry.file_type())?;
        Some((path.to_owned(), bytes))
    })
}

/// `None` for what is not there any more.
fn held(path: &Path, kind: fs::FileType) -> Option<Vec<u8>> {
    if kind.is_file() {
        return fs::read(path).ok();
    }
    if kind.is_symlink() {
        return Some(fs::read_link(path).ok()?.as_os_str().as_bytes().to_vec());
    }
    Some(Vec::new())
}
