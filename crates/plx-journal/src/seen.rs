//! What a scan finds.

use crate::clock::granularity;
use crate::problem::Problem;
use plx_contract::{RelPath, Stat};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// True when a write after `since_ns` must show in the timestamps, because the last change is further back than the
/// clock is coarse. Only ctime is asked: mtime can be set by anybody. A ctime in the future never settles.
pub fn settled_at(stat: &Stat, since_ns: i64) -> bool {
    since_ns.saturating_sub(stat.ctime_ns) > granularity(stat.mtime_ns, stat.ctime_ns)
}

/// A folder that is mirrored, and where its keys begin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Root {
    /// The folder: `ART/R`, or `ART/_related_runs/X`.
    pub dir: PathBuf,
    /// What keys are relative to: `ART`, or `ART/_related_runs`.
    pub base: PathBuf,
}

impl Root {
    /// The root at `dir`, with keys that begin with the folder's own name, however many slashes it ends with.
    pub fn of(dir: &Path) -> Self {
        let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let dir: PathBuf = whole.components().collect(); // drops a trailing slash
        let base = dir.parent().unwrap_or(&dir).to_owned();
        Self { dir, base }
    }

    /// What every key of this root begins with: `R`, or `X`. None when `dir` is not below `base`, or no key can be
    /// made of it.
    pub fn prefix(&self) -> Option<RelPath> {
        RelPath::parse(self.dir.strip_prefix(&self.base).ok()?.to_str()?).ok()
    }
}

/// What a scan may look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRules {
    /// The artifacts root: links may not leave it.
    pub boundary: PathBuf,
    /// Leave out folders named `.git`, at any depth, as Polyaxon's sidecar does.
    pub skip_git: bool,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenFile {
    /// What to open; for a link, the file it leads to.
    pub path: PathBuf,
    /// What its key is relative to.
    pub base: Arc<Path>,
    /// Its state; for a link, that of the file it leads to.
    pub stat: Stat,
}

/// A folder that is there, below a root. A root itself is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenDir {
    /// What its key is relative to.
    pub base: Arc<Path>,
    /// Time of its last change.
    pub mtime_ns: i64,
    /// Type and permission bits.
    pub mode: u32,
}

/// How a root was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootState {
    /// There and walked.
    Present {
        /// The device it is on: another one means another file system, not that everything was deleted.
        dev: u64,
    },
    /// Not there, or gone before the walk was over.
    Missing,
    /// There, but it cannot be walked; what the system said.
    Unreadable(String),
}

/// A root and how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRoot {
    /// The root.
    pub root: Root,
    /// How it was found.
    pub state: RootState,
}

/// The result of one scan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Each root that was asked for.
    pub roots: Vec<SeenRoot>,
    /// Every file, by its key in the store.
    pub files: BTreeMap<RelPath, SeenFile>,
    /// Every folder that was walked, by its key.
    pub dirs: BTreeMap<RelPath, SeenDir>,
    /// What was left out, sorted, each once.
    pub problems: Vec<Problem>,
    /// Keys that could not be looked at: nothing at or below them may be taken for deleted.
    pub unread: Vec<RelPath>,
    /// Whether folders named `.git` were left out: nothing in them may be taken for deleted either.
    pub skip_git: bool,
    /// The wall clock when the scan began.
    pub at_ns: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_slash_does_not_lose_the_runs_prefix() {
        for raw in ["/ctx/artifacts/R", "/ctx/artifacts/R/", "/ctx/artifacts//R//", "/ctx/artifacts/./R/."] {
            let root = Root::of(Path::new(raw));
            assert_eq!(root.base, Path::new("/ctx/artifacts"), "{raw}");
            assert_eq!(root.prefix().map(|p| p.to_string()), Some("R".to_owned()), "{raw}");
        }
    }

    #[test]
    fn a_root_that_is_not_below_its_base_has_no_prefix() {
        assert_eq!(Root { dir: "/a/b".into(), base: "/c".into() }.prefix(), None);
    }

    #[test]
    fn mtime_in_the_past_does_not_settle_a_file_changed_just_now() {
        let stat = Stat { dev: 1, ino: 1, size: 1, mtime_ns: 1, ctime_ns: 1_000_000_001, mode: 0 };
        assert!(!settled_at(&stat, 1_000_000_001 + 20_000_000));
        assert!(settled_at(&stat, 1_000_000_002 + 20_000_000));
        assert!(!settled_at(&stat, 0), "a ctime in the future");
    }
}
