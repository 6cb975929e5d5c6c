//! Large uploads in parts. Every upload that is begun is completed or aborted.

use crate::download::{blocking, bug};
use crate::upload::{Send, Upload, now_ns, time_for};
use crate::{Budget, Cause, Ended, Remote, TransferError};
use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectStore, ObjectStoreExt, PutPayload};
use plx_contract::Stat;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
/// Smaller parts cost requests, larger ones memory.
const PART: u64 = 8 * MIB;
/// S3 takes no more parts than this.
const MOST_PARTS: u64 = 10_000;
/// How long an abort may take after everything else has ended: it must fit into the margin before SIGKILL.
const ABORT_TIME: Duration = Duration::from_secs(2);

/// The size of one part: 8 MiB, or a third of a small budget, or more when 10 000 parts would not hold the file.
pub(crate) fn part_size(file: u64, budget: &Budget) -> u64 {
    let fits = (budget.total() / 3 / MIB * MIB).clamp(5 * MIB, PART);
    fits.max(file.div_ceil(MOST_PARTS).div_ceil(MIB) * MIB)
}

/// Sends one file in parts.
pub(crate) async fn put(
    send: &Send,
    key: Path,
    job: &Upload,
    file: Arc<File>,
    before: Stat,
) -> Result<Ended, TransferError> {
    let Remote::Bucket { store, parts, .. } = &send.remote else {
        return Err(TransferError::Bug("parts for a volume".to_owned()));
    };
    let at = send.remote.at(&job.key);
    let id = send
        .engine
        .attempt(&send.stop, &at, None, || async {
            timed("begin the upload of", &at, 0, parts.create_multipart(&key)).await
        })
        .await?;
    let put = Put { send, store, parts, key, at, id, file, job, before };
    match put.all().await {
        Ok(Some(ended)) => Ok(ended),
        Ok(None) => {
            put.abort().await;
            Ok(Ended::Changed)
        }
        Err(error) => {
            put.abort().await;
            Err(error)
        }
    }
}

struct Put<'a> {
    send: &'a Send,
    store: &'a Arc<dyn ObjectStore>,
    parts: &'a Arc<dyn MultipartStore>,
    key: Path,
    at: String,
    id: MultipartId,
    file: Arc<File>,
    job: &'a Upload,
    before: Stat,
}

impl Put<'_> {
    /// Sends all parts and completes; none when the file changed meanwhile.
    async fn all(&self) -> Result<Option<Ended>, TransferError> {
        let read_began_ns = now_ns();
        let Some(parts) = self.send_parts().await? else { return Ok(None) };
        let (file, path) = (Arc::clone(&self.file), self.job.path.clone());
        let after = blocking(move || {
            file.metadata()
                .map(|metadata| Stat::of(&metadata))
                .map_err(|e| TransferError::disk("read", &path, e))
        })
        .await?;
        if !after.same_version(&self.before) {
            return Ok(None);
        }
        self.complete(parts).await?;
        Ok(Some(Ended::Landed { stat: self.before, read_began_ns }))
    }

    async fn send_parts(&self) -> Result<Option<Vec<PartId>>, TransferError> {
        let size = part_size(self.before.size, &self.send.engine.budget);
        let stop = self.send.stop.child_token();
        let mut running: JoinSet<(usize, Result<Option<PartId>, TransferError>)> = JoinSet::new();
        let mut starts =
            (0..self.before.size).step_by(usize::try_from(size).unwrap_or(usize::MAX)).enumerate();
        let mut done: Vec<Option<PartId>> = Vec::new();
        let mut end: Option<Result<(), TransferError>> = None;
        loop {
            while end.is_none()
                && running.len() < self.send.engine.workers.min(8)
                && let Some((index, start)) = starts.next()
            {
                done.push(None);
                let part = self.part(index, start, size.min(self.before.size - start), stop.clone());
                running.spawn(async move { (index, part.send().await) });
            }
            let Some(ended) = running.join_next().await else { break };
            match ended.map_err(bug) {
                Ok((index, Ok(Some(id)))) => done[index] = Some(id),
                // The first reason to give up counts; the other parts are told to stop and waited for.
                Ok((_, Ok(None))) => {
                    stop.cancel();
                    end.get_or_insert(Ok(()));
                }
                Ok((_, Err(error))) | Err(error) => {
                    stop.cancel();
                    end.get_or_insert(Err(error));
                }
            }
        }
        match end {
            None => Ok(done.into_iter().collect()),
            Some(Ok(())) => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }

    fn part(&self, index: usize, start: u64, length: u64, stop: CancellationToken) -> Part {
        Part {
            engine: self.send.engine.clone(),
            parts: Arc::clone(self.parts),
            key: self.key.clone(),
            at: self.at.clone(),
            id: self.id.clone(),
            file: Arc::clone(&self.file),
            path: self.job.path.clone(),
            index,
            start,
            length,
            stop,
        }
    }

    async fn complete(&self, parts: Vec<PartId>) -> Result<(), TransferError> {
        // A lost answer leaves it open whether the object is there: "no such upload" after one may mean that it is.
        let in_doubt = AtomicBool::new(false);
        let result = self
            .send
            .engine
            .attempt(&self.send.stop, &self.at, None, || async {
                let result = timed(
                    "complete the upload of",
                    &self.at,
                    0,
                    self.parts.complete_multipart(&self.key, &self.id, parts.clone()),
                )
                .await;
                match result {
                    Err(error)
                        if error.cause() == Some(Cause::Absent) && in_doubt.load(Ordering::Relaxed) =>
                    {
                        Ok(true)
                    }
                    Err(error) => {
                        in_doubt.store(true, Ordering::Relaxed);
                        Err(error)
                    }
                    Ok(_) => Ok(false),
                }
            })
            .await?;
        if !result {
            return Ok(());
        }
        let meta = self
            .send
            .engine
            .attempt(&self.send.stop, &self.at, None, || async {
                timed("look at", &self.at, 0, self.store.head(&self.key)).await
            })
            .await?;
        if meta.size == self.before.size {
            return Ok(());
        }
        Err(TransferError::passing("complete the upload of", &self.at, "the store lost the upload"))
    }

    /// Leaves no parts behind. The upload has failed already; what fails here as well is said, not returned.
    async fn abort(&self) {
        let abort = self.parts.abort_multipart(&self.key, &self.id);
        let result = tokio::time::timeout(ABORT_TIME, abort).await;
        let why = match result {
            Ok(Ok(())) => return,
            Ok(Err(error)) => match Cause::of(&error) {
                Cause::Absent => return,
                _ => TransferError::store("abort the upload of", &self.at, &error).to_string(),
            },
            Err(_) => format!("abort the upload of {}: no answer in time", self.at),
        };
        tracing::warn!("{why}; the parts stay in the store until its own clean-up");
    }
}

struct Part {
    engine: crate::Engine,
    parts: Arc<dyn MultipartStore>,
    key: Path,
    at: String,
    id: MultipartId,
    file: Arc<File>,
    path: std::path::PathBuf,
    index: usize,
    start: u64,
    length: u64,
    stop: CancellationToken,
}

impl Part {
    /// Reads and sends one part; none when the file is shorter than it was.
    async fn send(self) -> Result<Option<PartId>, TransferError> {
        let mut buffer = self.engine.budget.buffer(self.length).await;
        if self.stop.is_cancelled() {
            return Err(TransferError::Stopped { at: self.at, last: None });
        }
        let (file, path, start) = (Arc::clone(&self.file), self.path.clone(), self.start);
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let content = blocking(move || match file.read_exact_at(buffer.of_length(length), start) {
            Ok(()) => Ok(Some(Bytes::from_owner(buffer))),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(TransferError::disk("read", &path, error)),
        })
        .await?;
        let Some(content) = content else { return Ok(None) };
        let payload = PutPayload::from_bytes(content);
        let id = self
            .engine
            .attempt(&self.stop, &self.at, None, || async {
                timed(
                    "put a part of",
                    &self.at,
                    self.length,
                    self.parts.put_part(&self.key, &self.id, self.index, payload.clone()),
                )
                .await
            })
            .await?;
        self.engine.progress().moved(self.length);
        Ok(Some(id))
    }
}

async fn timed<T>(
    doing: &'static str,
    at: &str,
    bytes: u64,
    call: impl Future<Output = object_store::Result<T>>,
) -> Result<T, TransferError> {
    tokio::time::timeout(time_for(bytes), call)
        .await
        .map_err(|_| TransferError::passing(doing, at, "no answer in time"))?
        .map_err(|error| TransferError::store(doing, at, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_enough_and_fit_the_budget() {
        let budget = Budget::for_limit(None);
        assert_eq!(part_size(100 * MIB, &budget), 8 * MIB);
        assert_eq!(part_size(100 * MIB, &Budget::new(Budget::LEAST)), 5 * MIB);
        for file in [2 << 30, 80 << 30, 200 << 30, 5 << 40] {
            assert!(u64::div_ceil(file, part_size(file, &budget)) <= MOST_PARTS, "{file}");
        }
    }
}
