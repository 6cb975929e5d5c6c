//! What stands under a key, and small objects that say something to other pods.

use crate::download::blocking;
use crate::plan::{head, list};
use crate::remote::literal;
use crate::upload::time_for;
use crate::{Engine, Place, Remote, TransferError, remove};
use futures::StreamExt;
use object_store::{ObjectMeta, ObjectStoreExt, PutPayload};
use plx_contract::{ObjectVersion, RelPath, layout};
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

/// An object or file of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Bytes.
    pub size: u64,
    /// Which version it is.
    pub version: ObjectVersion,
    /// When it was stored, by the store's clock; buckets often say it in whole seconds.
    pub modified: SystemTime,
}

impl From<ObjectMeta> for Present {
    fn from(meta: ObjectMeta) -> Self {
        Self {
            size: meta.size,
            version: ObjectVersion::new(meta.e_tag, meta.version),
            modified: meta.last_modified.into(),
        }
    }
}

impl Present {
    /// A file on a volume. Its size and time of modification are what every file system keeps; inode numbers change where
    /// a mount is made anew.
    pub(crate) fn on_volume(metadata: &Metadata) -> Self {
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let tag = format!("{:x}-{:x}", metadata.len(), since.as_nanos());
        Self { size: metadata.len(), version: ObjectVersion::new(Some(tag), None), modified }
    }

    pub(crate) fn at_path(path: &Path) -> Result<Option<Self>, TransferError> {
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(Some(Self::on_volume(&metadata))),
            // What stands in the way is said by whoever wants to write there.
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(TransferError::disk("look at", path, error)),
        }
    }
}

/// What stands under a key; none when nothing does.
///
/// # Errors
/// When the store does not say.
pub async fn look(
    engine: &Engine,
    remote: &Remote,
    key: &RelPath,
    stop: &CancellationToken,
) -> Result<Option<Present>, TransferError> {
    match remote {
        Remote::Bucket { store, .. } => Ok(head(engine, remote, store, key, stop).await?.map(Present::from)),
        Remote::Volume { root, .. } => {
            let path = key.beneath(root);
            blocking(move || Present::at_path(&path)).await
        }
    }
}

/// Everything below a folder; of a volume the files right in it.
///
/// # Errors
/// When the store does not say.
pub async fn entries(
    engine: &Engine,
    remote: &Remote,
    folder: &RelPath,
    stop: &CancellationToken,
) -> Result<Vec<(RelPath, Present)>, TransferError> {
    if let Remote::Volume { root, .. } = remote {
        let path = folder.beneath(root);
        return blocking(move || files_in(&path)).await;
    }
    let mut listing = list(engine.clone(), remote.clone(), folder.clone(), stop.clone());
    let mut found = Vec::new();
    while let Some(entry) = listing.next().await {
        let entry = entry?;
        found.push((entry.below, entry.found));
    }
    Ok(found)
}

fn files_in(folder: &Path) -> Result<Vec<(RelPath, Present)>, TransferError> {
    let failed = |error| TransferError::disk("read folder", folder, error);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(Ok(name)) = name.to_str().map(RelPath::parse) else { continue };
        if name.as_str().starts_with(layout::TEMP_PREFIX) {
            continue;
        }
        // One that is gone by now has gone.
        if let Some(found) = Present::at_path(&entry.path())? {
            files.push((name, found));
        }
    }
    Ok(files)
}

/// Stores a few bytes, whatever stands there; returns the store's name for them.
///
/// # Errors
/// When they are not stored.
pub async fn put_small(
    engine: &Engine,
    remote: &Remote,
    key: &RelPath,
    content: Vec<u8>,
    stop: &CancellationToken,
) -> Result<ObjectVersion, TransferError> {
    match remote {
        Remote::Volume { root, .. } => {
            let (root, key) = (root.clone(), key.clone());
            blocking(move || {
                Place::existing(&root)?.put(&key, &content, 0o644)?;
                Ok(Present::at_path(&key.beneath(&root))?.map(|present| present.version).unwrap_or_default())
            })
            .await
        }
        Remote::Bucket { store, prefix, place, .. } => {
            let (at, path) = (remote.at(key), literal(place, &prefix.join(key))?);
            let payload = PutPayload::from(content);
            engine
                .attempt(stop, &at, None, || async {
                    tokio::time::timeout(time_for(0), store.put(&path, payload.clone()))
                        .await
                        .map_err(|_| TransferError::passing("put", &at, "no answer in time"))?
                        .map_err(|error| TransferError::store("put", &at, &error))
                        .map(|put| ObjectVersion::new(put.e_tag, put.version))
                })
                .await
        }
    }
}

/// Whether the store calls an object the same when it takes it and when it is asked for it later. Some gateways do not, and
/// then every object seems to be somebody else's. Tried with an object of its own, which is removed.
///
/// # Errors
/// When the store does not say.
pub async fn versions_last(
    engine: &Engine,
    remote: &Remote,
    key: &RelPath,
    stop: &CancellationToken,
) -> Result<bool, TransferError> {
    let put = put_small(engine, remote, key, b"?".to_vec(), stop).await?;
    let present = look(engine, remote, key, stop).await?;
    remove(engine, remote, vec![key.clone()], stop, |_, result| {
        // Whoever may not delete leaves one empty-handed object there, and knows all the same.
        if let Err(error) = result {
            tracing::debug!("{error}");
        }
    })
    .await;
    Ok(present.is_none_or(|present| present.version.agrees(&put) != Some(false)))
}
