//! The spec of the run's pods as Kubernetes has it: `outputs/spec.json`, which Polyaxon's UI and agent read.
//!
//! A task of its own asks for it ([`rounds`]), beside the passes: an API that is slow or away never holds one up. What comes
//! loses its secrets ([`document`]) and is written as a whole, when it says something new ([`file`]). At the end, when main
//! has ended, it is asked for once more.

mod document;
mod file;
mod rounds;

use crate::Config;
use futures::FutureExt;
use futures::future::BoxFuture;
use plx_contract::credential::Files;
use plx_contract::{Classified, Env};
use plx_kube::{Cluster, KubeError, Page, Selector};
use plx_runtime::DiskFiles;
use rounds::Rounds;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Between two rounds at least, for each pod of the run: all their sidecars together ask once in so long.
pub const PERIOD: Duration = Duration::from_secs(15);
/// For the answers of one round.
const ROUND: Duration = Duration::from_secs(30);
/// For the last one; outputs wait behind it.
pub const LAST: Duration = Duration::from_secs(5);
/// Where something else told of main's end, the API may be behind: it is asked again for so long.
const BEHIND: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(500);

/// Where objects are listed.
pub trait Source: Send + Sync + 'static {
    /// A part of a list of `pods`, `services` or `events`.
    fn page<'a>(
        &'a self,
        resource: &'a str,
        selector: &'a Selector,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, KubeError>>;
}

impl<F: Files + Send + Sync + 'static> Source for Cluster<F> {
    fn page<'a>(
        &'a self,
        resource: &'a str,
        selector: &'a Selector,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, KubeError>> {
        Self::page(self, resource, selector, after).boxed()
    }
}

/// The spec, kept up to date.
pub struct Spec {
    last: watch::Sender<Option<Last>>,
    /// Aborted with this.
    tasks: JoinSet<()>,
}

/// The last round.
#[derive(Debug, Clone, Copy)]
struct Last {
    main_is_gone: bool,
}

impl Spec {
    /// Keeps the spec of the run that this pod belongs to; none where its cluster cannot be asked: that is no failure, but it
    /// is said.
    pub fn follow(config: &Config, env: &impl Env) -> Option<Self> {
        match Cluster::of_this_pod(env, DiskFiles) {
            Ok(cluster) => Some(Self::told_by(Arc::new(cluster), config)),
            Err(error) => {
                let next = error.next_step().unwrap_or_default();
                tracing::warn!("the spec is not collected: {}; next: {next}", error.chain());
                None
            }
        }
    }

    /// The same from any source. Must be called within a runtime.
    pub fn told_by(source: Arc<dyn Source>, config: &Config) -> Self {
        let (last, asked) = watch::channel(None);
        let rounds = Rounds::new(source, config);
        // A file that no pass sends before the end need not be there before.
        let period = config.schedule.period().map(|period| period.max(PERIOD));
        let mut tasks = JoinSet::new();
        tasks.spawn(work(rounds, period, asked));
        Self { last, tasks }
    }

    /// The last round, at most for [`LAST`] and not longer than `hard` allows; the file stays as it is when it fails.
    pub async fn finish(mut self, main_is_gone: bool, hard: &CancellationToken) {
        self.last.send_replace(Some(Last { main_is_gone }));
        tokio::select! {
            ended = timeout(LAST, self.tasks.join_next()) => match ended {
                Ok(Some(Err(error))) => tracing::warn!("the spec was not written once more: {error}"),
                Ok(_) => {}
                Err(_) => tracing::warn!("the spec was not written once more: no answer in {LAST:?}"),
            },
            () = hard.cancelled() => {}
        }
        self.tasks.shutdown().await;
    }
}

async fn work(mut rounds: Rounds, period: Option<Duration>, mut asked: watch::Receiver<Option<Last>>) {
    if let Some(period) = period {
        loop {
            // Asking is cut short by the end, writing is not.
            let found = tokio::select! {
                found = timeout(ROUND, rounds.ask()) => found,
                _ = asked.changed() => break,
            };
            rounds.take(found.ok(), false).await;
            let pods = u32::try_from(rounds.pods().max(1)).unwrap_or(u32::MAX);
            tokio::select! {
                () = sleep(period.saturating_mul(pods)) => {}
                _ = asked.changed() => break,
            }
        }
    }
    // Nobody is left who could ask.
    let Ok(last) = asked.wait_for(Option::is_some).await.map(|last| *last) else { return };
    let main_is_gone = last.is_some_and(|last| last.main_is_gone);
    let begun = Instant::now();
    loop {
        let found = timeout(LAST, rounds.ask()).await;
        let is_behind = main_is_gone && matches!(&found, Ok(Ok(document)) if document.main_runs);
        rounds.take(found.ok(), true).await;
        if !is_behind || begun.elapsed() >= BEHIND {
            return;
        }
        sleep(AGAIN).await;
    }
}
