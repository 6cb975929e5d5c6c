//! What the tracking API is told of a run's events: lineage with a summary of each file, and the last values of its
//! metrics as outputs.
//!
//! A pass hands on what it saw ([`Summaries::look`]) once its files are stored, and goes on: reading and telling is a task
//! of its own, one round at a time, so that an API which is slow or away never keeps a file from the store. What it could
//! not be told is told in the next round; at the end for [`LAST_DELIVERY`] more, and then the report names it.

mod api;
mod rounds;
mod told;

pub use api::Lineage;

use self::api::RunApi;
use self::rounds::{Candidate, Rounds};
use crate::Config;
use plx_contract::credential::Files;
use plx_contract::events::EventFile;
use plx_contract::lineage::Status;
use plx_contract::{Classified, Env};
use plx_journal::Seen;
use plx_runtime::Report;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long the end waits for the API, when everything else is done and there is time.
pub const LAST_DELIVERY: Duration = Duration::from_secs(15);
/// Between two tries to add a status.
const BREATH: Duration = Duration::from_millis(500);
/// Names in the report; the rest is counted.
const NAMED: usize = 20;

/// Tells the tracking API of a run's events, or nobody.
#[derive(Default)]
pub struct Summaries {
    api: Option<Arc<dyn Lineage>>,
    working: Option<Working>,
}

struct Working {
    /// What the keys of the run begin with.
    prefix: String,
    seen: watch::Sender<Arc<Vec<Candidate>>>,
    rounds: Arc<Mutex<Rounds>>,
    worker: JoinHandle<()>,
}

impl Summaries {
    /// As environment and files say: nobody is told where the API is switched off or no host is named, and, with a
    /// warning, where the settings cannot be used. Must be called within a runtime.
    pub fn start(config: &Config, env: &impl Env, files: &impl Files) -> Self {
        match RunApi::open(config, env, files) {
            Ok(api) => Self::telling(Arc::new(api), config),
            Err(api::Closed::Off(why)) => {
                tracing::debug!("no summaries of events: {why}");
                Self::default()
            }
            Err(api::Closed::Unusable(why)) => {
                tracing::warn!("no summaries of events are sent: {why}");
                Self::default()
            }
        }
    }

    /// Tells this API. Must be called within a runtime.
    pub fn telling(api: Arc<dyn Lineage>, config: &Config) -> Self {
        let folder = config.layout.own_state(&config.pod);
        let rounds = Arc::new(Mutex::new(Rounds::new(Arc::clone(&api), config.store.name.clone(), &folder)));
        let (seen, news) = watch::channel(Arc::default());
        let worker = tokio::spawn(work(Arc::clone(&rounds), news));
        let working = Working { prefix: format!("{}/", config.run.uuid), seen, rounds, worker };
        Self { api: Some(api), working: Some(working) }
    }

    /// Hands on what a scan saw. Returns at once; of several scans during one round only the last counts.
    pub fn look(&self, seen: &Seen) {
        let Some(working) = &self.working else { return };
        let candidates = seen.files.iter().filter_map(|(key, found)| {
            let file = EventFile::at(key.as_str().strip_prefix(&working.prefix)?)?;
            Some(Candidate { file, path: found.path.clone(), stat: found.stat })
        });
        working.seen.send_replace(Arc::new(candidates.collect()));
    }

    /// The last rounds, at most so long, and not longer than `hard` allows. Says what the API was not told.
    pub async fn finish(&mut self, within: Duration, hard: &CancellationToken) -> Untold {
        let Some(Working { seen, rounds, worker, .. }) = self.working.take() else {
            return Untold::default();
        };
        let files = Arc::clone(&seen.borrow());
        // The round that is under way is the worker's last one.
        drop(seen);
        let stop = worker.abort_handle();
        let last = async {
            if let Err(ended) = worker.await {
                tracing::warn!("summaries of events: {ended}");
            }
            rounds.lock().await.last(&files).await;
        };
        tokio::select! {
            () = last => {}
            () = tokio::time::sleep(within) => {}
            () = hard.cancelled() => {}
        }
        stop.abort();
        rounds.lock().await.untold()
    }
}

impl Summaries {
    /// Tells the API that outputs are missing, as a warning among the run's statuses: whoever looks at the run there does
    /// not see a pod's termination message. Tried until it takes it, at most so long.
    pub async fn warn(&self, report: &Report, within: Duration) {
        let Some(api) = &self.api else { return };
        let next = report.next.as_ref().map(|next| format!("; next: {next}")).unwrap_or_default();
        let status = Status {
            kind: "warning",
            reason: "PolyaxonSidecar".to_owned(),
            message: format!("{}{next}", report.message),
        };
        let mut last = None;
        let told = async {
            while let Err(error) = api.status(&status).await {
                let may_pass = error.class().may_pass();
                last = Some(api::words(&error));
                if !may_pass {
                    return false;
                }
                tokio::time::sleep(BREATH).await;
            }
            true
        };
        if !tokio::time::timeout(within, told).await.unwrap_or_default() {
            let why = last.unwrap_or_else(|| "no answer in time".to_owned());
            tracing::warn!("the run's status does not say that outputs are missing: {why}");
        }
    }
}

async fn work(rounds: Arc<Mutex<Rounds>>, mut news: watch::Receiver<Arc<Vec<Candidate>>>) {
    while news.changed().await.is_ok() {
        let files = Arc::clone(&news.borrow_and_update());
        rounds.lock().await.next(&files).await;
    }
}

/// What the API was not told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Untold {
    /// Files of events, and outputs.
    pub names: Vec<String>,
    /// What it said last.
    pub why: Option<String>,
}

impl Untold {
    /// Adds it to the report. It is no failure: what the run made is in the store.
    pub fn add_to(self, report: &mut Report) {
        if self.names.is_empty() {
            return;
        }
        let why = self.why.map_or_else(String::new, |why| format!(": {why}"));
        let said = format!("the tracking API was not told of {} summaries{why}", self.names.len());
        tracing::warn!("{said}");
        report.message = format!("{}; {said}", report.message);
        report.details.push(("untold", json!(self.names.len())));
        report.details.push(("undelivered", json!(self.names.iter().take(NAMED).collect::<Vec<_>>())));
    }
}
