//! What the sidecar is told: that main runs, and how it ended.

use crate::{log, say};
use plx_contract::layout::TEMP_PREFIX;
use plx_contract::wrapped::{ENDED, Ended, Restarts, STARTED, Started};
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The sidecar may be another user.
const MODE: u32 = 0o644;
/// A sidecar that looks whether the lock is held holds it itself for a moment: it is asked for so many times.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);
/// More than the marker ever has. The place is taken when main starts, when there is some.
const RESERVED: usize = 256;

/// The folder of a main that runs.
pub(crate) struct Folder {
    dir: PathBuf,
    started: Started,
    /// Held until this program is gone, whatever ends it.
    _lock: Option<File>,
    marker: Option<File>,
}

impl Folder {
    /// Begins a start of main. What fails is said: main is started all the same.
    pub(crate) fn open(dir: &Path, restarts: Restarts) -> Self {
        let mut folder = Self {
            dir: dir.to_owned(),
            started: Started { attempt: 1, restarts },
            _lock: None,
            marker: None,
        };
        let failed = |what: &str, error: io::Error| say(&format!("{what} {}: {error}", dir.display()));
        match folder.begin() {
            Ok(lock) => folder._lock = Some(lock),
            Err(error) => failed("the sidecar cannot be told that main runs: write to", error),
        }
        // An earlier end is none any more.
        match fs::remove_file(dir.join(ENDED)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                failed(
                    "the sidecar takes an earlier end of main for this one's: remove main-exit.json from",
                    error,
                );
            }
            _ => {}
        }
        match folder.reserve() {
            Ok(marker) => folder.marker = Some(marker),
            Err(error) => failed("the marker of main's end has no place yet: write to", error),
        }
        folder
    }

    /// Which start of main it is.
    pub(crate) fn attempt(&self) -> u32 {
        self.started.attempt
    }

    fn begin(&mut self) -> io::Result<File> {
        fs::create_dir_all(&self.dir)?;
        let last = log::segments(&self.dir)?.last().map(|(segment, _)| segment.attempt);
        self.started.attempt = last.unwrap_or_default() + 1;
        let path = self.dir.join(STARTED);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        for left in (0..TRIES).rev() {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if left > 0 => pause(),
                Err(error) => return Err(error.into()),
            }
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok(); // what cannot be read tells nothing
        let before = serde_json::from_str::<Started>(&text).unwrap_or_default();
        self.started.attempt = self.started.attempt.max(before.attempt + 1);
        let text = serde_json::to_vec(&self.started)?;
        // Over what is there: on a full disk there is room for as much.
        file.write_all_at(&text, 0)?;
        file.set_len(text.len() as u64)?;
        file.set_permissions(Permissions::from_mode(MODE))?;
        Ok(file)
    }

    fn temporary(&self) -> PathBuf {
        self.dir.join(format!("{TEMP_PREFIX}{ENDED}"))
    }

    fn reserve(&self) -> io::Result<File> {
        let mut file = File::create(self.temporary())?;
        file.write_all(&[b' '; RESERVED])?;
        file.set_permissions(Permissions::from_mode(MODE))?;
        Ok(file)
    }

    /// Leaves the marker, whole or not at all.
    pub(crate) fn leave(&self, code: u8, written: Option<[u64; 2]>) {
        let exit_code = i64::from(code);
        let Started { attempt, restarts } = self.started;
        let ended = Ended { exit_code, again: restarts.again(exit_code), attempt, written };
        let left = serde_json::to_vec(&ended).map_err(io::Error::from).and_then(|mut text| {
            text.resize(RESERVED - 1, b' ');
            text.push(b'\n');
            let again; // a full disk may have been emptied
            let file = match &self.marker {
                Some(file) => file,
                None => {
                    again = self.reserve()?;
                    &again
                }
            };
            file.write_all_at(&text, 0)?;
            fs::rename(self.temporary(), self.dir.join(ENDED))
        });
        if let Err(error) = left {
            say(&format!(
                "the sidecar cannot be told main's exit code: write to {}: {error}",
                self.dir.display()
            ));
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "no worker waits here: main is not started yet")]
fn pause() {
    thread::sleep(PAUSE);
}
