//! A clone is built beside its place and moved there when it is whole, so that whatever stands under the final name is
//! a clone that was finished.
//!
//! | path | what it is |
//! | --- | --- |
//! | `PARENT/.plx-part.NAME.lock` | held while a clone is made, and removed with it |
//! | `PARENT/.plx-part.NAME.git` | the clone that is being made; one that a crash left is removed first |
//! | `TARGET/.git/plx-init.json` | `{"url","revision","flags","commit"}`: what was asked for, and what it came to |
//! | `TARGET/.git/plx-main.gitconfig` | `safe.directory` of the clone and its submodules, see [`write_for_main`] |

use crate::GitError;
use crate::link::{Link, is_id};
use crate::transport::Session;
use git2::{ErrorCode, Repository, StatusOptions};
use plx_contract::layout::TEMP_PREFIX;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOCK_EVERY: Duration = Duration::from_millis(200);
const RECORD: &str = "plx-init.json";
const FOR_MAIN: &str = "plx-main.gitconfig";

/// What was asked for, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub url: String,
    pub revision: Option<String>,
    pub flags: String,
    #[serde(default)]
    pub commit: String,
}

impl Record {
    fn asks_the_same(&self, other: &Self) -> bool {
        self.url == other.url && self.revision == other.revision && self.flags == other.flags
    }
}

/// What stands where the clone is to be.
pub(crate) enum Standing {
    /// Nothing, or an empty folder.
    Nothing,
    /// A clone of ours that was asked for in the same words; whether the words still mean the same commit is another
    /// matter.
    Same(Record),
}

/// Looks at the target.
pub(crate) fn look(target: &Path, asked: &Record) -> Result<Standing, GitError> {
    let occupied = |why: String| GitError::Occupied { target: target.to_owned(), why };
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Standing::Nothing),
        Err(error) => return Err(GitError::disk("look at", target)(error)),
        Ok(found) if !found.is_dir() => {
            return Err(occupied("something that is no folder stands there".to_owned()));
        }
        Ok(_) => {}
    }
    let mut entries = fs::read_dir(target).map_err(GitError::disk("read", target))?;
    let Some(first) = entries.next() else { return Ok(Standing::Nothing) };
    let first = first.map_err(GitError::disk("read", target))?.file_name();
    let Some(record) = read(target) else {
        let first = first.to_string_lossy().into_owned();
        return Err(occupied(format!(
            "the folder is not empty (`{first}`), and no clone that was made here"
        )));
    };
    if !record.asks_the_same(asked) {
        let what = record.revision.as_deref().unwrap_or("the default branch");
        return Err(occupied(format!("another clone stands there: of {} at {what}", record.url)));
    }
    Ok(Standing::Same(record))
}

fn read(target: &Path) -> Option<Record> {
    let text = fs::read_to_string(target.join(".git").join(RECORD)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Whether the clone that stands there is still what it was made as. Files that main added do not matter.
pub(crate) fn is_good(target: &Path, record: &Record, submodules: bool) -> Result<(), GitError> {
    let occupied = |why: String| GitError::Occupied { target: target.to_owned(), why };
    let broken = |error: git2::Error| occupied(format!("a broken clone stands there: {}", error.message()));
    let repo = Repository::open(target).map_err(broken)?;
    let head = repo.head().and_then(|head| head.peel_to_commit()).map_err(broken)?.id().to_string();
    if head != record.commit {
        return Err(occupied(format!("the clone there was moved from {} to {head}", record.commit)));
    }
    match changed(&repo, submodules).map_err(broken)? {
        None => Ok(()),
        Some(path) => Err(occupied(format!("the clone there was changed (`{path}` first)"))),
    }
}

/// The first file or submodule that is not as it was checked out.
fn changed(repo: &Repository, submodules: bool) -> Result<Option<String>, git2::Error> {
    let mut options = StatusOptions::new();
    options.include_untracked(false).include_ignored(false).exclude_submodules(true);
    let statuses = repo.statuses(Some(&mut options))?;
    if let Some(entry) = statuses.iter().next() {
        return Ok(Some(String::from_utf8_lossy(entry.path_bytes()).into_owned()));
    }
    if !submodules {
        return Ok(None);
    }
    for submodule in repo.submodules()? {
        let path = submodule.path().display().to_string();
        // One that was not asked for has no repository here.
        let made = repo.path().join("modules").join(submodule.name()?).exists();
        if submodule.index_id().is_none() || !made {
            continue;
        }
        let Ok(inner) = submodule.open() else { return Ok(Some(path)) };
        let head = inner.head().and_then(|head| head.peel_to_commit()).map(|commit| commit.id()).ok();
        if head != submodule.index_id() {
            return Ok(Some(path));
        }
        if let Some(within) = changed(&inner, true)? {
            return Ok(Some(format!("{path}/{within}")));
        }
    }
    Ok(None)
}

/// The commit that the same words mean now, if that can be told without fetching.
pub(crate) fn means_now(link: &Link<'_>, record: &Record) -> Option<String> {
    let commit = |name: &str| {
        let peeled = link.head(&format!("{name}^{{}}"));
        peeled.or_else(|| link.head(name)).map(|head| head.oid.to_string())
    };
    match record.revision.as_deref() {
        // Which of the two is meant is for whoever has both.
        Some(name)
            if link.head(&format!("refs/heads/{name}")).is_some()
                && link.head(&format!("refs/tags/{name}")).is_some() =>
        {
            None
        }
        None => commit("HEAD"),
        Some(id) if is_id(id) => Some(id.to_ascii_lowercase()),
        Some(name) => {
            ["refs/heads/", "refs/tags/", ""].iter().find_map(|kind| commit(&format!("{kind}{name}")))
        }
    }
}

/// A path beside the target that every scan skips.
fn beside(target: &Path, ending: &str) -> Result<PathBuf, GitError> {
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
        let why = "is no path of a folder to make".to_owned();
        return Err(GitError::Occupied { target: target.to_owned(), why });
    };
    fs::create_dir_all(parent).map_err(GitError::disk("make", parent))?;
    Ok(parent.join(format!("{TEMP_PREFIX}{}.{ending}", name.to_string_lossy())))
}

/// Held while a clone is made; its file is gone with it.
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Whoever waits for it sees that it is another file by then, and begins anew. One that is gone already is gone.
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!("remove the lock {}: {error}", self.path.display());
        }
    }
}

/// Waits until nobody else makes a clone at the target. None where the volume has no locks.
pub(crate) fn lock(target: &Path, session: &Session) -> Result<Option<Lock>, GitError> {
    let path = beside(target, "lock")?;
    let mut told = false;
    loop {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(GitError::disk("open the lock", &path))?;
        match file.try_lock() {
            Ok(()) => {
                let same = |there: fs::Metadata, mine: fs::Metadata| there.ino() == mine.ino();
                let ours = fs::metadata(&path).and_then(|there| Ok(same(there, file.metadata()?)));
                if ours.unwrap_or(false) {
                    return Ok(Some(Lock { path, _file: file }));
                }
            }
            Err(TryLockError::WouldBlock) => {
                if !told {
                    tracing::info!(
                        "{}: another clone is being made there, waiting for its end",
                        target.display()
                    );
                    told = true;
                }
                session.pause(LOCK_EVERY)?;
            }
            Err(TryLockError::Error(error)) => {
                tracing::debug!("{}: the volume has no locks: {error}", path.display());
                return Ok(None);
            }
        }
    }
}

/// The place where a clone is made. What is still there at the end is removed.
pub(crate) struct Stage {
    pub path: PathBuf,
    target: PathBuf,
}

impl Stage {
    /// Makes the parent folder, and removes what a crash left.
    pub fn prepare(target: &Path) -> Result<Self, GitError> {
        let path = beside(target, "git")?;
        remove(&path).map_err(GitError::disk("remove the unfinished clone", &path))?;
        Ok(Self { path, target: target.to_owned() })
    }

    /// Moves the clone to its place, in one step.
    pub fn publish(mut self) -> Result<(), GitError> {
        let made = fs::rename(&self.path, &self.target);
        if made.is_ok() {
            // From here on there is nothing of ours to remove.
            self.path = PathBuf::new();
        }
        made.map_err(|error| match error.kind() {
            ErrorKind::ResourceBusy => GitError::Occupied {
                target: self.target.clone(),
                why: "a volume is mounted there, and a clone is made in one step: give a folder in it"
                    .to_owned(),
            },
            _ => GitError::disk("move the clone to", &self.target)(error),
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = remove(&self.path) {
            tracing::warn!("remove the unfinished clone {}: {error}", self.path.display());
        }
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => fs::remove_file(path),
        done => done,
    }
}

/// Writes the record into the clone.
pub(crate) fn write_record(stage: &Path, record: &Record) -> Result<(), GitError> {
    let path = stage.join(".git").join(RECORD);
    let text = serde_json::to_string(record).expect("strings are JSON");
    fs::write(&path, text + "\n").map_err(GitError::disk("write", &path))
}

/// Writes what git in main needs when main is another user: git refuses a repository of somebody else unless
/// `safe.directory` names it, and takes that setting from no repository. With `GIT_CONFIG_GLOBAL` set to this file it
/// works; files are readable by everybody either way.
pub(crate) fn write_for_main(repo: &Repository, target: &Path, submodules: bool) -> Result<(), GitError> {
    let path = repo.path().join(FOR_MAIN);
    let mut folders = vec![target.to_owned()];
    if submodules {
        nested(repo, target, &mut folders).map_err(GitError::library("list submodules"))?;
    }
    let write = || -> Result<(), git2::Error> {
        let mut config = git2::Config::open(&path)?;
        for folder in &folders {
            // No value is like this one: each is added.
            config.set_multivar("safe.directory", "^$", &folder.to_string_lossy())?;
        }
        Ok(())
    };
    write().map_err(GitError::library(format!("write {}", path.display())))
}

fn nested(repo: &Repository, at: &Path, folders: &mut Vec<PathBuf>) -> Result<(), git2::Error> {
    for submodule in repo.submodules()? {
        match submodule.open() {
            Ok(inner) => {
                let at = at.join(submodule.path());
                folders.push(at.clone());
                nested(&inner, &at, folders)?;
            }
            // One that was not asked for.
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Lets every user read what a strict umask would keep from all but this one.
pub(crate) fn open_to_all(root: &Path) -> Result<(), GitError> {
    use std::os::unix::fs::PermissionsExt;
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(GitError::disk("read", &folder))? {
            let entry = entry.map_err(GitError::disk("read", &folder))?;
            let kind = entry.file_type().map_err(GitError::disk("look at", entry.path()))?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_symlink() {
                continue;
            } else {
                let mode =
                    entry.metadata().map_err(GitError::disk("look at", entry.path()))?.permissions().mode();
                allow(&entry.path(), mode, if mode & 0o100 == 0 { 0o044 } else { 0o055 })?;
            }
        }
        let mode = fs::metadata(&folder).map_err(GitError::disk("look at", &folder))?.permissions().mode();
        allow(&folder, mode, 0o055)?;
    }
    fn allow(path: &Path, mode: u32, more: u32) -> Result<(), GitError> {
        if mode & more == more {
            return Ok(());
        }
        let wider = fs::Permissions::from_mode((mode | more) & 0o7777);
        fs::set_permissions(path, wider).map_err(GitError::disk("change the mode of", path))
    }
    Ok(())
}
