//! Putting files under their final names, below one folder and nowhere else.
//!
//! Every path is resolved beneath the folder by `cap-std` (`openat2` with `RESOLVE_BENEATH` where the kernel has it, a
//! walk without following links where not), so that neither `..` nor a symbolic link leads outside. Content goes to a
//! temporary name beside the final one and is renamed when it is whole.

use crate::TransferError;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use plx_contract::RelPath;
use plx_contract::layout::TEMP_PREFIX;
use rustix::fs::FlockOperation;
use std::collections::HashSet;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Folders remembered as made; beyond this the memory is emptied, and `mkdir` says again that they exist.
const REMEMBERED: usize = 10_000;

/// A folder that files are placed in. Blocking: call it from `spawn_blocking`.
#[derive(Debug, Clone)]
pub struct Place {
    dir: Arc<Dir>,
    path: Arc<PathBuf>,
    made: Arc<Mutex<HashSet<RelPath>>>,
}

impl Place {
    /// Opens a folder, making it when it is not there. A folder that is made here is open to every user, as the
    /// scripts of Polyaxon make it (`mkdir -m 0777 -p`): main may run as any uid.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub fn open(path: &Path) -> Result<Self, TransferError> {
        if !path.is_dir() {
            std::fs::create_dir_all(path).map_err(|error| TransferError::disk("make folder", path, error))?;
            std::fs::set_permissions(path, Permissions::from_mode(0o777))
                .map_err(|error| TransferError::disk("open folder to all users", path, error))?;
        }
        Self::existing(path)
    }

    /// Opens a folder that must be there: a mount that is gone is no place to write to.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn existing(path: &Path) -> Result<Self, TransferError> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())
            .map_err(|error| TransferError::disk("open folder", path, error))?;
        Ok(Self { dir: Arc::new(dir), path: Arc::new(path.to_owned()), made: Arc::default() })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a whole small file.
    pub(crate) fn write<B: AsRef<[u8]>>(&self, name: &RelPath, content: &[B]) -> Result<(), TransferError> {
        let temp = self.temp(name)?;
        let mut file = temp.file();
        for chunk in content {
            file.write_all(chunk.as_ref()).map_err(|error| self.failed("write", name, error))?;
        }
        temp.publish()
    }

    /// Writes a whole small file with a mode of its own. What stands under the name is replaced, a link too.
    ///
    /// # Errors
    /// When it cannot be written, or the name leads outside of the folder through a link.
    pub fn put(&self, name: &RelPath, content: &[u8], mode: u32) -> Result<(), TransferError> {
        let temp = self.temp(name)?;
        let mut file = temp.file();
        file.write_all(content)
            .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
            .map_err(|error| self.failed("write", name, error))?;
        temp.publish()
    }

    /// A file under a temporary name, empty, and its folders.
    pub(crate) fn temp(&self, name: &RelPath) -> Result<Temp, TransferError> {
        self.make_parents(name)?;
        let hash = xxhash_rust::xxh3::xxh3_64(name.name().as_bytes());
        for attempt in 0.. {
            let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
            let temp = name.parent().beneath(Path::new("")).join(format!("{TEMP_PREFIX}{hash:016x}{suffix}"));
            match self.own(&temp) {
                Ok(Some(file)) => {
                    return Ok(Temp {
                        place: self.clone(),
                        temp,
                        name: name.clone(),
                        file: Arc::new(file),
                        done: false,
                    });
                }
                Ok(None) if attempt < 100 => {}
                Ok(None) => {
                    return Err(self.failed(
                        "make a temporary file for",
                        name,
                        io::ErrorKind::ResourceBusy.into(),
                    ));
                }
                Err(error) => return Err(self.failed("create", name, error)),
            }
        }
        unreachable!("the loop returns")
    }

    /// Opens a temporary file for this writer alone. The name depends on the final name only, so that what a killed
    /// process left behind is used again and not added to; the lock keeps living writers apart.
    fn own(&self, temp: &Path) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        options.create(true).write(true).read(true);
        let file = self.dir.open_with(temp, &options)?.into_std();
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            // No locks on this file system: the name is as good as it gets.
            Err(rustix::io::Errno::NOLCK | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
        // Between open and lock its former writer may have renamed it to its final name: then it is not ours.
        let named = match self.dir.symlink_metadata(temp) {
            Ok(metadata) => cap_std::fs::MetadataExt::ino(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if named != file.metadata()?.ino() {
            return Ok(None);
        }
        file.set_len(0)?;
        Ok(Some(file))
    }

    /// Removes the temporary files below these folders that nobody writes any more. Where the file system has no locks
    /// nobody can tell, and all are left: the next writer of the same file uses them again.
    pub(crate) fn remove_left(&self, below: &[RelPath]) -> Result<u64, TransferError> {
        let (mut removed, mut failed) = (0, None);
        for folder in below {
            for entry in walkdir::WalkDir::new(folder.beneath(&self.path)).min_depth(1) {
                let result = match entry {
                    Ok(entry) if entry.file_type().is_file() && is_temporary(entry.file_name()) => {
                        self.remove_if_left(entry.path())
                    }
                    Ok(_) => Ok(false),
                    Err(error) => Self::unless_gone(error.into()),
                };
                match result {
                    Ok(gone) => removed += u64::from(gone),
                    Err(error) => {
                        let at = folder.beneath(&self.path);
                        failed.get_or_insert(TransferError::disk("remove what was left below", &at, error));
                    }
                }
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    fn remove_if_left(&self, path: &Path) -> io::Result<bool> {
        let Ok(temp) = path.strip_prefix(&*self.path) else { return Ok(false) };
        let mut options = OpenOptions::new();
        options.write(true);
        let file = match self.dir.open_with(temp, &options) {
            Ok(file) => file.into_std(),
            Err(error) => return Self::unless_gone(error),
        };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(false);
        }
        // Its writer may have given it its final name before it let go of it.
        match self.dir.symlink_metadata(temp) {
            Ok(metadata) if cap_std::fs::MetadataExt::ino(&metadata) == file.metadata()?.ino() => {}
            Ok(_) => return Ok(false),
            Err(error) => return Self::unless_gone(error),
        }
        self.dir.remove_file(temp).map(|()| true)
    }

    fn unless_gone(error: io::Error) -> io::Result<bool> {
        if error.kind() == io::ErrorKind::NotFound { Ok(false) } else { Err(error) }
    }

    /// Makes a folder and those above it.
    pub(crate) fn make_folder(&self, name: &RelPath) -> Result<(), TransferError> {
        if name.is_root() || self.made().contains(name) {
            return Ok(());
        }
        self.dir.create_dir_all(name.as_str()).map_err(|error| self.failed("make folder", name, error))?;
        let mut made = self.made();
        if made.len() >= REMEMBERED {
            made.clear();
        }
        made.insert(name.clone());
        Ok(())
    }

    /// Makes a symbolic link, replacing what is there.
    pub(crate) fn make_link(&self, name: &RelPath, to: &Path) -> Result<(), TransferError> {
        self.make_parents(name)?;
        let made = match self.dir.symlink(to, name.as_str()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.dir.remove_file(name.as_str()).and_then(|()| self.dir.symlink(to, name.as_str()))
            }
            made => made,
        };
        made.map_err(|error| self.failed("make link", name, error))
    }

    /// Removes a file; one that is gone is removed.
    pub(crate) fn remove(&self, name: &RelPath) -> Result<(), TransferError> {
        match self.dir.remove_file(name.as_str()) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(self.failed("remove", name, error))
            }
            _ => Ok(()),
        }
    }

    /// Removes a file or, with `below`, a folder and all in it; links are removed and not followed. What is gone is
    /// removed.
    pub(crate) fn clear(&self, name: &RelPath, below: bool) -> Result<(), TransferError> {
        let metadata = match self.dir.symlink_metadata(name.as_str()) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(self.failed("look at", name, error)),
        };
        let gone = if !metadata.is_dir() {
            self.dir.remove_file(name.as_str())
        } else if below {
            self.dir.remove_dir_all(name.as_str())
        } else {
            Err(io::ErrorKind::IsADirectory.into())
        };
        match gone {
            // Somebody else was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failed("remove", name, error)),
            Ok(()) => Ok(()),
        }
    }

    /// Removes an empty folder; one that is gone or holds something is left alone.
    pub(crate) fn remove_folder(&self, name: &RelPath) -> Result<(), TransferError> {
        match self.dir.remove_dir(name.as_str()) {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Err(self.failed("remove folder", name, error))
            }
            _ => {
                self.made().remove(name);
                Ok(())
            }
        }
    }

    /// Size of the file under a name, if there is one.
    pub(crate) fn size_of(&self, name: &RelPath) -> Option<u64> {
        self.dir
            .metadata(name.as_str())
            .ok()
            .filter(cap_std::fs::Metadata::is_file)
            .map(|metadata| metadata.len())
    }

    /// Bytes that a user without privileges may still write.
    pub(crate) fn free(&self) -> Result<u64, TransferError> {
        let stat = rustix::fs::fstatvfs(&*self.dir)
            .map_err(|error| TransferError::disk("ask for free space of", &self.path, error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn make_parents(&self, name: &RelPath) -> Result<(), TransferError> {
        self.make_folder(&name.parent())
    }

    fn made(&self) -> std::sync::MutexGuard<'_, HashSet<RelPath>> {
        self.made.lock().expect("no code panics while it holds the set")
    }

    fn passes_a_link(&self, name: &RelPath) -> bool {
        let is_link = |name: &RelPath| {
            self.dir.symlink_metadata(name.as_str()).is_ok_and(|metadata| metadata.is_symlink())
        };
        std::iter::successors(Some(name.clone()), |name| Some(name.parent()))
            .take_while(|name| !name.is_root())
            .any(|name| is_link(&name))
    }

    pub(crate) fn failed(&self, doing: &'static str, name: &RelPath, error: io::Error) -> TransferError {
        // cap-std's own refusal has no errno, the kernel's EACCES does; `mkdir` over a link says that it exists.
        let refused = error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none();
        if (refused || error.kind() == io::ErrorKind::AlreadyExists) && self.passes_a_link(name) {
            return TransferError::Unsafe {
                at: name.to_string(),
                why: format!("a link leads outside of {}", self.path.display()),
            };
        }
        TransferError::disk(doing, &name.beneath(&self.path), error)
    }
}

/// True for a name that [`Place::temp`] gives.
fn is_temporary(name: &std::ffi::OsStr) -> bool {
    let hash = name.to_str().and_then(|name| name.strip_prefix(TEMP_PREFIX)).and_then(|rest| rest.get(..16));
    hash.is_some_and(|hash| hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A file that is not published yet. Dropped without [`Temp::publish`] it is removed.
#[derive(Debug)]
pub(crate) struct Temp {
    place: Place,
    temp: PathBuf,
    name: RelPath,
    file: Arc<File>,
    done: bool,
}

impl Temp {
    /// The file itself, for positioned writes from several tasks.
    pub(crate) fn shared(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its final name. Content is whole by then; whether it is also on the platter is the caller's choice.
    pub(crate) fn publish(mut self) -> Result<(), TransferError> {
        self.place
            .dir
            .rename(&self.temp, &self.place.dir, self.name.as_str())
            .map_err(|error| self.place.failed("rename to", &self.name, error))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.done
            && let Err(error) = self.place.dir.remove_file(&self.temp)
        {
            // Nothing is lost: scans skip the name and the next writer of this file uses it again.
            tracing::debug!("remove {}: {error}", self.place.path.join(&self.temp).display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(path: &str) -> RelPath {
        RelPath::parse(path).expect("safe")
    }

    #[test]
    fn a_link_that_leads_outside_is_refused_and_nothing_is_written() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), root.path().join("out")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("etc")).unwrap();
        let place = Place::open(root.path()).unwrap();
        for name in ["out/a", "out/b/c", "etc/passwd-x"] {
            let error = place.write(&rel(name), &[b"x"]).unwrap_err();
            assert!(matches!(error, TransferError::Unsafe { .. }), "{name}: {error:?}");
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_unpublished_file_leaves_nothing_and_two_writers_do_not_meet() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::open(root.path()).unwrap();
        let (one, two) = (place.temp(&rel("d/f")).unwrap(), place.temp(&rel("d/f")).unwrap());
        one.file().write_all(b"one").unwrap();
        two.file().write_all(b"two!").unwrap();
        one.publish().unwrap();
        drop(two);
        assert_eq!(std::fs::read(root.path().join("d/f")).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(root.path().join("d")).unwrap().count(), 1);
    }

    #[test]
    fn what_is_cleared_is_gone_and_what_a_link_leads_to_is_not() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("kept"), "x").unwrap();
        let place = Place::open(root.path()).unwrap();
        place.write(&rel("R/a/b"), &[b"x"]).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("R/out")).unwrap();
        assert!(place.clear(&rel("R/a"), false).is_err(), "a folder is not meant");
        place.clear(&rel("R/a/b"), false).unwrap();
        for _ in ["there", "gone"] {
            place.clear(&rel("R"), true).unwrap();
        }
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        assert!(outside.path().join("kept").exists());
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_somebody_writes_is_not() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::open(root.path()).unwrap();
        let left = |name: &str| {
            let mut temp = place.temp(&rel(name)).unwrap();
            temp.done = true;
        };
        left("R/a/killed");
        left("S/of-another-run");
        let written = place.temp(&rel("R/a/written")).unwrap();
        std::fs::write(root.path().join("R/.plx-part.pod-1.jsonl"), "not of this kind").unwrap();
        assert_eq!(place.remove_left(&[rel("R"), rel("gone")]).unwrap(), 1);
        written.publish().unwrap();
        let names = |folder: &str| {
            let entries = std::fs::read_dir(root.path().join(folder)).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(names("R/a"), ["written"]);
        assert_eq!((names("R").len(), names("S").len()), (2, 1));
    }

    #[test]
    fn what_a_killed_process_left_is_used_again() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::open(root.path()).unwrap();
        let mut left = place.temp(&rel("f")).unwrap();
        left.file().write_all(b"half").unwrap();
        left.done = true; // as if the process had gone: the file stays, the lock does not
        drop(left);
        place.write(&rel("f"), &[b"ok"]).unwrap();
        assert_eq!(std::fs::read(root.path().join("f")).unwrap(), b"ok");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
