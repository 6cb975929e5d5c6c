//! What init leaves, where it comes while passes run: a native sidecar starts before the init containers do.

use super::{Passes, look};
use crate::Config;
use crate::pass::report::is_own;
use plx_contract::{Layout, RelPath, layout, run::RunUuid};
use plx_journal::{Changes, FsFile, Journal, Seen, Underway};

/// Whether init is at work, and what its hand-over may say.
pub(super) struct HandOver {
    layout: Layout,
    run: RunUuid,
    pod: String,
    /// Init containers are at work, as the pod's status says.
    is_under_way: bool,
    /// One of them fetches what the store has of the run, as it says itself.
    is_made: bool,
    /// The last try to read it failed.
    failed: bool,
}

impl HandOver {
    pub(super) fn of(config: &Config) -> Self {
        let (layout, run, pod) = (config.layout.clone(), config.run.uuid.clone(), config.pod.clone());
        Self { layout, run, pod, is_under_way: false, is_made: false, failed: false }
    }

    /// Whether only what the sidecar itself collects may be stored.
    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way || self.is_made
    }

    /// What may be done now. What init brings is in the store already, and may be half there; it is no reason to delete either.
    pub(super) fn allowed(&self, mut changes: Changes) -> Changes {
        if self.is_under_way() {
            changes.puts.retain(|put| is_own(&put.key));
            changes = Changes { puts: changes.puts, unchanged: changes.unchanged, ..Changes::default() };
        }
        changes
    }

    /// Has the journal begin with what init left, once that is there; true when that was now. And what is to be said of it.
    async fn take(&mut self, journal: &mut Journal) -> (bool, Option<String>) {
        if !journal.awaits_hand_over() {
            return (false, None);
        }
        let path = self.layout.fs_file();
        // In this order: who makes it has it there before saying that it is through.
        let loaded = tokio::task::spawn_blocking(move || (!Underway::is(&path)).then(|| FsFile::load(&path)));
        let loaded = loaded.await;
        self.is_made = matches!(loaded, Ok(None));
        let failed = std::mem::replace(&mut self.failed, false);
        match loaded.map(|loaded| loaded.unwrap_or(Ok(None))) {
            Ok(Ok(None)) => (false, None),
            Ok(Ok(Some(hand_over))) => {
                let (run, pod) = (&self.run, &self.pod);
                let taken = journal.hand_over(Some(run), &hand_over, |key| writes(run, pod, key));
                let said =
                    taken.err().map(|error| format!("{error}; after a restart files may be sent again"));
                (true, said)
            }
            // Polyaxon's init does not write it in one step: the first time says nothing.
            Ok(Err(error)) => {
                self.failed = true;
                (false, failed.then(|| format!("{error}; what init fetched is sent again")))
            }
            Err(error) => (false, Some(format!("read what init left: {error}"))),
        }
    }
}

impl Passes {
    /// From now on, or no longer, init containers are at work: then only what the sidecar itself collects is stored.
    pub fn beside_init(&mut self, is_under_way: bool) {
        let was = std::mem::replace(&mut self.hand_over.is_under_way, is_under_way);
        match (was, is_under_way) {
            (false, true) => tracing::info!("init containers are at work: only logs and the spec are stored"),
            (true, false) => tracing::info!("init containers are through"),
            _ => {}
        }
    }

    /// What is on disk, and what of it could not be looked at. What init left is taken over before anything is made of it.
    pub(super) async fn look_and_take_over(&mut self) -> (Seen, Vec<String>) {
        self.take_over().await;
        let looked = look(&self.layout, &self.run).await;
        // It came meanwhile: what it names, and this look was too early for, would count as deleted.
        if self.take_over().await { look(&self.layout, &self.run).await } else { looked }
    }

    async fn take_over(&mut self) -> bool {
        let (taken, said) = self.hand_over.take(&mut self.journal).await;
        if let Some(what) = said {
            self.warn_once(what);
        }
        taken
    }
}

/// Whether this pod's sidecar writes a file. What stands in a record of what is on disk may be its work since it started.
fn writes(run: &RunUuid, pod: &str, key: &RelPath) -> bool {
    let below = key.as_str().strip_prefix(run.as_str()).and_then(|below| below.strip_prefix('/'));
    below.is_some_and(|below| {
        let log = below.strip_prefix("plxlogs/");
        layout::is_collected(below) && log.is_none_or(|name| name.starts_with(&format!("{pod}.jsonl")))
    })
}
