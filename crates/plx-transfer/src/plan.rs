//! What is there, and how much of it: no side effects, so that a dry run is the first half of a run.

use crate::remote::literal;
use crate::{Cause, Engine, Present, Remote, TransferError, copy};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use plx_contract::RelPath;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

/// Objects whose listing is kept between plan and apply. Beyond it the listing is read again: memory stays flat.
const HELD: usize = 20_000;

/// Whether a path is one object, everything below it, or whichever is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantKind {
    /// One object; a folder of that name does not count.
    File,
    /// Everything below `path/`; `model` never takes `model-hf`.
    Folder,
    /// The exact object when there is one, else the folder.
    Lookup,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Where from, below the remote.
    pub from: RelPath,
    /// Where to, below the target. For a folder its content goes below it.
    pub to: RelPath,
    /// What it is.
    pub kind: WantKind,
}

/// One object to fetch.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Below the want's `from`; the root for a single object, and in a listing for the folder's own marker.
    pub below: RelPath,
    pub found: Present,
}

/// What a want turned out to be.
#[derive(Debug, Clone)]
pub struct Item {
    /// The want, its kind settled.
    pub want: Want,
    /// Objects in it.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    pub(crate) held: Option<Vec<Entry>>,
}

/// What a download will do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What was found, in the order it was asked for.
    pub items: Vec<Item>,
    /// What was not found, or could not be looked at.
    pub missing: Vec<TransferError>,
}

impl Plan {
    /// Objects in all.
    pub fn objects(&self) -> u64 {
        self.items.iter().map(|item| item.objects).sum()
    }

    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.bytes).sum()
    }
}

/// Looks at everything that is wanted.
pub async fn plan(engine: &Engine, remote: &Remote, wants: Vec<Want>, stop: &CancellationToken) -> Plan {
    let held = Arc::new(AtomicUsize::new(0));
    let looks = wants.into_iter().map(|want| {
        let (engine, remote, stop, held) = (engine.clone(), remote.clone(), stop.clone(), Arc::clone(&held));
        async move { look(&engine, &remote, want, &stop, &held).await }
    });
    let mut plan = Plan::default();
    let mut results = stream::iter(looks).buffered(engine.workers.min(64));
    while let Some(result) = results.next().await {
        match result {
            Ok(item) => plan.items.push(item),
            Err(errors) => plan.missing.extend(errors),
        }
    }
    plan
}

async fn look(
    engine: &Engine,
    remote: &Remote,
    want: Want,
    stop: &CancellationToken,
    held: &AtomicUsize,
) -> Result<Item, Vec<TransferError>> {
    match remote {
        Remote::Bucket { store, .. } => {
            look_in_bucket(engine, remote, store, want, stop, held).await.map_err(|error| vec![error])
        }
        Remote::Volume { root, boundary } => {
            let (root, boundary) = (want.from.beneath(root), boundary.clone());
            tokio::task::spawn_blocking(move || look_in_volume(&root, &boundary, want))
                .await
                .unwrap_or_else(|error| Err(vec![TransferError::Bug(error.to_string())]))
        }
    }
}

async fn look_in_bucket(
    engine: &Engine,
    remote: &Remote,
    store: &Arc<dyn ObjectStore>,
    mut want: Want,
    stop: &CancellationToken,
    held: &AtomicUsize,
) -> Result<Item, TransferError> {
    if want.kind != WantKind::Folder {
        let found =
            if want.from.is_root() { None } else { head(engine, remote, store, &want.from, stop).await? };
        match found {
            Some(meta) => {
                want.kind = WantKind::File;
                let entry = Entry { below: RelPath::root(), found: Present::from(meta) };
                return Ok(Item { want, objects: 1, bytes: entry.found.size, held: Some(vec![entry]) });
            }
            None if want.kind == WantKind::File => {
                // HEAD has no words: only a listing tells a missing bucket from a missing object.
                let mut listing = list(engine.clone(), remote.clone(), want.from.clone(), stop.clone());
                if let Some(Err(error)) = listing.next().await {
                    return Err(error);
                }
                return Err(TransferError::Absent { what: "object", at: remote.at(&want.from) });
            }
            None => want.kind = WantKind::Folder,
        }
    }
    let mut item = Item { want, objects: 0, bytes: 0, held: Some(Vec::new()) };
    let mut marked = false;
    let mut entries = list(engine.clone(), remote.clone(), item.want.from.clone(), stop.clone());
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        if entry.below.is_root() {
            marked = true;
            continue;
        }
        item.objects += 1;
        item.bytes += entry.found.size;
        if let Some(kept) = &mut item.held {
            if held.fetch_add(1, Ordering::Relaxed) < HELD {
                kept.push(entry);
            } else {
                held.fetch_sub(kept.len() + 1, Ordering::Relaxed);
                item.held = None;
            }
        }
    }
    // The root of a store is there even when it is empty; a folder is there by what it holds, or by its marker.
    if item.objects == 0 && !marked && !item.want.from.is_root() {
        return Err(TransferError::Absent { what: "path", at: remote.at(&item.want.from) });
    }
    Ok(item)
}

pub(crate) async fn head(
    engine: &Engine,
    remote: &Remote,
    store: &Arc<dyn ObjectStore>,
    path: &RelPath,
    stop: &CancellationToken,
) -> Result<Option<ObjectMeta>, TransferError> {
    let Remote::Bucket { prefix, place, .. } = remote else { return Ok(None) };
    let (at, key) = (remote.at(path), literal(place, &prefix.join(path))?);
    let result = engine
        .attempt(stop, &at, None, || async {
            tokio::time::timeout(crate::download::ANSWER_TIME, store.head(&key))
                .await
                .map_err(|_| TransferError::passing("look at", &at, "no answer in time"))?
                .map_err(|error| TransferError::store("look at", &at, &error))
        })
        .await;
    match result {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.cause() == Some(Cause::Absent) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lists everything below a path, page by page. A broken listing goes on behind the last key that was seen.
pub(crate) fn list(
    engine: Engine,
    remote: Remote,
    from: RelPath,
    stop: CancellationToken,
) -> BoxStream<'static, Result<Entry, TransferError>> {
    let Remote::Bucket { store, prefix, place, .. } = &remote else { return stream::empty().boxed() };
    let under = match literal(place, &prefix.join(&from)) {
        Ok(under) => under,
        Err(error) => return stream::iter([Err(error)]).boxed(),
    };
    let at = remote.at(&from);
    let state = Listing {
        engine,
        store: Arc::clone(store),
        place: place.clone(),
        under,
        at,
        stop,
        open: None,
        last: None,
    };
    stream::unfold(Some(state), |state| async move {
        let mut state = state?;
        match state.next().await {
            Ok(Some(entry)) => Some((Ok(entry), Some(state))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

struct Listing {
    engine: Engine,
    store: Arc<dyn ObjectStore>,
    place: String,
    under: object_store::path::Path,
    at: String,
    stop: CancellationToken,
    open: Option<BoxStream<'static, object_store::Result<ObjectMeta>>>,
    last: Option<object_store::path::Path>,
}

impl Listing {
    async fn next(&mut self) -> Result<Option<Entry>, TransferError> {
        let Some(meta) = self.next_meta().await? else { return Ok(None) };
        self.last = Some(meta.location.clone());
        let key = meta.location.as_ref();
        let below = key.strip_prefix(self.under.as_ref()).unwrap_or(key);
        let below = RelPath::parse(below).map_err(|error| TransferError::unsafe_key(&self.place, &error))?;
        Ok(Some(Entry { below, found: Present::from(meta) }))
    }

    async fn next_meta(&mut self) -> Result<Option<ObjectMeta>, TransferError> {
        // Within a page nothing is asked of the store, so nothing can be throttled.
        let mut ready = None;
        if let Some(open) = &mut self.open
            && let Some(next) = futures::FutureExt::now_or_never(open.next())
        {
            match next {
                Some(Ok(meta)) => return Ok(Some(meta)),
                None => {
                    self.open = None;
                    return Ok(None);
                }
                // Counts as the first attempt below: what a stream says once it does not say again.
                Some(Err(error)) => {
                    self.open = None;
                    ready = Some(TransferError::store("list", &self.at, &error));
                }
            }
        }
        let (engine, stop, at) = (self.engine.clone(), self.stop.clone(), self.at.clone());
        let shared = tokio::sync::Mutex::new((self, ready));
        engine
            .attempt(&stop, &at, None, || async {
                let (this, ready) = &mut *shared.lock().await;
                if let Some(error) = ready.take() {
                    return Err(error);
                }
                let mut open = match this.open.take() {
                    Some(open) => open,
                    None => match &this.last {
                        Some(last) => this.store.list_with_offset(Some(&this.under), last),
                        None => this.store.list(Some(&this.under)),
                    },
                };
                let next = tokio::time::timeout(crate::download::ANSWER_TIME, open.next())
                    .await
                    .map_err(|_| TransferError::passing("list", &this.at, "no answer in time"))?;
                match next {
                    Some(Ok(meta)) => {
                        this.open = Some(open);
                        Ok(Some(meta))
                    }
                    Some(Err(error)) => Err(TransferError::store("list", &this.at, &error)),
                    None => Ok(None),
                }
            })
            .await
    }
}

fn look_in_volume(
    root: &std::path::Path,
    boundary: &std::path::Path,
    mut want: Want,
) -> Result<Item, Vec<TransferError>> {
    let at = root.display().to_string();
    let metadata = match std::fs::metadata(root) {
        Ok(metadata) => metadata,
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            let what = match want.kind {
                WantKind::File => "file",
                WantKind::Folder => "folder",
                WantKind::Lookup => "path",
            };
            return Err(vec![TransferError::Absent { what, at }]);
        }
        Err(error) => return Err(vec![TransferError::disk("look at", root, error)]),
    };
    // A link on the way may lead anywhere; what the mount does not hold is not the connection's to give.
    if let (Ok(real), Ok(boundary)) = (root.canonicalize(), boundary.canonicalize())
        && !real.starts_with(&boundary)
    {
        let why = format!("it leads to {}, outside of the connection", real.display());
        return Err(vec![TransferError::Unsafe { at, why }]);
    }
    if !metadata.is_dir() && !metadata.is_file() {
        let why = "it is neither a file nor a folder".to_owned();
        return Err(vec![TransferError::Unsafe { at, why }]);
    }
    match (want.kind, metadata.is_dir()) {
        (WantKind::File, true) => {
            return Err(vec![TransferError::Absent { what: "file (a folder has that name)", at }]);
        }
        (WantKind::Folder, false) => {
            return Err(vec![TransferError::Absent { what: "folder (a file has that name)", at }]);
        }
        (_, false) => {
            want.kind = WantKind::File;
            return Ok(Item { want, objects: 1, bytes: metadata.len(), held: None });
        }
        (_, true) => want.kind = WantKind::Folder,
    }
    let mut item = Item { want, objects: 0, bytes: 0, held: None };
    let mut errors = Vec::new();
    copy::walk(root, boundary, &mut |found| match found {
        Ok(copy::Found { kind: copy::Kind::File { size, .. }, .. }) => {
            item.objects += 1;
            item.bytes += size;
        }
        Ok(_) => {}
        Err(error) => errors.push(error),
    });
    if errors.is_empty() { Ok(item) } else { Err(errors) }
}
