//! Collected records on disk, together with where each log stands after them.
//!
//! A write is announced before it happens: what the file's length and the cursors are before it, and what they will be
//! after it. After a crash the file's length says which of the two holds. Whatever the file has beyond that is cut off, and
//! is asked for again: nothing is lost between the two files, and nothing is there twice.

use super::parts::is_due;
use super::stands::Stands;
use plx_contract::Layout;
use plx_contract::layout::TEMP_PREFIX;
use plx_contract::run::RunUuid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Everybody may read logs, whatever the umask is.
const MODE: u32 = 0o644;

/// What is collected, and what became parts.
#[derive(Debug)]
pub(super) struct Spool {
    layout: Layout,
    run: RunUuid,
    pod: String,
    file: Option<File>,
    kept: Kept,
    /// Bytes of the file that are worth a part: what we said ourselves is not, it would make each pass the reason for another.
    worth: u64,
    /// One of the file's values is no number.
    pub has_text: bool,
}

/// What survives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Parts that were made.
    parts: u32,
    /// Their bytes.
    sent: u64,
    before: Mark,
    after: Mark,
}

/// A length of the file, and where the logs stand at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    bytes: u64,
    cursors: BTreeMap<String, Stands>,
}

/// What is written at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub bytes: Vec<u8>,
    /// Of them, those that are worth a part.
    pub worth: u64,
    pub has_text: bool,
    pub cursors: BTreeMap<String, Stands>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.cursors.is_empty()
    }
}

impl Kept {
    /// What holds, when so many parts are there, and a file of that length is or none. The file is to be cut to its mark.
    fn recovered(mut self, parts: u32, found: Option<u64>) -> Self {
        let mark = if parts > self.parts {
            // The file became a part, and that was not written down.
            self.parts = parts;
            self.sent += self.after.bytes;
            Mark { bytes: 0, ..self.after }
        } else {
            match found {
                Some(length) if length >= self.after.bytes => self.after,
                Some(length) => Mark { bytes: length.min(self.before.bytes), ..self.before },
                None => Mark { bytes: 0, ..self.before },
            }
        };
        Self { before: mark.clone(), after: mark, ..self }
    }
}

impl Spool {
    /// Opens what an earlier sidecar of this pod left, or begins anew.
    ///
    /// # Errors
    /// When it is there and cannot be read or cut.
    pub(super) fn open(layout: &Layout, run: &RunUuid, pod: &str) -> io::Result<Self> {
        let (layout, run, pod) = (layout.clone(), run.clone(), pod.to_owned());
        let (file, kept) = (None, Kept::default());
        let mut spool = Self { layout, run, pod, file, kept, worth: 0, has_text: false };
        let kept: Kept = match fs::read(spool.state()) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(
                    "{}: {error}; logs are collected from their beginning",
                    spool.state().display()
                );
                Kept::default()
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error),
        };
        let is_there = |number: &u32| spool.layout.log_part(&spool.run, &spool.pod, *number).exists();
        let parts = (1..u32::MAX).take_while(is_there).count();
        let found = match fs::metadata(spool.collected()) {
            Ok(found) => Some(found.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        spool.kept = kept.recovered(u32::try_from(parts).unwrap_or(u32::MAX), found);
        let bytes = spool.kept.after.bytes;
        if found.is_some_and(|length| length != bytes) {
            OpenOptions::new().write(true).open(spool.collected())?.set_len(bytes)?;
        }
        spool.worth = bytes;
        Ok(spool)
    }

    /// Where the logs of a pod stand, by container. Their names are kept as `UID/CONTAINER`.
    pub(super) fn cursors_of(&self, uid: &str) -> BTreeMap<String, Stands> {
        let of_pod = |name: &str| name.strip_prefix(uid)?.strip_prefix('/').map(str::to_owned);
        let cursors = self.kept.after.cursors.iter();
        cursors.filter_map(|(name, cursor)| Some((of_pod(name)?, cursor.clone()))).collect()
    }

    /// What is not a part yet. No pass sees a file of that name.
    fn collected(&self) -> PathBuf {
        self.layout.logs(&self.run).join(format!("{TEMP_PREFIX}{}.jsonl", self.pod))
    }

    fn state(&self) -> PathBuf {
        self.layout.own_state(&self.pod).join("logs.json")
    }

    /// Adds records, all or none.
    ///
    /// # Errors
    /// When they cannot be written; nothing has happened then.
    pub(super) fn append(&mut self, batch: &Batch) -> io::Result<()> {
        let before = self.kept.after.clone();
        let mut after = before.clone();
        after.bytes += batch.bytes.len() as u64;
        after.cursors.extend(batch.cursors.clone());
        let kept = Kept { before, after, ..self.kept.clone() };
        self.save(&kept)?;
        if !batch.bytes.is_empty() {
            self.write(&batch.bytes)?;
        }
        self.kept = kept;
        self.worth += batch.worth;
        self.has_text |= batch.has_text;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (path, whole) = (self.collected(), self.kept.after.bytes);
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                fs::create_dir_all(self.layout.logs(&self.run))?;
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                file.set_permissions(Permissions::from_mode(MODE))?;
                self.file.insert(file)
            }
        };
        // Whole records only. What is left of a write that failed is cut off by the next one, or at the next start.
        if file.metadata()?.len() != whole {
            file.set_len(whole)?;
        }
        file.write_all(bytes)
    }

    /// Makes a part of what was collected, when that is due; says whether it did.
    ///
    /// # Errors
    /// When it cannot get its name; it is still collected then.
    pub(super) fn publish(&mut self, last: bool) -> io::Result<bool> {
        let Kept { parts, sent, after, .. } = &self.kept;
        let collected = if last { after.bytes } else { self.worth };
        if after.bytes == 0 || !is_due(*parts, *sent, collected, last) {
            return Ok(false);
        }
        let number = parts + 1;
        fs::rename(self.collected(), self.layout.log_part(&self.run, &self.pod, number))?;
        let mark = Mark { bytes: 0, cursors: after.cursors.clone() };
        let kept = Kept { parts: number, sent: sent + after.bytes, before: mark.clone(), after: mark };
        self.file = None;
        (self.worth, self.has_text) = (0, false);
        self.kept = kept;
        self.save(&self.kept).map(|()| true)
    }

    fn save(&self, kept: &Kept) -> io::Result<()> {
        let path = self.state();
        let temp = path.with_file_name(format!("{TEMP_PREFIX}logs.json"));
        fs::create_dir_all(self.layout.own_state(&self.pod))?;
        fs::write(&temp, serde_json::to_vec(kept)?)?;
        fs::rename(&temp, &path)
    }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
