//! Large uploads in parts. Every upload that is begun is completed, aborted, or kept in the ledger for later.

use crate::download::{blocking, bug};
use crate::grows::stays;
use crate::guarded::Wrote;
use crate::ledger::Flight;
use crate::still::{Held, glance, look};
use crate::unfinished::abort;
use crate::upload::{Send, Upload, now_ns, time_for};
use crate::{Budget, Cause, Ended, Expected, Present, Remote, TransferError};
use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectStore, ObjectStoreExt, PutPayload};
use plx_contract::{ObjectVersion, Stat};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1 << 20;
/// Smaller parts cost requests, larger ones memory.
const PART: u64 = 8 * MIB;
/// S3 takes no more parts than this.
const MOST_PARTS: u64 = 10_000;

/// The size of one part: 8 MiB, or a third of a small budget, or more when 10 000 parts would not hold the file.
pub(crate) fn part_size(file: u64, budget: &Budget) -> u64 {
    let fits = (budget.total() / 3 / MIB * MIB).clamp(5 * MIB, PART);
    fits.max(file.div_ceil(MOST_PARTS).div_ceil(MIB) * MIB)
}

/// Sends one file in parts, those that the store does not have yet.
pub(crate) async fn put(
    send: &Send,
    key: Path,
    job: &Upload,
    file: Arc<File>,
    (held, before): (Held, Stat),
) -> Result<Ended, TransferError> {
    let Remote::Bucket { store, parts, .. } = &send.remote else {
        return Err(TransferError::Bug("parts for a volume".to_owned()));
    };
    let ledger = &send.engine.ledger;
    let at = send.remote.at(&job.key);
    let mut continued = ledger.find(&job.key, &before);
    // Gigabytes should not be sent for nothing; it is looked at once more before they are published.
    if job.expected != Expected::Anything && continued.is_none() {
        let found = crate::look(&send.engine, &send.remote, &job.key, &send.stop).await;
        match found {
            Ok(Some(found)) if !job.expected.allows(Some(&found)) => return Ok(Ended::Other(found)),
            Err(error) if error.cause() != Some(Cause::Denied) => return Err(error),
            _ => {}
        }
    }
    loop {
        let is_continued = continued.is_some();
        let flight = match continued.take() {
            Some(flight) => flight,
            None => begin(send, parts, &key, &at, job, before).await?,
        };
        let put = Put {
            send,
            store,
            parts,
            key: key.clone(),
            at: at.clone(),
            flight,
            file: Arc::clone(&file),
            job,
            held,
            before,
        };
        match put.all().await {
            Ok(Some(Ended::Other(found))) => {
                put.abort().await;
                return Ok(Ended::Other(found));
            }
            Ok(Some(ended)) => {
                // With a ledger it is over once the caller has been told: `upload` says so.
                if !ledger.keeps() {
                    ledger.over(put.flight.number);
                }
                return Ok(ended);
            }
            Ok(None) => {
                put.abort().await;
                return Ok(Ended::Changed);
            }
            // A store that denies for a moment, or one that calls an unknown upload so. The parts are worth another
            // pass; after that the upload is given up, once the store takes another one.
            Err(error) if is_continued && error.cause() == Some(Cause::Denied) => {
                if !ledger.denied(put.flight.number) {
                    return Err(error);
                }
                let Ok(fresh) = begin(send, parts, &key, &at, job, before).await else { return Err(error) };
                tracing::debug!("{error}: the upload in flight is given up for a new one");
                put.abort().await;
                continued = Some(fresh);
            }
            // The store's own clean-up was quicker, or somebody else took it away.
            Err(error) if is_continued && is_refused(&error) => {
                tracing::debug!("{error}: the upload in flight is lost, and begun anew");
                put.abort().await;
            }
            Err(error) => {
                let is_lost = matches!(error.cause(), Some(Cause::Absent | Cause::Refused));
                if !ledger.keeps() || is_lost {
                    put.abort().await;
                }
                return Err(error);
            }
        }
    }
}

/// Asks for a new upload. An intent comes first: when the answer is lost, or the process is killed before the id is
/// written down, it says that the store may hold an upload that nobody knows.
async fn begin(
    send: &Send,
    parts: &Arc<dyn MultipartStore>,
    key: &Path,
    at: &str,
    job: &Upload,
    before: Stat,
) -> Result<Flight, TransferError> {
    let ledger = &send.engine.ledger;
    let part = part_size(before.size, &send.engine.budget);
    send.engine
        .attempt(&send.stop, at, None, || async {
            let number = ledger.intend(&job.key, before, part, now_ns());
            match timed("begin the upload of", at, 0, parts.create_multipart(key)).await {
                Ok(id) => ledger
                    .opened(number, id)
                    .ok_or_else(|| TransferError::Bug("an upload without its intent".to_owned())),
                Err(error) => {
                    // Only a call that broke off may have been heard.
                    if error.cause() != Some(Cause::Passing) || !ledger.keeps() {
                        ledger.over(number);
                    }
                    Err(error)
                }
            }
        })
        .await
}

/// True when the store will not take what was sent, whatever its reason. Unknown uploads have many names.
fn is_refused(error: &TransferError) -> bool {
    matches!(error.cause(), Some(Cause::Absent | Cause::Refused | Cause::Denied))
}

/// What became of the wish to publish the parts.
enum Completed {
    Stored(ObjectVersion),
    /// The store knows no such upload, any more or at all.
    Refused(TransferError),
}

struct Put<'a> {
    send: &'a Send,
    store: &'a Arc<dyn ObjectStore>,
    parts: &'a Arc<dyn MultipartStore>,
    key: Path,
    at: String,
    flight: Flight,
    file: Arc<File>,
    job: &'a Upload,
    held: Held,
    before: Stat,
}

impl Put<'_> {
    /// Sends all parts and completes; none when the file changed meanwhile.
    async fn all(&self) -> Result<Option<Ended>, TransferError> {
        let read_began_ns = self.flight.read_began_ns;
        let Some(parts) = self.send_parts().await? else { return Ok(None) };
        let after = look(Arc::clone(&self.file), self.job.path.clone()).await?;
        let stays = stays(self.held, &self.file, &self.job.path, &self.send.stop);
        if self.held.of(&after).is_none() || !stays.await? {
            return Ok(None);
        }
        Ok(Some(match self.complete(parts).await? {
            Wrote::Stored(version) => {
                Ended::Landed { stat: self.before, read_began_ns, version: Some(version) }
            }
            Wrote::Same => Ended::Landed { stat: self.before, read_began_ns, version: None },
            Wrote::Other(found) => Ended::Other(found),
        }))
    }

    async fn send_parts(&self) -> Result<Option<Vec<PartId>>, TransferError> {
        let (size, whole) = (self.flight.part, self.before.size);
        let stop = self.send.stop.child_token();
        let mut running: JoinSet<(usize, Result<Option<PartId>, TransferError>)> = JoinSet::new();
        let starts = (0..whole).step_by(usize::try_from(size).unwrap_or(usize::MAX)).enumerate();
        let mut done: Vec<Option<PartId>> =
            starts.clone().map(|(index, _)| self.flight.parts.get(&index).cloned()).collect();
        let mut starts = starts.filter(|(index, _)| !self.flight.parts.contains_key(index));
        let mut end: Option<Result<(), TransferError>> = None;
        loop {
            while end.is_none()
                && !self.send.engine.enough.is_cancelled()
                && running.len() < self.send.engine.parts
                && let Some((index, start)) = starts.next()
            {
                let part = self.part(index, start, size.min(whole - start), stop.clone())?;
                running.spawn(async move { (index, part.send().await) });
            }
            let Some(ended) = running.join_next().await else { break };
            match ended.map_err(bug) {
                Ok((index, Ok(Some(id)))) => {
                    self.send.engine.ledger.part(self.flight.number, index, &id);
                    done[index] = Some(id);
                }
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
            None if done.iter().any(Option::is_none) => {
                Err(TransferError::Stopped { at: self.at.clone(), last: None })
            }
            None => Ok(done.into_iter().collect()),
            Some(Ok(())) => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }

    fn id(&self) -> Result<&MultipartId, TransferError> {
        self.flight.id.as_ref().ok_or_else(|| TransferError::Bug("an upload without its id".to_owned()))
    }

    fn part(
        &self,
        index: usize,
        start: u64,
        length: u64,
        stop: CancellationToken,
    ) -> Result<Part, TransferError> {
        Ok(Part {
            engine: self.send.engine.clone(),
            parts: Arc::clone(self.parts),
            key: self.key.clone(),
            at: self.at.clone(),
            id: self.id()?.clone(),
            file: Arc::clone(&self.file),
            path: self.job.path.clone(),
            index,
            start,
            length,
            held: self.held,
            stop,
        })
    }

    async fn complete(&self, parts: Vec<PartId>) -> Result<Wrote, TransferError> {
        let ledger = &self.send.engine.ledger;
        let id = self.id()?;
        let resumed = self.flight.completing.clone();
        let is_resumed = resumed.is_some();
        let stood = match resumed {
            Some(stood) => stood,
            None if ledger.keeps() => {
                let found = tokio::select! {
                    found = self.stands() => found,
                    () = self.send.stop.cancelled() => {
                        return Err(TransferError::Stopped { at: self.at.clone(), last: None });
                    }
                };
                if let Some(Some(found)) = &found
                    && !self.job.expected.allows(Some(found))
                {
                    return Ok(Wrote::Other(found.clone()));
                }
                let stood = found.and_then(|found| match found {
                    Some(found) => found.version.e_tag.map(String::from),
                    None => Some(String::new()),
                });
                ledger.completing(self.flight.number, stood.clone());
                stood
            }
            None => None,
        };
        // A lost answer leaves it open whether the object is there: "no such upload" after one may mean that it is. So
        // does a completion that a former pass, or a former process, asked for.
        let in_doubt = AtomicBool::new(is_resumed);
        let result = self
            .send
            .engine
            .attempt(&self.send.stop, &self.at, None, || async {
                let doing = "complete the upload of";
                let call = self.parts.complete_multipart(&self.key, id, parts.clone());
                match timed(doing, &self.at, 0, call).await {
                    Ok(put) => Ok(Completed::Stored(ObjectVersion::new(put.e_tag, put.version))),
                    Err(error) => {
                        let is_gone =
                            error.cause() == Some(Cause::Absent) || is_resumed && is_refused(&error);
                        let was_in_doubt = in_doubt.swap(true, Ordering::Relaxed);
                        if is_gone && was_in_doubt {
                            return Ok(Completed::Refused(error));
                        }
                        Err(error)
                    }
                }
            })
            .await?;
        let refusal = match result {
            Completed::Stored(version) => return Ok(Wrote::Stored(self.named(version).await)),
            Completed::Refused(refusal) => refusal,
        };
        let found = self
            .send
            .engine
            .attempt(&self.send.stop, &self.at, None, || async {
                timed("look at", &self.at, 0, self.store.head(&self.key)).await
            })
            .await;
        let meta = match found {
            // Then the refusal is what counts: one that denies is another matter than an upload that is gone.
            Err(error) if is_resumed && error.cause() == Some(Cause::Absent) => return Err(refusal),
            found => found?,
        };
        // What stood there before may have the same size: a checkpoint often has.
        let is_new = match &stood {
            Some(before) => meta.e_tag.as_ref().is_some_and(|now| now != before),
            None => !is_resumed,
        };
        match (meta.size == self.before.size && is_new, is_resumed) {
            (true, _) => Ok(Wrote::Stored(Present::from(meta).version)),
            (false, true) => Err(refusal),
            (false, false) => {
                let why = "the store lost the upload";
                Err(TransferError::passing("complete the upload of", &self.at, why))
            }
        }
    }

    /// The version that was just made, where the store still calls it so: those of uploads in parts have tags of a kind of
    /// their own. What nobody looks at needs no name.
    async fn named(&self, version: ObjectVersion) -> ObjectVersion {
        if self.job.expected == Expected::Anything {
            return version;
        }
        match self.stands().await {
            Some(Some(present)) if present.version.agrees(&version) == Some(false) => {
                ObjectVersion::default()
            }
            _ => version,
        }
    }

    /// What stands under the key now. Not to know costs no more than the same bytes again, and only after a kill in the
    /// one moment: so it is asked once.
    async fn stands(&self) -> Option<Option<Present>> {
        match timed("look at", &self.at, 0, self.store.head(&self.key)).await {
            Ok(meta) => Some(Some(meta.into())),
            Err(error) if error.cause() == Some(Cause::Absent) => Some(None),
            Err(_) => None,
        }
    }

    /// Leaves no parts behind. The upload has failed already; what fails here as well is tried again by
    /// [`crate::abort_unfinished`] where there is a ledger, and said where there is none.
    async fn abort(&self) {
        let ledger = &self.send.engine.ledger;
        ledger.doom(self.flight.number);
        let Some(id) = &self.flight.id else { return };
        match abort(self.parts, &self.key, &self.at, id).await {
            Ok(()) => ledger.over(self.flight.number),
            Err(error) if ledger.keeps() => tracing::debug!("{error}; tried again later"),
            Err(error) => {
                ledger.over(self.flight.number);
                tracing::warn!("{error}; the parts stay in the store until its own clean-up");
            }
        }
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
    held: Held,
    stop: CancellationToken,
}

impl Part {
    /// Reads and sends one part; none when the file is another version by now: the rest would be sent for nothing.
    async fn send(self) -> Result<Option<PartId>, TransferError> {
        let mut buffer = self.engine.budget.buffer(self.length).await;
        if self.stop.is_cancelled() {
            return Err(TransferError::Stopped { at: self.at, last: None });
        }
        let (file, path, start) = (Arc::clone(&self.file), self.path.clone(), self.start);
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let held = self.held;
        let content = blocking(move || {
            let failed = |error| TransferError::disk("read", &path, error);
            if held.of(&glance(&file).map_err(failed)?).is_none() {
                return Ok(None);
            }
            match file.read_exact_at(buffer.of_length(length), start) {
                Ok(()) => Ok(Some(Bytes::from_owner(buffer))),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
                Err(error) => Err(failed(error)),
            }
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

pub(crate) async fn timed<T>(
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
