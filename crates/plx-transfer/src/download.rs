//! From a store to this machine.

use crate::place::Temp;
use crate::plan::{Entry, Item, head, list};
use crate::remote::literal;
use crate::{Cause, Engine, Place, Plan, Remote, TransferError, WantKind, copy};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::{GetOptions, GetRange, ObjectStore};
use plx_contract::RelPath;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// From this size on an object is read in ranges.
const RANGED: u64 = 16 << 20;
/// One range.
const RANGE: u64 = 8 << 20;
/// Ranges of one object at a time.
const RANGES: usize = 8;
/// Up to this size an object is held whole and written in one go.
const SMALL: u64 = 256 << 10;
/// Written to disk at a time.
const CHUNK: usize = 512 << 10;
/// What one open stream holds between the socket and the disk.
const STREAM: u64 = 1 << 20;
/// How long a store may take to begin an answer, and between two pieces of one.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Versions of an object that are tried before it counts as one that does not hold still.
const VERSIONS: u32 = 4;
/// Failures after which the rest is not tried any more.
const FAILURES: usize = 1000;

/// What a download did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Objects placed.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// One error for each object that was not.
    pub failed: Vec<TransferError>,
}

/// Fetches everything in a plan to below `target`.
///
/// Nothing is fetched when the target cannot hold it. One object's failure does not stop the others, except when every
/// other would fail in the same way.
pub async fn download(
    engine: &Engine,
    remote: &Remote,
    plan: Plan,
    target: &Path,
    stop: &CancellationToken,
) -> Outcome {
    let mut outcome = Outcome::default();
    let place = match prepare(&plan, target).await {
        Ok(place) => place,
        Err(error) => {
            outcome.failed.push(error);
            return outcome;
        }
    };
    engine.progress().planned(plan.objects(), plan.bytes());
    // A child token: failures that hold for all end this download, not its caller.
    let fetch = Fetch { engine: engine.clone(), remote: remote.clone(), place, stop: stop.child_token() };
    for item in plan.items {
        if !fetch.item(item, &mut outcome).await {
            break;
        }
    }
    outcome
}

async fn prepare(plan: &Plan, target: &Path) -> Result<Place, TransferError> {
    let (target, need) = (target.to_owned(), plan.bytes());
    let known: Option<Vec<(RelPath, u64)>> = plan
        .items
        .iter()
        .map(|item| {
            let held = item.held.as_ref()?;
            Some(held.iter().map(|entry| (item.want.to.join(&entry.below), entry.size)).collect::<Vec<_>>())
        })
        .collect::<Option<Vec<_>>>()
        .map(|lists| lists.concat());
    tokio::task::spawn_blocking(move || {
        let place = Place::open(&target)?;
        let free = place.free()?;
        if need > free {
            // A second run over the first one's files needs no room for what is there already.
            let there: u64 = known
                .unwrap_or_default()
                .iter()
                .filter_map(|(name, size)| place.size_of(name).map(|there| there.min(*size)))
                .sum();
            if need.saturating_sub(there) > free {
                return Err(TransferError::NoSpace { path: target, need: need - there, free });
            }
        }
        Ok(place)
    })
    .await
    .unwrap_or_else(|error| Err(TransferError::Bug(error.to_string())))
}

#[derive(Clone)]
struct Fetch {
    engine: Engine,
    remote: Remote,
    place: Place,
    stop: CancellationToken,
}

/// One unit of work of an item.
enum Work {
    Object { from: RelPath, to: RelPath, size: u64, e_tag: Option<String> },
    Local { found: copy::Found, to: RelPath },
}

impl Fetch {
    /// Fetches one item with bounded workers; false when there is no sense in going on.
    async fn item(&self, item: Item, outcome: &mut Outcome) -> bool {
        let mut work = match self.work_of(item) {
            Ok(work) => work,
            Err(error) => {
                outcome.failed.push(error);
                return true;
            }
        };
        let mut running: JoinSet<Result<Option<u64>, TransferError>> = JoinSet::new();
        let mut open = true;
        let mut going_on = true;
        loop {
            while open && running.len() < self.engine.workers {
                match work.next().await {
                    Some(Ok(unit)) => {
                        let fetch = self.clone();
                        running.spawn(async move { fetch.unit(unit).await });
                    }
                    Some(Err(error)) => going_on &= note(error, outcome),
                    None => open = false,
                }
                // Whatever ended meanwhile makes room, and a full disk is noticed before the next object starts.
                while let Some(ended) = running.try_join_next() {
                    going_on &= settle(ended, outcome);
                }
                open &= going_on && !self.stop.is_cancelled();
            }
            match running.join_next().await {
                Some(ended) => going_on &= settle(ended, outcome),
                None if open => {}
                None => break,
            }
            if !going_on {
                open = false;
                self.stop.cancel();
            }
        }
        if self.stop.is_cancelled() && going_on {
            outcome.failed.push(TransferError::Stopped { at: self.remote.to_string(), last: None });
            going_on = false;
        }
        going_on
    }

    fn work_of(&self, item: Item) -> Result<BoxStream<'static, Result<Work, TransferError>>, TransferError> {
        let want = item.want;
        let empty = want.kind == WantKind::Folder && item.objects == 0;
        Ok(match &self.remote {
            Remote::Bucket { .. } => {
                let entries = match item.held {
                    Some(held) => stream::iter(held.into_iter().map(Ok)).boxed(),
                    None => {
                        list(self.engine.clone(), self.remote.clone(), want.from.clone(), self.stop.clone())
                    }
                };
                // An empty folder is a folder.
                let folder =
                    empty.then(|| Ok(Work::Local { found: copy::Found::folder(), to: want.to.clone() }));
                // The folder's own marker is no object of it; a single object has no name below itself.
                let wanted = move |entry: &Result<Entry, _>| {
                    want.kind != WantKind::Folder || !entry.as_ref().is_ok_and(|entry| entry.below.is_root())
                };
                let objects =
                    entries.filter(move |entry| std::future::ready(wanted(entry))).map(move |entry| {
                        let Entry { below, size, e_tag } = entry?;
                        Ok(Work::Object {
                            from: want.from.join(&below),
                            to: want.to.join(&below),
                            size,
                            e_tag,
                        })
                    });
                stream::iter(folder).chain(objects).boxed()
            }
            Remote::Volume { root, boundary } => {
                let source = want.from.beneath(root);
                if want.kind == WantKind::File {
                    let found =
                        copy::Found { rel: RelPath::root(), kind: copy::Kind::File { source, size: 0 } };
                    return Ok(stream::iter([Ok(Work::Local { found, to: want.to })]).boxed());
                }
                // The walk runs ahead by a bounded queue; a full queue holds it back.
                let (send, receive) = tokio::sync::mpsc::channel(256);
                let (boundary, to) = (boundary.clone(), want.to);
                let place = self.place.clone();
                tokio::task::spawn_blocking(move || {
                    // The folder itself, for one that holds nothing.
                    let made = place.make_folder(&to);
                    let mut gone = made.is_err_and(|error| send.blocking_send(Err(error)).is_err());
                    copy::walk(&source, &boundary, &mut |found| {
                        let unit = found.map(|found| Work::Local { to: to.join(&found.rel), found });
                        // Nobody listens any more: the rest of the walk has nobody to report to.
                        gone = gone || send.blocking_send(unit).is_err();
                    });
                });
                stream::unfold(receive, |mut receive| async {
                    receive.recv().await.map(|unit| (unit, receive))
                })
                .boxed()
            }
        })
    }

    /// The bytes of a file; none for folders and links, which count as nothing moved.
    async fn unit(&self, unit: Work) -> Result<Option<u64>, TransferError> {
        let bytes = match unit {
            Work::Object { from, to, size, e_tag } => self.object(from, to, size, e_tag).await?,
            Work::Local { found, to } => {
                let fetch = self.clone();
                tokio::task::spawn_blocking(move || fetch.local(found, &to)).await.map_err(bug)??
            }
        };
        if bytes.is_some() {
            self.engine.progress().finished_one();
        }
        Ok(bytes)
    }

    fn local(&self, found: copy::Found, to: &RelPath) -> Result<Option<u64>, TransferError> {
        match found.kind {
            copy::Kind::Folder => self.place.make_folder(to).map(|()| None),
            copy::Kind::Link { to: target } => self.place.make_link(to, &target).map(|()| None),
            copy::Kind::File { source, .. } => {
                for _ in 0..VERSIONS {
                    match copy::file(&source, &self.place, to, false, self.engine.progress(), &self.stop)? {
                        copy::Copied::Whole { bytes, .. } => return Ok(Some(bytes)),
                        copy::Copied::Changed => {}
                        copy::Copied::Vanished => {
                            return Err(TransferError::Absent {
                                what: "file",
                                at: source.display().to_string(),
                            });
                        }
                    }
                }
                Err(TransferError::Changed { at: source.display().to_string(), times: VERSIONS })
            }
        }
    }

    async fn object(
        &self,
        from: RelPath,
        to: RelPath,
        size: u64,
        e_tag: Option<String>,
    ) -> Result<Option<u64>, TransferError> {
        let Remote::Bucket { store, prefix, place, .. } = &self.remote else {
            return Err(TransferError::Bug("an object of a volume".to_owned()));
        };
        let at = self.remote.at(&from);
        let key = literal(place, &prefix.join(&from))?;
        let mut object = Object { fetch: self, store, key, at, to, size, e_tag };
        for _ in 0..VERSIONS {
            // Listings of some servers have no tags, and without one nothing holds the pieces of an object together.
            if object.e_tag.is_none() && object.size > SMALL {
                object.look_again(&from).await?;
            }
            match object.version().await {
                Err(error) if error.cause() == Some(Cause::Changed) => {}
                // A listed object without content that cannot be read is the marker of a folder: `dir/`.
                Err(error) if error.cause() == Some(Cause::Absent) && object.size == 0 => {
                    let (place, to) = (self.place.clone(), object.to.clone());
                    return blocking(move || place.make_folder(&to)).await.map(|()| None);
                }
                other => return other.map(Some),
            }
            object.look_again(&from).await?;
        }
        Err(TransferError::Changed { at: object.at, times: VERSIONS })
    }
}

/// One object on its way.
struct Object<'a> {
    fetch: &'a Fetch,
    store: &'a Arc<dyn ObjectStore>,
    key: object_store::path::Path,
    at: String,
    to: RelPath,
    size: u64,
    e_tag: Option<String>,
}

impl Object<'_> {
    /// Makes the version that is there now the one to fetch.
    async fn look_again(&mut self, from: &RelPath) -> Result<(), TransferError> {
        let Fetch { engine, remote, stop, .. } = self.fetch;
        let Some(meta) = head(engine, remote, self.store, from, stop).await? else {
            return Err(TransferError::Absent { what: "object", at: self.at.clone() });
        };
        (self.size, self.e_tag) = (meta.size, meta.e_tag);
        Ok(())
    }

    /// Fetches the version that was planned, or finds that it is there no more.
    async fn version(&self) -> Result<u64, TransferError> {
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

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TransferError> + Send + 'static,
) -> Result<T, TransferError> {
    tokio::task::spawn_blocking(work).await.map_err(bug)?
}

pub(crate) fn bug(error: JoinError) -> TransferError {
    TransferError::Bug(error.to_string())
}

fn settle(ended: Result<Result<Option<u64>, TransferError>, JoinError>, outcome: &mut Outcome) -> bool {
    match ended.map_err(bug).and_then(|result| result) {
        Ok(bytes) => {
            outcome.objects += u64::from(bytes.is_some());
            outcome.bytes += bytes.unwrap_or(0);
            true
        }
        Err(error) => note(error, outcome),
    }
}

/// Keeps an error; false when the rest need not be tried.
fn note(error: TransferError, outcome: &mut Outcome) -> bool {
    let going_on = !error.is_for_all() && outcome.failed.len() + 1 < FAILURES;
    outcome.failed.push(error);
    going_on
}
