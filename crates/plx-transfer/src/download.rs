//! From a store to this machine.

use crate::object::{Object, SMALL};
use crate::plan::{Entry, Item, list};
use crate::remote::literal;
use crate::{Cause, Engine, Place, Plan, Remote, TransferError, WantKind, copy};
use futures::stream::{self, BoxStream, StreamExt};
use plx_contract::RelPath;
use std::path::Path;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

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
            Some(
                held.iter()
                    .map(|entry| (item.want.to.join(&entry.below), entry.found.size))
                    .collect::<Vec<_>>(),
            )
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
pub(crate) struct Fetch {
    pub(crate) engine: Engine,
    pub(crate) remote: Remote,
    pub(crate) place: Place,
    pub(crate) stop: CancellationToken,
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
                        let Entry { below, found } = entry?;
                        Ok(Work::Object {
                            from: want.from.join(&below),
                            to: want.to.join(&below),
                            size: found.size,
                            e_tag: found.version.e_tag.map(String::from),
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
                    match copy::file(
                        &source,
                        &self.place,
                        to,
                        None,
                        false,
                        self.engine.progress(),
                        &self.stop,
                    )? {
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
