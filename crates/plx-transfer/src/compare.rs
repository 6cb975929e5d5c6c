//! Whether a store has what it is said to have.

use crate::download::blocking;
use crate::plan::{head, list};
use crate::{Engine, Remote, TransferError};
use futures::stream::{self, StreamExt, TryStreamExt};
use plx_contract::RelPath;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use tokio_util::sync::CancellationToken;

/// Objects that are looked at by themselves, at a time.
const LOOKS: usize = 16;

/// A key whose object is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// The key.
    pub key: RelPath,
    /// Size of what is there; none when nothing is.
    pub found: Option<u64>,
}

/// Compares sizes with what the store has: on a bucket by listing the folders that the keys lie in, and by a look at each object
/// that differs there; on a volume by a look at each file. Nothing is read, and what nobody asked about is ignored.
///
/// # Errors
/// When the store does not say what it has; a key that was not compared is never said to agree.
pub async fn compare(
    engine: &Engine,
    remote: &Remote,
    mut expected: BTreeMap<RelPath, u64>,
    stop: &CancellationToken,
) -> Result<Vec<Differing>, TransferError> {
    if let Remote::Volume { root, .. } = remote {
        let root = root.clone();
        return blocking(move || {
            let mut differing = Vec::new();
            for (key, size) in expected {
                let path = key.beneath(&root);
                let found = match path.metadata() {
                    Ok(metadata) => Some(metadata.len()),
                    Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                        None
                    }
                    Err(error) => return Err(TransferError::disk("look at", &path, error)),
                };
                if found != Some(size) {
                    differing.push(Differing { key, found });
                }
            }
            Ok(differing)
        })
        .await;
    }
    let Remote::Bucket { store, .. } = remote else { return Ok(Vec::new()) };
    let mut differing: Vec<(RelPath, u64)> = Vec::new();
    for folder in tops(&expected) {
        let mut listing = list(engine.clone(), remote.clone(), folder.clone(), stop.clone());
        while let Some(entry) = listing.next().await {
            let entry = entry?;
            let key = folder.join(&entry.below);
            if let Some(size) = expected.remove(&key)
                && size != entry.size
            {
                differing.push((key, size));
            }
        }
    }
    differing.extend(expected);
    // A listing may be late, where the object itself is not.
    let looks = differing.into_iter().map(|(key, size)| async move {
        let found = head(engine, remote, store, &key, stop).await?.map(|meta| meta.size);
        Ok((found != Some(size)).then_some(Differing { key, found }))
    });
    let looks = stream::iter(looks).buffer_unordered(LOOKS);
    looks.try_filter_map(|differing| async move { Ok(differing) }).try_collect().await
}

/// The first folder of each key. One that has none is not in any listing, and so is said to be missing.
fn tops(expected: &BTreeMap<RelPath, u64>) -> Vec<RelPath> {
    let mut tops: Vec<RelPath> = Vec::new();
    for key in expected.keys() {
        if let Some((top, _)) = key.as_str().split_once('/')
            && tops.last().is_none_or(|last| last.as_str() != top)
            && let Ok(top) = RelPath::parse(top)
        {
            tops.push(top);
        }
    }
    tops.dedup();
    tops
}
