//! Main where `plx-entry` runs it: whether it lives, and how it ended, from the folder that the two share.

use crate::main_container::{Gone, MainContainer, POLL};
use futures::future::{BoxFuture, FutureExt};
use plx_contract::wrapped::{ENDED, Ended, Restarts, STARTED, Started};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// How main is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It was not started yet.
    Nothing,
    /// It runs.
    Runs,
    /// It does not.
    Ended {
        /// None when it was killed together with `plx-entry`.
        exit_code: Option<i64>,
        /// Kubernetes starts it again, unless the pod is being deleted.
        again: bool,
        /// Which start of it.
        attempt: u32,
        /// How much it wrote to stdout and stderr, where that is known.
        written: Option<[u64; 2]>,
    },
}

/// Looks at main. What is there and cannot be read says nothing.
pub(crate) fn look(folder: &Path) -> Sight {
    if let Some(ended) = marker(folder) {
        return ended;
    }
    let Ok(file) = File::open(folder.join(STARTED)) else { return Sight::Nothing };
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Sight::Runs,
        // A volume without locks: the marker alone tells.
        Err(TryLockError::Error(_)) => return Sight::Nothing,
    }
    // It may be about to lock it for the first time.
    let text = fs::read(folder.join(STARTED)).unwrap_or_default();
    let Ok(started) = serde_json::from_slice::<Started>(&text) else { return Sight::Nothing };
    // It may have ended between the two looks.
    marker(folder).unwrap_or(Sight::Ended {
        exit_code: None,
        again: started.restarts != Restarts::Never,
        attempt: started.attempt,
        written: None,
    })
}

fn marker(folder: &Path) -> Option<Sight> {
    let text = fs::read(folder.join(ENDED)).ok()?;
    // Whatever it says, it is there.
    let Ended { exit_code, again, attempt, written } = serde_json::from_slice(&text).unwrap_or_default();
    Some(Sight::Ended { exit_code: Some(exit_code), again, attempt, written })
}

/// The sign of a wrapped main's end.
pub struct Wrapped {
    folder: PathBuf,
    asked: CancellationToken,
}

impl Wrapped {
    /// Watches the folder. An end after which Kubernetes starts main again is none, until `asked` says that the pod is being
    /// deleted.
    pub fn watch(folder: PathBuf, asked: CancellationToken) -> Self {
        Self { folder, asked }
    }
}

impl MainContainer for Wrapped {
    fn gone(&mut self) -> BoxFuture<'_, Gone> {
        async {
            let mut looks = tokio::time::interval(POLL);
            loop {
                looks.tick().await;
                let folder = self.folder.clone();
                let Ok(sight) = spawn_blocking(move || look(&folder)).await else { continue };
                if let Sight::Ended { exit_code, again, .. } = sight
                    && (!again || self.asked.is_cancelled())
                {
                    let by = match exit_code {
                        Some(_) => format!("marker in {}", self.folder.display()),
                        None => "killed together with plx-entry".to_owned(),
                    };
                    return Gone { by, exit_code };
                }
            }
        }
        .boxed()
    }

    /// A main that was never started leaves nothing.
    fn can_tell(&self) -> bool {
        look(&self.folder) != Sight::Nothing
    }

    fn lives(&self) -> bool {
        look(&self.folder) == Sight::Runs
    }
}
