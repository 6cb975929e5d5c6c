//! Writes that replace nothing but what was expected.
//!
//! Several pods may store under one key, and only the store sees both. So a small file is put with a condition, which costs
//! no request: the store compares. Where it cannot, and for large files, somebody looks first; then two that write at
//! the same moment are not told apart.

use crate::plan::head;
use crate::remote::literal;
use crate::upload::{Send, time_for};
use crate::{Cause, Engine, Present, Remote, TransferError, Upload, put_small, remove};
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use plx_contract::{ObjectVersion, RelPath, fault};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

/// What an upload may replace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    #[default]
    Anything,
    /// Nothing is there.
    Nothing,
    /// This version, or nothing.
    Version(ObjectVersion),
}

impl Expected {
    /// True when what was found may be replaced.
    pub(crate) fn allows(&self, found: Option<&Present>) -> bool {
        match (self, found) {
            (Self::Anything, _) | (_, None) => true,
            (Self::Nothing, Some(_)) => false,
            // A store that does not tell versions apart can protect none.
            (Self::Version(version), Some(found)) => found.version.agrees(version).unwrap_or(true),
        }
    }

    fn mode(&self) -> PutMode {
        match self {
            Self::Anything => PutMode::Overwrite,
            Self::Nothing => PutMode::Create,
            Self::Version(version) if !version.is_known() => PutMode::Overwrite,
            Self::Version(version) => PutMode::Update(UpdateVersion {
                e_tag: version.e_tag.as_deref().map(str::to_owned),
                version: version.generation.as_deref().map(str::to_owned),
            }),
        }
    }
}

/// How a guarded write ended.
pub(crate) enum Wrote {
    /// It stands there now.
    Stored(ObjectVersion),
    /// Somebody else's object with the same bytes stands there.
    Same,
    /// Something else stands there; nothing was written.
    Other(Present),
}

enum Answer {
    Stored(ObjectVersion),
    /// `again`: it was asked before, and may have been heard then.
    Refused {
        again: bool,
    },
    Unsupported,
}

/// A version that appears and goes between two requests of ours is somebody at work.
const TRIES: u32 = 4;

/// Puts a small file.
pub(crate) async fn put(
    send: &Send,
    store: &Arc<dyn ObjectStore>,
    key: &Path,
    job: &Upload,
    content: Bytes,
) -> Result<Wrote, TransferError> {
    let at = send.remote.at(&job.key);
    let mut mode = job.expected.mode();
    let mut looks_first = send.engine.conditions_are_refused();
    let mut may_be_ours = false;
    for _ in 0..TRIES {
        if mode == PutMode::Overwrite || !looks_first {
            match ask(send, store, key, &at, &content, mode.clone()).await? {
                Answer::Stored(version) => {
                    // Only now: it may have been the key that was refused, and not the condition.
                    if looks_first {
                        send.engine.refuses_conditions();
                    }
                    return Ok(Wrote::Stored(version));
                }
                Answer::Refused { again } => may_be_ours |= again,
                Answer::Unsupported => looks_first = true,
            }
        }
        let meta = match head(&send.engine, &send.remote, store, &job.key, &send.stop).await {
            Ok(Some(meta)) => meta,
            Ok(None) => {
                mode = if looks_first { PutMode::Overwrite } else { PutMode::Create };
                continue;
            }
            // Who may write and not read knows no more than that something is there.
            Err(error) if error.cause() == Some(Cause::Denied) => {
                if mode == PutMode::Create && !looks_first {
                    let version = ObjectVersion::default();
                    return Ok(Wrote::Other(Present { size: 0, version, modified: SystemTime::now() }));
                }
                mode = PutMode::Overwrite;
                continue;
            }
            Err(error) => return Err(error),
        };
        let found = Present::from(meta);
        // An answer that was lost leaves our own bytes there, and a condition that fails.
        if found.size == content.len() as u64 && holds(send, store, key, &at, &content).await? {
            return Ok(if may_be_ours { Wrote::Stored(found.version) } else { Wrote::Same });
        }
        if job.expected == Expected::Nothing || !job.expected.allows(Some(&found)) {
            return Ok(Wrote::Other(found));
        }
        // It is what was expected, in a form that the store's condition does not take.
        mode = PutMode::Overwrite;
    }
    Err(TransferError::passing("put", &at, "somebody else writes it at the same time"))
}

async fn ask(
    send: &Send,
    store: &Arc<dyn ObjectStore>,
    key: &Path,
    at: &str,
    content: &Bytes,
    mode: PutMode,
) -> Result<Answer, TransferError> {
    let payload = PutPayload::from_bytes(content.clone());
    let is_conditional = mode != PutMode::Overwrite;
    let asked = AtomicBool::new(false);
    send.engine
        .attempt(&send.stop, at, None, || async {
            let again = asked.swap(true, Ordering::Relaxed);
            let put = store.put_opts(key, payload.clone(), mode.clone().into());
            let answer = tokio::time::timeout(time_for(content.len() as u64), put)
                .await
                .map_err(|_| TransferError::passing("put", at, "no answer in time"))?;
            match answer {
                Ok(put) => Ok(Answer::Stored(ObjectVersion::new(put.e_tag, put.version))),
                Err(error) if is_conditional && is_refusal(&error) => Ok(Answer::Refused { again }),
                Err(error) if is_conditional && is_unsupported(&error) => Ok(Answer::Unsupported),
                Err(error) => Err(TransferError::store("put", at, &error)),
            }
        })
        .await
}

/// What stands there is not what the condition says: something is there, or nothing is. 409 is Azure's for what exists,
/// and S3's for another who writes at the same moment.
fn is_refusal(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. })
        || matches!(Cause::of(error), Cause::Changed | Cause::Absent)
        || fault::find(error).is_some_and(|fault| fault.status == 409)
}

/// Services that know no conditions call them by many names; and some keys may write and not read, which a condition on a
/// version takes.
fn is_unsupported(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. })
        || fault::find(error).is_some_and(|fault| matches!(fault.status, 400 | 403 | 405 | 501))
}

/// Finds out whether the store keeps to conditions: some know none and answer as if they had held. From then on somebody looks
/// before a write to such a one. Tried with an object of its own, which is removed.
///
/// # Errors
/// When the store does not say.
pub async fn try_conditions(
    engine: &Engine,
    remote: &Remote,
    key: &RelPath,
    stop: &CancellationToken,
) -> Result<(), TransferError> {
    let Remote::Bucket { store, prefix, place, .. } = remote else { return Ok(()) };
    let (at, path) = (remote.at(key), literal(place, &prefix.join(key))?);
    put_small(engine, remote, key, b"?".to_vec(), stop).await?;
    let held = engine
        .attempt(stop, &at, None, || async {
            let put = store.put_opts(&path, PutPayload::from_static(b"!"), PutMode::Create.into());
            let late = |_| TransferError::passing("put", &at, "no answer in time");
            match tokio::time::timeout(time_for(0), put).await.map_err(late)? {
                Ok(_) => Ok(false),
                Err(error) if is_refusal(&error) => Ok(true),
                Err(error) if is_unsupported(&error) => Ok(false),
                Err(error) => Err(TransferError::store("put", &at, &error)),
            }
        })
        .await;
    remove(engine, remote, vec![key.clone()], stop, |_, result| {
        // Whoever may not delete leaves it there, and knows all the same.
        if let Err(error) = result {
            tracing::debug!("{error}");
        }
    })
    .await;
    if !held? {
        engine.refuses_conditions();
    }
    Ok(())
}

/// Whether the object has just these bytes.
async fn holds(
    send: &Send,
    store: &Arc<dyn ObjectStore>,
    key: &Path,
    at: &str,
    content: &Bytes,
) -> Result<bool, TransferError> {
    send.engine
        .attempt(&send.stop, at, None, || async {
            let failed = |error: object_store::Error| TransferError::store("get", at, &error);
            let late = |_| TransferError::passing("get", at, "no answer in time");
            let time = time_for(content.len() as u64);
            let got = match tokio::time::timeout(time, store.get(key)).await.map_err(late)? {
                Ok(got) => got,
                // Who may not read it cannot say that it is the same.
                Err(error) if matches!(Cause::of(&error), Cause::Absent | Cause::Denied) => return Ok(false),
                Err(error) => return Err(failed(error)),
            };
            let mut stream = got.into_stream();
            let mut rest = content.as_ref();
            while let Some(chunk) = tokio::time::timeout(time, stream.next()).await.map_err(late)? {
                let chunk = chunk.map_err(failed)?;
                match rest.strip_prefix(chunk.as_ref()) {
                    Some(after) => rest = after,
                    None => return Ok(false),
                }
            }
            Ok(rest.is_empty())
        })
        .await
}
