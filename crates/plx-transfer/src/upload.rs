//! From this machine to a store.
//!
//! A file is published only as a version that was read whole: its status is the same before and after, or it is a small
//! log that only grew behind the bytes that were read. One that changes meanwhile ends as [`Ended::Changed`], for the
//! caller to try again.

use crate::budget::Buffer;
use crate::download::{ANSWER_TIME, blocking, bug};
use crate::guarded::{self, Wrote};
use crate::remote::literal;
use crate::still::{Held, hold_still, status};
use crate::{Engine, Expected, Place, Present, Remote, TransferError, copy, look, multipart};
use bytes::Bytes;
use object_store::ObjectStore;
use plx_contract::{ObjectVersion, RelPath, Stat};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A store that takes less than this is as good as standing still.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 << 10;
/// Up to this size it is worth a read to know whether two files of a volume are the same.
const SAME: u64 = 8 << 20;
/// Memory taken for even the smallest file: a log may grow by so much while it waits for its turn.
const LEAST_ROOM: u64 = 64 << 10;

/// One file to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Where to, below the remote.
    pub key: RelPath,
    /// The file to read; links are resolved.
    pub path: PathBuf,
    /// Its size when it was planned: small files go first.
    pub size: u64,
    /// What it may replace.
    pub expected: Expected,
}

/// How one file's upload ended.
#[derive(Debug, Clone)]
pub enum Ended {
    /// It is stored, as the version with this status.
    Landed {
        /// The status, the same before and after it was read. Of a log that only grows it is the one whose bytes were
        /// taken: what has come since shows as another version.
        stat: Stat,
        /// Wall clock before the read, nanoseconds since the epoch: what was written after it must show in the
        /// file's times, if its clock is fine enough.
        read_began_ns: i64,
        /// The store's name for it; none when it is somebody else's object with the same bytes.
        version: Option<ObjectVersion>,
    },
    /// Something else stands there than was expected; nothing was written.
    Other(Present),
    /// It changed while it was read; nothing was published.
    Changed,
    /// It is not there any more.
    Vanished,
    /// It was not stored.
    Failed(TransferError),
}

/// Sends files with bounded workers; `each` is told how every single one ended, as soon as it did. Files that `stop`
/// left unsent end as [`TransferError::Stopped`].
pub async fn upload(
    engine: &Engine,
    remote: &Remote,
    jobs: Vec<Upload>,
    stop: &CancellationToken,
    mut each: impl FnMut(Upload, Ended),
) {
    let bytes = jobs.iter().map(|job| job.size).sum();
    engine.progress().planned(jobs.len() as u64, bytes);
    let place = match remote {
        Remote::Bucket { .. } => None,
        Remote::Volume { root, .. } => {
            let root = root.clone();
            match blocking(move || Place::existing(&root)).await {
                Ok(place) => Some(place),
                Err(error) => {
                    for job in jobs {
                        each(job, Ended::Failed(error.clone()));
                    }
                    return;
                }
            }
        }
    };
    let send = Arc::new(Send { engine: engine.clone(), remote: remote.clone(), place, stop: stop.clone() });
    let mut jobs = jobs.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < engine.workers
            && let Some(job) = jobs.next()
        {
            let send = Arc::clone(&send);
            running.spawn(async move {
                let ended = send.one(&job).await.unwrap_or_else(Ended::Failed);
                (job, ended)
            });
        }
        match running.join_next().await {
            Some(Ok((job, ended))) => {
                let landed = matches!(ended, Ended::Landed { .. }).then(|| job.key.clone());
                each(job, ended);
                // Only now: who is killed in between finds the upload in the ledger, and the object where it is to be.
                if let Some(key) = landed {
                    engine.ledger.landed(&key);
                }
            }
            // A panic loses the job's name; the file is simply not landed, and is sent again by the next pass.
            Some(Err(error)) => tracing::error!("{}", bug(error)),
            None => break,
        }
    }
}

pub(crate) struct Send {
    pub engine: Engine,
    pub remote: Remote,
    pub place: Option<Place>,
    pub stop: CancellationToken,
}

impl Send {
    async fn one(&self, job: &Upload) -> Result<Ended, TransferError> {
        if self.stop.is_cancelled() || self.engine.enough.is_cancelled() {
            return Err(TransferError::Stopped { at: self.remote.at(&job.key), last: None });
        }
        let ended = match (&self.remote, &self.place) {
            (Remote::Bucket { store, prefix, place, .. }, _) => {
                let key = literal(place, &prefix.join(&job.key))?;
                self.to_bucket(store, key, job).await?
            }
            (Remote::Volume { .. }, Some(place)) => self.to_volume(place.clone(), job).await?,
            (Remote::Volume { .. }, None) => {
                return Err(TransferError::Bug("a volume without its place".to_owned()));
            }
        };
        // Of a log that was stored in part the whole would be tried in vain.
        if matches!(ended, Ended::Landed { .. } | Ended::Vanished)
            && !self.engine.logs().is_stored_in_part(&job.key)
        {
            self.engine.rests().forget(&job.key);
        }
        if matches!(ended, Ended::Landed { .. }) {
            self.engine.progress().finished_one();
        }
        Ok(ended)
    }

    async fn to_volume(&self, place: Place, job: &Upload) -> Result<Ended, TransferError> {
        let Some((file, before)) = self.open(job).await? else { return Ok(Ended::Vanished) };
        let held = self.held(&file, before, job).await?;
        if held == Held::Changes {
            return Ok(Ended::Changed);
        }
        let is_prefix = matches!(held, Held::Prefix(..));
        if before.size > copy::CHUNK && !is_prefix && self.engine.leaves_alone(&job.key) {
            return Ok(Ended::Changed);
        }
        let engine = self.engine.clone();
        let (job, stop, progress) = (job.clone(), self.stop.clone(), Arc::clone(engine.progress()));
        let read_began_ns = now_ns();
        blocking(move || {
            if job.expected != Expected::Anything
                && let Some(found) = Present::at_path(&job.key.beneath(place.path()))?
                && !job.expected.allows(Some(&found))
            {
                let there = job.key.beneath(place.path());
                return Ok(if is_same(&job.path, before, &there, &found)? {
                    Ended::Landed { stat: before, read_began_ns, version: None }
                } else {
                    Ended::Other(found)
                });
            }
            Ok(match copy::file(&job.path, &place, &job.key, Some(held), true, &progress, &stop)? {
                copy::Copied::Whole { stat, present, .. } => {
                    engine.logs().stored(&job.key, stat.size, is_prefix);
                    Ended::Landed { stat, read_began_ns, version: Some(present.version) }
                }
                copy::Copied::Changed => {
                    if is_prefix {
                        engine.logs().changed(&job.key);
                    }
                    // Of a smaller one not much is copied for nothing.
                    if before.size > copy::CHUNK {
                        engine.rests().changed(&job.key);
                    }
                    Ended::Changed
                }
                copy::Copied::Vanished => Ended::Vanished,
            })
        })
        .await
    }

    async fn open(&self, job: &Upload) -> Result<Option<(Arc<File>, Stat)>, TransferError> {
        let path = job.path.clone();
        Ok(blocking(move || open(&path)).await?.map(|(file, stat)| (Arc::new(file), stat)))
    }

    async fn held(&self, file: &Arc<File>, before: Stat, job: &Upload) -> Result<Held, TransferError> {
        let is_small = before.size <= multipart::part_size(before.size, &self.engine.budget);
        let held = hold_still(file, before, is_small, &job.path, &self.stop).await?;
        if is_small {
            return Ok(held);
        }
        let logs = self.engine.logs();
        if matches!(held, Held::Still(_)) && !self.engine.leaves_alone(&job.key) {
            logs.saw(&job.key, &before);
            return Ok(held);
        }
        let Some(prefix) = logs.prefix(&job.key, file, &job.path, &self.stop).await? else { return Ok(held) };
        // A log that is shorter than what is stored is another one, and what is stored may be the whole of the one before.
        let stands = look(&self.engine, &self.remote, &job.key, &self.stop).await?;
        if stands.is_some_and(|stands| prefix.size() < stands.size) {
            logs.changed(&job.key);
            return Ok(held);
        }
        Ok(prefix)
    }

    async fn to_bucket(
        &self,
        store: &Arc<dyn ObjectStore>,
        key: object_store::path::Path,
        job: &Upload,
    ) -> Result<Ended, TransferError> {
        let Some((file, before)) = self.open(job).await? else { return Ok(Ended::Vanished) };
        let held = self.held(&file, before, job).await?;
        let (Held::Still(before) | Held::Grows(before) | Held::Prefix(before, _)) = held else {
            return Ok(Ended::Changed);
        };
        if before.size > multipart::part_size(before.size, &self.engine.budget) {
            let is_prefix = matches!(held, Held::Prefix(..));
            if !is_prefix && self.engine.leaves_alone(&job.key) {
                return Ok(Ended::Changed);
            }
            let ended = multipart::put(self, key, job, file, (held, before)).await;
            match &ended {
                Ok(Ended::Changed) if is_prefix => self.engine.logs().changed(&job.key),
                Ok(Ended::Changed) => self.engine.rests().changed(&job.key),
                Ok(Ended::Landed { .. }) => self.engine.logs().stored(&job.key, before.size, is_prefix),
                _ => {}
            }
            return ended;
        }
        let room = before.size.max(LEAST_ROOM);
        let buffer = self.engine.budget.buffer(room).await;
        let path = job.path.clone();
        let Some((content, stat, read_began_ns)) =
            blocking(move || read_whole(&path, &file, buffer, room, held)).await?
        else {
            return Ok(Ended::Changed);
        };
        match guarded::put(self, store, &key, job, content).await? {
            Wrote::Stored(version) => {
                self.engine.progress().moved(stat.size);
                Ok(Ended::Landed { stat, read_began_ns, version: Some(version) })
            }
            Wrote::Same => Ok(Ended::Landed { stat, read_began_ns, version: None }),
            Wrote::Other(found) => Ok(Ended::Other(found)),
        }
    }
}

/// How long the store may take for a request of so many bytes.
pub(crate) fn time_for(bytes: u64) -> Duration {
    ANSWER_TIME + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND)
}

pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether a small file has the bytes of the one that stands on the volume, and held still meanwhile.
fn is_same(path: &Path, version: Stat, there: &Path, found: &Present) -> Result<bool, TransferError> {
    if found.size != version.size || found.size > SAME {
        return Ok(false);
    }
    let read = |path: &Path| std::fs::read(path).map_err(|error| TransferError::disk("read", path, error));
    let is_same = read(path)? == read(there)?;
    let after = path.metadata().map_err(|error| TransferError::disk("look at", path, error))?;
    Ok(is_same && Stat::of(&after).same_version(&version))
}

fn open(path: &Path) -> Result<Option<(File, Stat)>, TransferError> {
    let opened = File::open(path).and_then(|file| {
        show_mapped_writes(&file);
        status(&file).map(|stat| (file, stat))
    });
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(TransferError::disk("read", path, error)),
    }
}

/// Files that programs map are at least this large, and smaller ones are too many to wait for each.
const MAPPED: u64 = 1 << 20;

/// A mapped page that is dirty already is written again without a trace in the file's times. Cleaned pages are not: the
/// next write to one moves ctime. (tmpfs has no such pages: there a mapped write after the first stays unseen.)
pub(crate) fn show_mapped_writes(file: &File) {
    let large = file.metadata().is_ok_and(|metadata| metadata.len() >= MAPPED);
    if large && let Err(error) = file.sync_data() {
        // Read-only and odd file systems refuse; the content is read all the same.
        tracing::debug!("sync before reading: {error}");
    }
}

/// The content of one version of a file: the one that held still, or what is there of one that grows. None when it is
/// another by now, or has outgrown what was planned for it.
fn read_whole(
    path: &Path,
    file: &File,
    mut buffer: Buffer,
    room: u64,
    held: Held,
) -> Result<Option<(Bytes, Stat, i64)>, TransferError> {
    let failed = |error| TransferError::disk("read", path, error);
    let found = status(file).map_err(failed)?;
    let (held, most) = match held.of(&found) {
        Some(still) if matches!(held, Held::Still(_)) => (held, still.size.saturating_add(1)),
        // As much of a log as there is room for.
        Some(_) if found.size <= room => (Held::Grows(found), found.size),
        Some(seen) => (held, seen.size),
        None => return Ok(None),
    };
    let content = buffer.emptied();
    let read_began_ns = now_ns();
    // One byte more than there should be shows that there is more.
    file.take(most).read_to_end(content).map_err(failed)?;
    let after = status(file).map_err(failed)?;
    let stat = held.of(&after).filter(|stat| stat.size == content.len() as u64);
    Ok(stat.map(|stat| (Bytes::from_owner(buffer), stat, read_began_ns)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Budget;

    #[tokio::test]
    async fn of_a_log_that_outgrows_its_room_the_bytes_that_were_seen_are_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\n").unwrap();
        let opened = file.reopen().unwrap();
        let seen = status(&opened).unwrap();
        std::fs::write(file.path(), "one\ntwo\n").unwrap();
        for (held, wanted) in [(Held::Grows(seen), Some("one\n")), (Held::Still(seen), None)] {
            let buffer = Budget::for_limit(None).buffer(4).await;
            let read = read_whole(file.path(), &opened, buffer, 4, held).unwrap();
            let read = read.map(|(content, stat, _)| (content, stat.same_version(&seen)));
            assert_eq!(read, wanted.map(|text| (Bytes::from_static(text.as_bytes()), true)));
        }
    }
}
