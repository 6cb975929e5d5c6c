//! Walking the roots.

use crate::clock::{join_ns, now_ns};
use crate::problem::{Problem, ProblemKind};
use crate::seen::{Root, RootState, ScanRules, Seen, SeenDir, SeenFile, SeenRoot};
use plx_contract::Stat;
use plx_contract::{RelPath, layout};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{self, FileType, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use walkdir::{DirEntry, WalkDir};

/// Looks at everything below the roots. Never fails as a whole: what cannot be looked at becomes a [`Problem`], and its
/// key goes to [`Seen::unread`] when it may still be there.
pub fn scan(roots: &[Root], rules: &ScanRules) -> Seen {
    let mut seen = Seen { at_ns: now_ns(), skip_git: rules.skip_git, ..Seen::default() };
    let boundary = fs::canonicalize(&rules.boundary).unwrap_or_else(|_| rules.boundary.clone());
    for root in roots {
        let base = Arc::from(root.base.as_path());
        let state = Walk { seen: &mut seen, root, base, boundary: &boundary, skip_git: rules.skip_git }.run();
        seen.roots.push(SeenRoot { root: root.clone(), state });
    }
    seen.problems.sort();
    seen.problems.dedup();
    seen.unread.sort();
    seen.unread.dedup();
    seen
}

/// True for names that are ours and that no scan reports: temporary files, and the folder of our own state.
pub(crate) fn is_ours(name: &OsStr, is_dir: bool) -> bool {
    let temporary = name.as_encoded_bytes().starts_with(layout::TEMP_PREFIX.as_bytes());
    temporary || (is_dir && name == layout::OWN_STATE)
}

/// True when the key of a file, or of a folder, lies where scans do not look.
pub(crate) fn is_left_out(key: &RelPath, is_dir: bool, skip_git: bool) -> bool {
    let mut folders = key.as_str().split('/').rev().skip(usize::from(!is_dir));
    key.as_str().split('/').any(|name| name.starts_with(layout::TEMP_PREFIX))
        || folders.any(|name| name == layout::OWN_STATE || (skip_git && name == ".git"))
}

/// The walk of one root.
struct Walk<'a> {
    seen: &'a mut Seen,
    root: &'a Root,
    base: Arc<Path>,
    boundary: &'a Path,
    skip_git: bool,
}

impl Walk<'_> {
    fn run(&mut self) -> RootState {
        let before = match self.enter() {
            Ok(meta) => meta,
            Err(state) => return state,
        };
        let mut broken = None;
        let mut walk = WalkDir::new(&self.root.dir).min_depth(1).into_iter();
        while let Some(step) = walk.next() {
            match step {
                Ok(entry) => {
                    let is_dir = entry.file_type().is_dir();
                    if !self.take(&entry) && is_dir {
                        walk.skip_current_dir();
                    }
                }
                Err(error) if error.depth() == 0 => broken = Some(error.to_string()),
                Err(error) => self.walk_failed(&error),
            }
        }
        // A root that went away under the walk looks like one whose files were deleted.
        match fs::metadata(&self.root.dir) {
            Ok(after) if (after.dev(), after.ino()) == (before.dev(), before.ino()) => match broken {
                None => RootState::Present { dev: before.dev() },
                Some(detail) => self.unreadable_root(detail),
            },
            _ => RootState::Missing,
        }
    }

    /// Looks at the root itself.
    fn enter(&mut self) -> Result<Metadata, RootState> {
        let dir = &self.root.dir;
        let meta = match fs::metadata(dir) {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(RootState::Missing),
            Err(error) => return Err(self.unreadable_root(error.to_string())),
        };
        if !meta.is_dir() {
            return Err(self.unreadable_root("it is not a folder".to_owned()));
        }
        if self.root.prefix().is_none() {
            return Err(self.unreadable_root("its path cannot be part of a key".to_owned()));
        }
        if dir.is_symlink() && !fs::canonicalize(dir).is_ok_and(|to| to.starts_with(self.boundary)) {
            return Err(self.unreadable_root("it is a link that leaves the artifacts".to_owned()));
        }
        Ok(meta)
    }

    fn unreadable_root(&mut self, detail: String) -> RootState {
        self.problem(&self.root.dir, ProblemKind::Unreadable, &detail);
        RootState::Unreadable(detail)
    }

    /// Records one entry; false when a folder must not be walked.
    fn take(&mut self, entry: &DirEntry) -> bool {
        let (kind, path) = (entry.file_type(), entry.path());
        if is_ours(entry.file_name(), kind.is_dir()) {
            return false;
        }
        if self.skip_git && kind.is_dir() && entry.file_name() == ".git" {
            return false;
        }
        let Some(key) = self.key(path) else {
            self.problem(path, ProblemKind::Name, "");
            return false;
        };
        if kind.is_symlink() {
            self.link(key, path);
            return false;
        }
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            Err(error) => {
                self.walk_failed(&error);
                return false;
            }
        };
        if meta.is_dir() {
            let mtime_ns = join_ns(meta.mtime(), meta.mtime_nsec());
            self.seen.dirs.insert(key, SeenDir { base: Arc::clone(&self.base), mtime_ns, mode: meta.mode() });
            return true;
        }
        self.file(key, path, path.to_owned(), &meta);
        false
    }

    /// A file, or what a link leads to.
    fn file(&mut self, key: RelPath, named: &Path, path: PathBuf, meta: &Metadata) {
        if !meta.is_file() {
            self.problem(named, ProblemKind::Special, special(meta.file_type()));
        } else if let Some(first) = self.seen.files.get(&key) {
            let first = first.path.display().to_string();
            self.problem(named, ProblemKind::Duplicate, &first);
        } else {
            let (base, stat) = (Arc::clone(&self.base), Stat::of(meta));
            self.seen.files.insert(key, SeenFile { path, base, stat });
        }
    }

    fn link(&mut self, key: RelPath, path: &Path) {
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(error) => return self.link_failed(key, path, &error),
        };
        match fs::metadata(&target) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) if !self.may_lead_to(&target) => {
                self.problem(path, ProblemKind::LinkLeaves, &target.display().to_string());
                // A file that was stored and moved away behind a link still is somebody's file.
                self.seen.unread.push(key);
            }
            Ok(meta) => self.file(key, path, target, &meta),
            Err(error) => self.link_failed(key, path, &error),
        }
    }

    /// Below the artifacts root, and not in our own state.
    fn may_lead_to(&self, target: &Path) -> bool {
        target
            .strip_prefix(self.boundary)
            .is_ok_and(|inside| !inside.components().any(|c| c.as_os_str() == layout::OWN_STATE))
    }

    fn link_failed(&mut self, key: RelPath, path: &Path, error: &io::Error) {
        let Ok(target) = fs::read_link(path) else { return }; // the link itself went away
        let target = target.display().to_string();
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                self.problem(path, ProblemKind::DanglingLink, &target);
            }
            _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                self.problem(path, ProblemKind::LinkLoop, &target);
            }
            _ => {
                self.problem(path, ProblemKind::Unreadable, &error.to_string());
                self.seen.unread.push(key);
            }
        }
    }

    /// Something below the root cannot be looked at. What went away in the meantime is just not there.
    fn walk_failed(&mut self, error: &walkdir::Error) {
        let kind = error.io_error().map(io::Error::kind);
        if kind == Some(ErrorKind::NotFound) {
            return;
        }
        // Without a path we do not know which folder was cut short: then all of the root may be.
        let path = error.path().unwrap_or(&self.root.dir);
        let key = self.key(path).or_else(|| self.root.prefix()).unwrap_or_default();
        self.seen.unread.push(key);
        if kind != Some(ErrorKind::NotADirectory) {
            let detail = error.io_error().map_or_else(|| error.to_string(), io::Error::to_string);
            self.problem(path, ProblemKind::Unreadable, &detail);
        }
    }

    fn key(&self, path: &Path) -> Option<RelPath> {
        RelPath::parse(path.strip_prefix(&*self.base).ok()?.to_str()?).ok()
    }

    fn problem(&mut self, path: &Path, kind: ProblemKind, detail: &str) {
        self.seen.problems.push(Problem { path: path.to_owned(), kind, detail: detail.to_owned() });
    }
}

fn special(kind: FileType) -> &'static str {
    if kind.is_socket() {
        "a socket"
    } else if kind.is_fifo() {
        "a named pipe"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_where_no_scan_looks_are_known() {
        let left_out = |key: &str, git| is_left_out(&RelPath::parse(key).expect("safe"), false, git);
        assert!(left_out("R/.git/HEAD", true) && !left_out("R/.git/HEAD", false));
        assert!(!left_out("R/sub/.git", true), "a worktree's `.git` is a file, and stored");
        assert!(is_left_out(&RelPath::parse("R/sub/.git").expect("safe"), true, true), "a folder is not");
        assert!(left_out("R/.plx/pod/journal.jsonl", false) && left_out("R/.plx-part.x", false));
        assert!(!left_out("R/.plx", false) && !left_out("R/.gitignore", true) && !left_out("R/x.plx", true));
    }
}
