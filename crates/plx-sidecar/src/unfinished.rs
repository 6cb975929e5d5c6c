//! What a pass could not finish, and what a killed sidecar left: continued where it can be, taken away where not.

use crate::Config;
use plx_contract::layout::TEMP_PREFIX;
use plx_contract::{RelPath, Stat};
use plx_transfer::{Engine, Ledger, Remote, abort_unfinished, remove_left};
use std::collections::HashMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The file in the pod's folder.
const NAME: &str = "uploads.jsonl";
/// The files beside it that only a sidecar writes, under another name first.
const WRITTEN_WHOLE: &[&str] = &["journal.jsonl", "summaries.json", "logs.json"];
/// How long a pass waits for aborts. What is not answered by then is tried again by the next one.
const IN_A_PASS: Duration = Duration::from_secs(5);

/// The uploads in flight that this pod's last sidecar left, or none. A disk that takes no file stops nothing. What else
/// it had not finished writing beside them goes.
pub(crate) fn ledger(config: &Config, remote: &Remote) -> Ledger {
    let folder = config.layout.own_state(&config.pod);
    for name in WRITTEN_WHOLE {
        let temp = folder.join(format!("{TEMP_PREFIX}{name}"));
        match std::fs::remove_file(&temp) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                // Nothing is lost: the next who writes that file uses it again.
                tracing::debug!("remove {}: {error}", temp.display());
            }
            _ => {}
        }
    }
    let path = folder.join(NAME);
    match Ledger::open(&path, &remote.identity()) {
        Ok((ledger, note)) => {
            if let Some(note) = note {
                tracing::warn!("{note}");
            }
            ledger
        }
        Err(error) => {
            let error = plx_runtime::Failure::from(error).message;
            tracing::warn!("{error}; after a restart large uploads begin anew");
            Ledger::in_memory()
        }
    }
}

/// Takes away what no file of this pass continues. Returns what could not be, in words.
pub(crate) async fn clear(
    engine: &Engine,
    remote: &Remote,
    run: &RelPath,
    files: &HashMap<RelPath, Stat>,
    hard: &CancellationToken,
) -> Vec<String> {
    // The look at what is left, when time is up, must not wait for a store.
    if hard.is_cancelled() {
        return Vec::new();
    }
    let is_wanted =
        |key: &RelPath, version: &Stat| files.get(key).is_some_and(|stat| stat.same_version(version));
    let mut errors = tokio::select! {
        errors = abort_unfinished(engine, remote, IN_A_PASS, is_wanted) => errors,
        () = hard.cancelled() => return Vec::new(),
    };
    errors.extend(remove_left(engine, remote, vec![run.clone()]).await.err());
    errors.into_iter().map(|error| plx_runtime::Failure::from(error).message).collect()
}

/// The end: whatever is still open is aborted, in so much time.
pub(crate) async fn close(engine: &Engine, remote: &Remote, within: Duration) {
    for error in abort_unfinished(engine, remote, within, |_, _| false).await {
        let error = plx_runtime::Failure::from(error).message;
        tracing::warn!("{error}; its parts stay in the store until its own clean-up");
    }
    engine.ledger().close();
}
