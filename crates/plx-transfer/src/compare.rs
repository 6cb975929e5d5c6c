//! Whether a store has what it is said to have.

use crate::download::blocking;
use crate::plan::list;
use crate::{Engine, Present, Remote, TransferError, look};
use futures::stream::{self, StreamExt, TryStreamExt};
use plx_contract::{ObjectVersion, RelPath};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// Objects that are looked at by themselves, at a time.
const LOOKS: usize = 16;
/// Of those whose tag differs in a listing so many are looked at first.
const SAMPLE: usize = 20;

/// What a key should hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// Bytes.
    pub size: u64,
    /// What the store called the version when it took it, as far as that is known.
    pub version: ObjectVersion,
}

/// A key whose object is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    /// The key.
    pub key: RelPath,
    /// What is there; none when nothing is.
    pub present: Option<Present>,
}

impl Stored {
    fn is(&self, found: &Present) -> bool {
        self.size == found.size && self.version.agrees(&found.version) != Some(false)
    }
}

/// Compares sizes and versions (a checksum of the content, where the store's tags are one) with what the store has: on a
/// bucket by listing the folders that the keys lie in, and by a look at each object that differs there; on a volume by a
/// look at each file. Nothing is read, and what nobody asked about is ignored.
///
/// # Errors
/// When the store does not say what it has; a key that was not compared is never said to agree.
pub async fn compare(
    engine: &Engine,
    remote: &Remote,
    mut expected: BTreeMap<RelPath, Stored>,
    stop: &CancellationToken,
) -> Result<Vec<Differing>, TransferError> {
    if let Remote::Volume { root, .. } = remote {
        let root = root.clone();
        return blocking(move || {
            let mut differing = Vec::new();
            for (key, stored) in expected {
                let present = Present::at_path(&key.beneath(&root))?;
                if !present.as_ref().is_some_and(|present| stored.is(present)) {
                    differing.push(Differing { key, present });
                }
            }
            Ok(differing)
        })
        .await;
    }
    let (mut sizes, mut versions, mut agree) = (Vec::new(), Vec::new(), 0);
    for folder in tops(&expected) {
        let mut listing = list(engine.clone(), remote.clone(), folder.clone(), stop.clone());
        while let Some(entry) = listing.next().await {
            let entry = entry?;
            let key = folder.join(&entry.below);
            if let Some(stored) = expected.remove(&key) {
                match stored.version.agrees(&entry.found.version) {
                    _ if stored.size != entry.found.size => sizes.push((key, stored)),
                    Some(false) => versions.push((key, stored)),
                    Some(true) => agree += 1,
                    None => {}
                }
            }
        }
    }
    sizes.extend(expected);
    // A listing may be late, where the object itself is not.
    let mut differing = confirmed(engine, remote, sizes, stop).await?;
    let rest = versions.split_off(versions.len().min(SAMPLE));
    let sampled = versions.len();
    let sample = confirmed(engine, remote, versions, stop).await?;
    // Where no tag of the listing is as the object has it, listings have tags of another kind: they say nothing.
    if agree > 0 || sample.len() > sampled / 2 || rest.is_empty() {
        differing.extend(confirmed(engine, remote, rest, stop).await?);
    }
    differing.extend(sample);
    Ok(differing)
}

/// Those that differ when the object itself is looked at.
async fn confirmed(
    engine: &Engine,
    remote: &Remote,
    suspects: Vec<(RelPath, Stored)>,
    stop: &CancellationToken,
) -> Result<Vec<Differing>, TransferError> {
    let looks = suspects.into_iter().map(|(key, stored)| async move {
        let present = look(engine, remote, &key, stop).await?;
        let differs = !present.as_ref().is_some_and(|present| stored.is(present));
        Ok(differs.then_some(Differing { key, present }))
    });
    let looks = stream::iter(looks).buffer_unordered(LOOKS);
    looks.try_filter_map(|differing| async move { Ok(differing) }).try_collect().await
}

/// The first folder of each key. One that has none is not in any listing, and so is said to be missing.
fn tops(expected: &BTreeMap<RelPath, Stored>) -> Vec<RelPath> {
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
