//! One object on its way from a bucket to its name: whole when it is small, as one stream, or in ranges.

use crate::download::{ANSWER_TIME, Fetch, blocking, bug};
use crate::place::Temp;
use crate::plan::head;
use crate::{Cause, Engine, Place, TransferError};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::{GetOptions, GetRange, ObjectStore};
use plx_contract::RelPath;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// From this size on an object is read in ranges.
const RANGED: u64 = 16 << 20;
/// One range.
const RANGE: u64 = 8 << 20;
/// Ranges of one object at a time.
const RANGES: usize = 8;
/// Up to this size an object is held whole and written in one go.
pub(crate) const SMALL: u64 = 256 << 10;
/// Written to disk at a time.
const CHUNK: usize = 512 << 10;
/// What one open stream holds between the socket and the disk.
const STREAM: u64 = 1 << 20;

/// One object on its way.
pub(crate) struct Object<'a> {
    pub(crate) fetch: &'a Fetch,
    pub(crate) store: &'a Arc<dyn ObjectStore>,
    pub(crate) key: object_store::path::Path,
    pub(crate) at: String,
    pub(crate) to: RelPath,
    pub(crate) size: u64,
    pub(crate) e_tag: Option<String>,
}

impl Object<'_> {
    /// Makes the version that is there now the one to fetch.
    pub(crate) async fn look_again(&mut self, from: &RelPath) -> Result<(), TransferError> {
        let Fetch { engine, remote, stop, .. } = self.fetch;
        let Some(meta) = head(engine, remote, self.store, from, stop).await? else {
            return Err(TransferError::Absent { what: "object", at: self.at.clone() });
        };
        (self.size, self.e_tag) = (meta.size, meta.e_tag);
        Ok(())
    }

    /// Fetches the version that was planned, or finds that it is there no more.
    pub(crate) async fn version(&self) -> Result<u64, TransferError> {
        let place = self.fetch.place.clone();
        let name = self.to.clone();
        if self.size <= SMALL {
            let content = self.small().await?;
            blocking(move || place.write(&name, &content)).await?;
            return Ok(self.size);
        }
        let temp: Temp = blocking(move || place.temp(&name)).await?;
        if self.size < RANGED {
            self.part(temp.shared(), 0..self.size).read().await?;
        } else {
            self.in_ranges(&temp).await?;
        }
        blocking(move || temp.publish()).await?;
        Ok(self.size)
    }

    async fn small(&self) -> Result<Vec<Bytes>, TransferError> {
        let _room = self.fetch.engine.budget.take(self.size.max(1)).await;
        let (engine, stop) = (&self.fetch.engine, &self.fetch.stop);
        engine
            .attempt(stop, &self.at, None, || async {
                let mut body = self.part_request(None).await?;
                let (mut content, mut got) = (Vec::new(), 0);
                while let Some(chunk) = next_chunk(&mut body, &self.at).await? {
                    got += chunk.len() as u64;
                    content.push(chunk);
                }
                if got != self.size {
                    return Err(TransferError::passing(
                        "get",
                        &self.at,
                        format!("{got} of {} bytes came", self.size),
                    ));
                }
                engine.progress().moved(got);
                Ok(content)
            })
            .await
    }

    async fn in_ranges(&self, temp: &Temp) -> Result<(), TransferError> {
        let mut running: JoinSet<Result<(), TransferError>> = JoinSet::new();
        // When one range fails for good, the others are of no use: they are told to stop, and waited for.
        let stop = self.fetch.stop.child_token();
        let mut starts = (0..self.size).step_by(usize::try_from(RANGE).unwrap_or(usize::MAX));
        let mut failed = None;
        loop {
            while failed.is_none() && running.len() < RANGES {
                let Some(start) = starts.next() else { break };
                let mut part = self.part(temp.shared(), start..(start + RANGE).min(self.size));
                part.stop = stop.clone();
                running.spawn(async move { part.read().await });
            }
            let Some(ended) = running.join_next().await else { break };
            if let Err(error) = ended.map_err(bug).and_then(|result| result)
                && failed.is_none()
            {
                stop.cancel();
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn part(&self, file: Arc<File>, range: Range<u64>) -> Part {
        Part {
            engine: self.fetch.engine.clone(),
            store: Arc::clone(self.store),
            key: self.key.clone(),
            at: self.at.clone(),
            whole: self.size,
            e_tag: self.e_tag.clone(),
            file,
            range,
            stop: self.fetch.stop.clone(),
            place: self.fetch.place.clone(),
            to: self.to.clone(),
        }
    }

    async fn part_request(&self, range: Option<Range<u64>>) -> Result<Body, TransferError> {
        request(self.store, &self.key, &self.at, self.size, self.e_tag.as_ref(), range).await
    }
}

type Body = BoxStream<'static, object_store::Result<Bytes>>;

async fn request(
    store: &Arc<dyn ObjectStore>,
    key: &object_store::path::Path,
    at: &str,
    whole: u64,
    e_tag: Option<&String>,
    range: Option<Range<u64>>,
) -> Result<Body, TransferError> {
    let options =
        GetOptions { if_match: e_tag.cloned(), range: range.map(GetRange::Bounded), ..GetOptions::default() };
    let answer = tokio::time::timeout(ANSWER_TIME, store.get_opts(key, options))
        .await
        .map_err(|_| TransferError::passing("get", at, "no answer in time"))?
        .map_err(|error| TransferError::store("get", at, &error))?;
    // Servers that ignore If-Match are seen here.
    let other_tag = e_tag.is_some() && answer.meta.e_tag.is_some() && answer.meta.e_tag.as_ref() != e_tag;
    if other_tag || answer.meta.size != whole {
        return Err(TransferError::Store {
            doing: "get",
            at: at.to_owned(),
            cause: Cause::Changed,
            why: "another version than the one that was listed".to_owned(),
        });
    }
    Ok(answer.into_stream())
}

async fn next_chunk(body: &mut Body, at: &str) -> Result<Option<Bytes>, TransferError> {
    match tokio::time::timeout(ANSWER_TIME, body.next()).await {
        Err(_) => Err(TransferError::passing("get", at, "the answer stands still")),
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(Some(Err(error))) => Err(TransferError::store("get", at, &error)),
        Ok(None) => Ok(None),
    }
}

/// A range of an object on its way to its place in a file.
struct Part {
    engine: Engine,
    store: Arc<dyn ObjectStore>,
    key: object_store::path::Path,
    at: String,
    whole: u64,
    e_tag: Option<String>,
    file: Arc<File>,
    range: Range<u64>,
    stop: CancellationToken,
    place: Place,
    to: RelPath,
}

impl Part {
    /// Reads the range. What came before an answer broke off is kept: the next try begins behind it.
    async fn read(&self) -> Result<(), TransferError> {
        let reached = AtomicU64::new(self.range.start);
        // Before the turn, as everywhere: a turn that waits for memory and memory that waits for a turn never end.
        let _room = self.engine.budget.take(STREAM.min(self.range.end - self.range.start)).await;
        self.engine
            .attempt(&self.stop, &self.at, Some(&reached), || async {
                let from = reached.load(Ordering::Relaxed);
                let whole = from == 0 && self.range.end == self.whole;
                let range = (!whole).then_some(from..self.range.end);
                let mut body =
                    request(&self.store, &self.key, &self.at, self.whole, self.e_tag.as_ref(), range).await?;
                let mut chunks = Vec::new();
                let mut held = 0;
                loop {
                    let next = next_chunk(&mut body, &self.at).await;
                    if let Ok(Some(chunk)) = &next {
                        held += chunk.len();
                        chunks.push(chunk.clone());
                    }
                    if held >= CHUNK || (held > 0 && !matches!(next, Ok(Some(_)))) {
                        self.write(std::mem::take(&mut chunks), &reached).await?;
                        held = 0;
                    }
                    match next {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        // Everything has come: how the connection ends makes no difference.
                        Err(_) if reached.load(Ordering::Relaxed) == self.range.end => break,
                        Err(error) => return Err(error),
                    }
                }
                let got = reached.load(Ordering::Relaxed);
                if got != self.range.end {
                    let why = format!("the answer ended at byte {got} of {}", self.range.end);
                    return Err(TransferError::passing("get", &self.at, why));
                }
                Ok(())
            })
            .await
    }

    async fn write(&self, chunks: Vec<Bytes>, reached: &AtomicU64) -> Result<(), TransferError> {
        let at = reached.load(Ordering::Relaxed);
        let length: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        if at + length > self.range.end {
            return Err(TransferError::passing("get", &self.at, "more bytes came than were asked for"));
        }
        let (file, place, to) = (Arc::clone(&self.file), self.place.clone(), self.to.clone());
        blocking(move || {
            let mut at = at;
            for chunk in &chunks {
                file.write_all_at(chunk, at).map_err(|error| place.failed("write", &to, error))?;
                at += chunk.len() as u64;
            }
            Ok(())
        })
        .await?;
        reached.store(at + length, Ordering::Relaxed);
        self.engine.progress().moved(length);
        Ok(())
    }
}
