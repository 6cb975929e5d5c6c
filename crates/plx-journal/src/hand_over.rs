//! Making, saving and loading a [`FsFile`].

use crate::clock::{join_ns, python_micros};
use crate::error::FsFileError;
use crate::format::{FsEntry, FsFile, FsOp};
use crate::seen::Root;
use crate::walk::is_ours;
use plx_contract::layout;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

impl FsFile {
    /// Records what is below `root`, as `initializer fswatch` does: everything, `.git` included, except what is ours.
    /// Links to files count as files and links to folders as folders that are not walked; mtimes are those of the
    /// targets. Whatever cannot be looked at is left out, and so is a dangling link, because "recorded" means "is in
    /// the store". A root that is not there gives an empty record.
    pub fn record(root: &Root) -> FsFile {
        let mut record = FsFile::default();
        let Some(base) = root.base.to_str() else { return record };
        let mut walk = WalkDir::new(&root.dir).min_depth(1).sort_by_file_name().into_iter();
        while let Some(step) = walk.next() {
            let Ok(entry) = step else { continue };
            let is_real_dir = entry.file_type().is_dir();
            let name = entry.path().strip_prefix(&root.base).ok().and_then(Path::to_str);
            let (Some(key), false) = (name, is_ours(entry.file_name(), is_real_dir)) else {
                if is_real_dir {
                    walk.skip_current_dir();
                }
                continue;
            };
            let Ok(meta) = fs::metadata(entry.path()) else { continue };
            let mtime_us = python_micros(join_ns(meta.mtime(), meta.mtime_nsec()));
            let value = (key.to_owned(), FsEntry { base: base.to_owned(), mtime_us, op: FsOp::Put });
            if meta.is_dir() {
                record.dirs.push(value);
            } else if meta.is_file() {
                record.files.push(value);
            }
        }
        record
    }

    /// Writes it in one step: a reader finds the old file or the new one, never half of one.
    ///
    /// # Errors
    /// When the folder is not there, or cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), FsFileError> {
        replace(&temp(path), path, |out| out.write_all(self.to_text().as_bytes()))
            .map_err(|source| FsFileError::Write { path: path.to_owned(), source })
    }

    /// Reads it; None when there is none, because no init step left one.
    ///
    /// # Errors
    /// When it cannot be read, or is not what Polyaxon writes.
    pub fn load(path: &Path) -> Result<Option<FsFile>, FsFileError> {
        let malformed = |reason: String| FsFileError::Malformed { path: path.to_owned(), reason };
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(FsFileError::Read { path: path.to_owned(), source }),
        };
        let text = std::str::from_utf8(&bytes).map_err(|error| malformed(error.to_string()))?;
        Self::parse(text).map(Some).map_err(|error| malformed(error.to_string()))
    }
}

/// A hand-over is being made: what it will name is fetched. Whoever asks [`Underway::is`] learns of it until this is dropped,
/// or its process ends.
#[derive(Debug)]
pub struct Underway {
    temp: PathBuf,
    /// Locked.
    _file: File,
}

impl Underway {
    /// Begins to make the hand-over at `path`.
    ///
    /// # Errors
    /// When nothing can be written or locked there.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let temp = temp(path);
        let file = File::create(&temp)?;
        file.lock()?;
        Ok(Self { temp, _file: file })
    }

    /// Whether somebody makes the hand-over at `path`, as far as one can see. File systems without locks show nobody.
    pub fn is(path: &Path) -> bool {
        let temp = temp(path);
        if !fs::metadata(&temp).is_ok_and(|found| found.is_file()) {
            return false;
        }
        let locked = File::open(temp).map(|file| file.try_lock_shared());
        matches!(locked, Ok(Err(TryLockError::WouldBlock)))
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.temp)); // it became the hand-over, or there is none
    }
}

/// Opening a pipe would wait for who writes into it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::metadata(path)?.is_file() {
        true => fs::read(path),
        false => Err(io::Error::other("it is no file")),
    }
}

/// The name under which it is written.
fn temp(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{}{name}", layout::TEMP_PREFIX))
}

/// Writes `temp`, makes it durable, and gives it its name. Nothing is left behind when that fails.
pub(crate) fn replace(
    temp: &Path,
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let result = File::create(temp).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        out.into_inner().map_err(|error| error.into_error())?.sync_all()?;
        fs::rename(temp, path)
    });
    if result.is_err() {
        drop(fs::remove_file(temp)); // it may not be there; the error that matters is the first one
    }
    result
}
