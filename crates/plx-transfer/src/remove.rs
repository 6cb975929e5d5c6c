//! Deletes, and the folders of volumes.

use crate::download::{ANSWER_TIME, blocking, bug};
use crate::plan::list;
use crate::remote::literal;
use crate::{Cause, Engine, Place, Remote, TransferError};
use futures::StreamExt;
use object_store::ObjectStoreExt;
use plx_contract::RelPath;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Removes objects or files; what is gone already is removed. `each` is told how every single one ended.
pub async fn remove(
    engine: &Engine,
    remote: &Remote,
    keys: Vec<RelPath>,
    stop: &CancellationToken,
    mut each: impl FnMut(RelPath, Result<(), TransferError>),
) {
    let mut keys = keys.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < engine.workers
            && let Some(key) = keys.next()
        {
            let (engine, remote, stop) = (engine.clone(), remote.clone(), stop.clone());
            running.spawn(async move {
                let result = remove_one(&engine, &remote, &key, &stop).await;
                (key, result)
            });
        }
        match running.join_next().await {
            Some(Ok((key, result))) => each(key, result),
            Some(Err(error)) => tracing::error!("{}", bug(error)),
            None => break,
        }
    }
}

async fn remove_one(
    engine: &Engine,
    remote: &Remote,
    key: &RelPath,
    stop: &CancellationToken,
) -> Result<(), TransferError> {
    match remote {
        Remote::Volume { root, .. } => {
            let (root, key) = (root.clone(), key.clone());
            blocking(move || Place::existing(&root)?.remove(&key)).await
        }
        Remote::Bucket { store, prefix, place, .. } => {
            let (at, path) = (remote.at(key), literal(place, &prefix.join(key))?);
            let result = engine
                .attempt(stop, &at, None, || async {
                    tokio::time::timeout(ANSWER_TIME, store.delete(&path))
                        .await
                        .map_err(|_| TransferError::passing("delete", &at, "no answer in time"))?
                        .map_err(|error| TransferError::store("delete", &at, &error))
                })
                .await;
            match result {
                Err(error) if error.cause() == Some(Cause::Absent) => Ok(()),
                other => other,
            }
        }
    }
}

/// Keys that are removed while the listing of a bucket goes on.
const BATCH: usize = 1000;

/// Removes an object or file, and with `below` everything under it as well. What is gone already is removed. Returns what
/// could not be.
pub async fn clear(
    engine: &Engine,
    remote: &Remote,
    path: &RelPath,
    below: bool,
    stop: &CancellationToken,
) -> Vec<TransferError> {
    if path.is_root() {
        // Nobody means the whole store.
        let why = "it is the whole store".to_owned();
        return vec![TransferError::Unsafe { at: remote.at(path), why }];
    }
    if let Remote::Volume { root, .. } = remote {
        let (root, path) = (root.clone(), path.clone());
        let cleared = blocking(move || Place::existing(&root)?.clear(&path, below)).await;
        return cleared.err().into_iter().collect();
    }
    let mut errors = Vec::new();
    let mut keys = vec![path.clone()];
    let mut listing = list(engine.clone(), remote.clone(), path.clone(), stop.clone());
    let mut more = below;
    loop {
        while more && keys.len() < BATCH {
            match listing.next().await {
                Some(Ok(entry)) => keys.push(path.join(&entry.below)),
                Some(Err(error)) => {
                    errors.push(error);
                    more = false;
                }
                None => more = false,
            }
        }
        if keys.is_empty() {
            if below && errors.is_empty() {
                errors.extend(left(engine, remote, path, stop).await);
            }
            return errors;
        }
        let asked = std::mem::take(&mut keys);
        remove(engine, remote, asked, stop, |_, how| errors.extend(how.err())).await;
    }
}

/// What a listing still shows although all of it was removed: a key that ends in a slash, as consoles make them for
/// folders. The store library cannot name it.
async fn left(
    engine: &Engine,
    remote: &Remote,
    path: &RelPath,
    stop: &CancellationToken,
) -> Option<TransferError> {
    match list(engine.clone(), remote.clone(), path.clone(), stop.clone()).next().await? {
        Ok(entry) => Some(TransferError::Unsafe {
            at: format!("{}/", remote.at(&path.join(&entry.below))),
            why: "it is a folder marker, which can only be removed by the store's own tools".to_owned(),
        }),
        Err(error) => Some(error),
    }
}

/// Makes folders of a volume; a bucket has none.
///
/// # Errors
/// The first that could not be made.
pub async fn make_folders(remote: &Remote, folders: Vec<RelPath>) -> Result<(), TransferError> {
    let Remote::Volume { root, .. } = remote else { return Ok(()) };
    let root = root.clone();
    blocking(move || {
        let place = Place::existing(&root)?;
        folders.iter().try_for_each(|folder| place.make_folder(folder))
    })
    .await
}

/// Removes empty folders of a volume, deepest first; one that still holds something stays.
///
/// # Errors
/// The first that could not be removed.
pub async fn remove_folders(remote: &Remote, folders: Vec<RelPath>) -> Result<(), TransferError> {
    let Remote::Volume { root, .. } = remote else { return Ok(()) };
    let root = root.clone();
    blocking(move || {
        let place = Place::existing(&root)?;
        folders.iter().try_for_each(|folder| place.remove_folder(folder))
    })
    .await
}
