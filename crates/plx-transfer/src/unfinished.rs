//! What nobody continues is taken away: open uploads at a store, temporary files in a folder.

use crate::download::blocking;
use crate::ledger::Flight;
use crate::remote::literal;
use crate::{Cause, Engine, Place, Remote, TransferError};
use futures::StreamExt;
use futures::future::Either;
use futures::stream;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use plx_contract::{RelPath, Stat};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How long an abort may take after everything else has ended: it must fit into the margin before SIGKILL.
const ABORT_TIME: Duration = Duration::from_secs(2);
/// Aborts under way at a time.
const ABORTS: usize = 16;

/// Aborts every upload of the engine's ledger that is not to be continued: `keep` is asked for its key and the version of
/// its file. Those whose beginning was not answered are looked for at the store, and never kept.
///
/// To be called between uploads of this engine, not beside one. What could not be aborted `within` that time is
/// returned, and stays in the ledger for the next call. An abort that the store refuses for good is returned once and
/// forgotten: its parts stay until the store's own clean-up.
pub async fn abort_unfinished(
    engine: &Engine,
    remote: &Remote,
    within: Duration,
    keep: impl Fn(&RelPath, &Stat) -> bool,
) -> Vec<TransferError> {
    let Remote::Bucket { prefix, place, .. } = remote else { return Vec::new() };
    let flights = engine.ledger.flights();
    let known: HashSet<String> = flights.iter().filter_map(|flight| flight.id.clone()).collect();
    let mut kept = HashSet::new();
    let mut nameless: BTreeMap<RelPath, Vec<u64>> = BTreeMap::new();
    let mut given_up = Vec::new();
    // The newest first: of two that could be continued only that one is.
    for flight in flights.into_iter().rev() {
        if flight.id.is_none() {
            nameless.entry(flight.key).or_default().push(flight.number);
        } else if !(flight.continues(&flight.key, &flight.stat)
            && keep(&flight.key, &flight.stat)
            && kept.insert(flight.key.clone()))
        {
            given_up.push(flight);
        }
    }
    let sweep = Sweep { engine, remote, known };
    let mut errors = Vec::new();
    let mut left: BTreeMap<u64, RelPath> = BTreeMap::new();
    {
        let mut aborts = Vec::new();
        for flight in given_up {
            left.insert(flight.number, flight.key.clone());
            let numbers = vec![flight.number];
            let (sweep, key) = (&sweep, literal(place, &prefix.join(&flight.key)));
            aborts.push(Either::Left(async move { (numbers, sweep.named(key, &flight).await) }));
        }
        for (rel, numbers) in nameless {
            left.extend(numbers.iter().map(|number| (*number, rel.clone())));
            let (sweep, key) = (&sweep, literal(place, &prefix.join(&rel)));
            aborts.push(Either::Right(async move { (numbers, sweep.nameless(key, &rel).await) }));
        }
        let mut running = stream::iter(aborts).buffer_unordered(ABORTS);
        let all = async {
            while let Some((numbers, result)) = running.next().await {
                // To ask again what was refused for good would be to ask for ever. Credentials that are over are
                // another matter: with new ones it can be aborted.
                let is_over =
                    result.as_ref().err().is_none_or(|error| !error.may_pass() && !error.is_for_all());
                for number in numbers {
                    left.remove(&number);
                    if is_over {
                        engine.ledger.over(number);
                    }
                }
                errors.extend(result.err());
            }
        };
        // Cancel safe: what did not end is in `left` and in the ledger.
        tokio::time::timeout(within, all).await.ok();
    }
    for key in left.into_values() {
        errors.push(TransferError::passing("abort the upload of", remote.at(&key), "no answer in time"));
    }
    errors
}

struct Sweep<'a> {
    engine: &'a Engine,
    remote: &'a Remote,
    /// Uploads that are in the ledger.
    known: HashSet<String>,
}

impl Sweep<'_> {
    fn parts(&self) -> Result<&Arc<dyn MultipartStore>, TransferError> {
        match self.remote {
            Remote::Bucket { parts, .. } => Ok(parts),
            Remote::Volume { .. } => Err(TransferError::Bug("parts for a volume".to_owned())),
        }
    }

    async fn named(&self, key: Result<Path, TransferError>, flight: &Flight) -> Result<(), TransferError> {
        self.engine.ledger.doom(flight.number);
        let Some(id) = &flight.id else { return Ok(()) };
        abort(self.parts()?, &key?, &self.remote.at(&flight.key), id).await
    }

    /// An upload that was asked for and whose id nobody wrote down. It has no part, or it is not that one: another pod of
    /// the same run may be sending the same key.
    async fn nameless(&self, key: Result<Path, TransferError>, rel: &RelPath) -> Result<(), TransferError> {
        let (key, at) = (key?, self.remote.at(rel));
        let Remote::Bucket { empty_uploads: Some(list), .. } = self.remote else {
            tracing::debug!("{at}: an upload may be open that cannot be listed");
            return Ok(());
        };
        let listed = crate::multipart::timed("list the uploads of", &at, 0, list(key.clone())).await;
        let ids = match listed {
            Ok(ids) => ids,
            Err(error) if error.may_pass() => return Err(error),
            // It is not allowed, or not known here. There is nothing more to be found out.
            Err(error) => {
                tracing::debug!("{error}: an upload without parts may be open");
                return Ok(());
            }
        };
        for id in ids.iter().filter(|id| !self.known.contains(*id)) {
            abort(self.parts()?, &key, &at, id).await?;
        }
        Ok(())
    }
}

/// Aborts one upload. One that is not there is aborted.
pub(crate) async fn abort(
    parts: &Arc<dyn MultipartStore>,
    key: &Path,
    at: &str,
    id: &String,
) -> Result<(), TransferError> {
    match tokio::time::timeout(ABORT_TIME, parts.abort_multipart(key, id)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if Cause::of(&error) == Cause::Absent => Ok(()),
        Ok(Err(error)) => Err(TransferError::store("abort the upload of", at, &error)),
        Err(_) => Err(TransferError::passing("abort the upload of", at, "no answer in time")),
    }
}

/// Removes the temporary files that a killed process left below these folders of a volume; on a bucket, and after a
/// process that ended in order, there is nothing to do. A file that somebody writes is locked, and is left alone.
/// Returns how many were removed.
///
/// # Errors
/// When a folder cannot be read, or a file not be removed; the others are seen to all the same.
pub async fn remove_left(
    engine: &Engine,
    remote: &Remote,
    below: Vec<RelPath>,
) -> Result<u64, TransferError> {
    let Remote::Volume { root, .. } = remote else { return Ok(0) };
    if !engine.ledger.is_inherited() {
        return Ok(0);
    }
    engine.ledger.tidied();
    let root = root.clone();
    blocking(move || Place::existing(&root)?.remove_left(&below)).await
}
