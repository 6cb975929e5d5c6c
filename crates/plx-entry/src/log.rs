//! Main's output on the volume, in segments that the sidecar takes away.

use crate::say;
use plx_contract::wrapped::{Segment, Stream, record};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A segment is one of so many that are kept, and at most so long.
const SHARE: u64 = 16;
const LONGEST: u64 = 8 << 20;
/// The sidecar may be another user.
const MODE: u32 = 0o644;
/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// The log of one start of main.
pub(crate) struct Log {
    folder: PathBuf,
    attempt: u32,
    keep: u64,
    number: u32,
    file: Option<File>,
    /// Of the file.
    size: u64,
    /// What main wrote, kept or not.
    written: [u64; 2],
    failed: Option<SystemTime>,
    said: bool,
    closed: bool,
}

impl Log {
    pub(crate) fn new(folder: PathBuf, attempt: u32, keep: u64) -> Self {
        Self {
            folder,
            attempt,
            keep,
            number: 0,
            file: None,
            size: 0,
            written: [0; 2],
            failed: None,
            said: false,
            closed: false,
        }
    }

    /// Adds what came. What cannot be written is missing, and counted.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if self.closed {
            return;
        }
        let before = self.written;
        self.written[stream.index()] += bytes.len() as u64;
        let rests = |at: SystemTime| at.elapsed().is_ok_and(|since| since < PAUSE);
        if self.failed.is_some_and(rests) {
            return;
        }
        self.failed = None;
        if let Err(error) = self.append(before, stream, bytes) {
            self.file = None;
            self.failed = Some(SystemTime::now());
            if !std::mem::replace(&mut self.said, true) {
                let folder = self.folder.display();
                say(&format!(
                    "main's output is missing in the store from here on, as long as {folder} cannot be written: {error}"
                ));
            }
        }
    }

    /// The end; how much main wrote.
    pub(crate) fn close(&mut self) -> [u64; 2] {
        self.closed = true;
        self.file = None;
        self.written
    }

    fn append(&mut self, before: [u64; 2], stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) if self.size < (self.keep / SHARE).min(LONGEST) => file,
            _ => self.next(before)?,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanoseconds = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        let whole = [record(stream, nanoseconds, bytes.len()).as_bytes(), bytes].concat();
        if let Err(error) = file.write_all(&whole) {
            // Half of a record may stay: the next segment says how much is missing.
            file.set_len(self.size).ok();
            return Err(error);
        }
        self.size += whole.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    fn next(&mut self, before: [u64; 2]) -> io::Result<File> {
        self.make_room()?;
        let segment = Segment { attempt: self.attempt, number: self.number + 1 };
        let path = self.folder.join(segment.name());
        let mut file = OpenOptions::new().create_new(true).append(true).mode(MODE).open(&path)?;
        let header = Segment::header(before);
        let begun = file
            .set_permissions(Permissions::from_mode(MODE)) // whatever the umask
            .and_then(|()| file.write_all(header.as_bytes()));
        if let Err(error) = begun {
            fs::remove_file(&path).ok(); // it stays as an empty one, which says nothing
            self.number += 1;
            return Err(error);
        }
        self.number = segment.number;
        self.size = header.len() as u64;
        Ok(file)
    }

    /// Removes the oldest segments that nobody has taken.
    fn make_room(&self) -> io::Result<()> {
        let segments = segments(&self.folder)?;
        let mut all: u64 = segments.iter().map(|(_, size)| size).sum();
        let room = self.keep - self.keep / SHARE;
        for (segment, size) in segments {
            if all <= room {
                break;
            }
            match fs::remove_file(self.folder.join(segment.name())) {
                // The sidecar was faster.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => all -= size,
            }
        }
        Ok(())
    }
}

/// The segments of a folder and their sizes, the oldest first.
pub(crate) fn segments(folder: &Path) -> io::Result<Vec<(Segment, u64)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(segment) = entry.file_name().to_str().and_then(Segment::of)
            // One that is gone has no size.
            && let Ok(metadata) = entry.metadata()
        {
            all.push((segment, metadata.len()));
        }
    }
    all.sort();
    Ok(all)
}
