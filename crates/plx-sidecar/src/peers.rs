//! Other pods of the run, which may store under the same keys.
//!
//! A run may have several pods at a time (tfjob, mpijob, ray, …), and one after the other (a Job that tries again). Those
//! that live together keep what each of them stored; the one that comes after another takes over what that one left.
//! Who lives when is asked only once something stands in the store that this pod did not expect: Kubernetes knows, and
//! where it cannot be asked, pods leave a mark in the store as long as they live ([`presence`]).

mod lives;
mod presence;

pub use lives::{Life, Others, Whose};

use crate::Config;
use crate::spec::Source;
use plx_contract::run::RunUuid;
use plx_kube::Selector;
use plx_transfer::{Engine, Remote, TransferError};
use presence::Presence;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// For the cluster to say which pods the run has; files wait for it.
const ANSWER: Duration = Duration::from_secs(5);
/// The same when time is short.
const SHORT_ANSWER: Duration = Duration::from_secs(1);
/// What was found out holds for so long.
const FRESH: Duration = Duration::from_secs(60);
/// For the mark in the store to be taken away at the end.
const LEAVE: Duration = Duration::from_secs(5);

/// Who else there is.
#[derive(Default)]
pub struct Peers {
    source: Option<Arc<dyn Source>>,
    run: Option<RunUuid>,
    pod: String,
    presence: Option<Presence>,
    asked: Option<(Instant, Others)>,
    /// Whether the store calls an object the same when it takes it and later.
    versions_last: Option<bool>,
    /// When the cluster did not say.
    silent: Option<Instant>,
    /// Aborted with this.
    tasks: JoinSet<()>,
}

impl Peers {
    /// Begins: where the cluster does not show this pod among those of its run, a mark in the store does.
    pub fn start(source: Option<Arc<dyn Source>>, config: &Config, engine: &Engine, remote: &Remote) -> Self {
        let run = config.run.uuid.clone();
        let presence = Presence::of(&run, &config.pod, engine, remote);
        let mut tasks = JoinSet::new();
        let (marks, asked) = (presence.clone(), source.clone());
        let (of, pod) = (run.clone(), config.pod.clone());
        tasks.spawn(async move {
            let found = match asked {
                Some(source) => in_cluster(source.as_ref(), &of, &pod, ANSWER).await,
                None => None,
            };
            match found {
                Some((own, lives)) if lives::others(&own, &lives) != Others::None => {
                    marks.try_conditions().await
                }
                Some(_) => {}
                None => marks.keep().await,
            }
        });
        let (pod, presence) = (config.pod.clone(), Some(presence));
        Self { source, run: Some(run), pod, presence, tasks, ..Self::default() }
    }

    /// The same, asked anew if there were none: somebody has stored something since.
    pub async fn others_now(&mut self, is_short: bool, stop: &CancellationToken) -> Others {
        self.asked.take_if(|(_, others)| *others == Others::None);
        self.others(is_short, stop).await
    }

    /// The pods whose life overlaps this one's. `is_short`: time is.
    pub async fn others(&mut self, is_short: bool, stop: &CancellationToken) -> Others {
        if let Some((when, others)) = &self.asked
            && when.elapsed() < FRESH
        {
            return others.clone();
        }
        let others = self.ask(is_short, stop).await;
        // A doubt is worth another question.
        if !matches!(others, Others::Doubtful { .. }) {
            self.asked = Some((Instant::now(), others.clone()));
        }
        others
    }

    async fn ask(&mut self, is_short: bool, stop: &CancellationToken) -> Others {
        let Some(run) = &self.run else { return Others::None };
        let is_silent = self.silent.is_some_and(|since| since.elapsed() < FRESH);
        if let Some(source) = self.source.as_ref().filter(|_| !is_silent) {
            let within = if is_short { SHORT_ANSWER } else { ANSWER };
            let asked = in_cluster(source.as_ref(), run, &self.pod, within);
            let found = tokio::select! {
                biased;
                () = stop.cancelled() => return Others::unknown("there was no time to ask the cluster".to_owned()),
                found = asked => found,
            };
            if let Some((own, lives)) = found {
                return lives::others(&own, &lives);
            }
            self.silent = Some(Instant::now());
        }
        // Pods that the cluster shows leave no marks: that there is none says nothing of them.
        let marks = self.presence.as_ref().is_some_and(Presence::is_kept);
        if self.source.is_some() && !marks {
            return match &self.asked {
                Some((_, others @ Others::Some { .. })) => others.clone(),
                _ => Others::unknown("the cluster does not say which pods the run has".to_owned()),
            };
        }
        let Some(presence) = &self.presence else { return Others::None };
        match presence.others(stop).await {
            Ok(others) => others,
            Err(error) => Others::unknown(said(error)),
        }
    }

    /// Whether versions say who stored an object. Asked of the store once, when they first seem to.
    pub async fn versions_last(&mut self, stop: &CancellationToken) -> bool {
        if let (None, Some(presence)) = (self.versions_last, &self.presence) {
            match presence.versions_last(stop).await {
                Ok(last) => {
                    if !last {
                        tracing::debug!(
                            "the store names an object otherwise later: versions say nothing there"
                        );
                    }
                    self.versions_last = Some(last);
                }
                // Asked again next time. Until then nobody's file is replaced because of it.
                Err(error) => tracing::debug!("{}", said(error)),
            }
        }
        self.versions_count()
    }

    /// The same, as far as it is known.
    pub fn versions_count(&self) -> bool {
        self.versions_last.unwrap_or(true)
    }

    /// The end: the mark in the store goes, unless another pod has still to see it.
    pub async fn leave(&mut self) {
        self.tasks.shutdown().await;
        if let Some(presence) = &self.presence
            && timeout(LEAVE, presence.leave()).await.is_err()
        {
            tracing::debug!("no time to take away the pod's mark in the store");
        }
    }
}

fn said(error: TransferError) -> String {
    plx_runtime::Failure::from(error).message
}

/// This pod's life and those of the others, as the cluster has them; none when it cannot be asked, or does not count this
/// pod among the run's.
async fn in_cluster(
    source: &dyn Source,
    run: &RunUuid,
    pod: &str,
    within: Duration,
) -> Option<(Life, Vec<Life>)> {
    let all = async {
        let (selector, mut lives, mut after) = (Selector::of_run(run.as_str()), Vec::new(), None::<String>);
        loop {
            let page = source.page("pods", &selector, after.as_deref()).await?;
            lives.extend(page.items.iter().filter_map(Life::of_pod));
            after = page.next;
            if after.is_none() {
                return Ok::<_, plx_kube::KubeError>(lives);
            }
        }
    };
    let mut lives = match timeout(within, all).await {
        Ok(Ok(lives)) => lives,
        Ok(Err(error)) => {
            tracing::debug!("the run's pods: {}", error.chain());
            return None;
        }
        Err(_) => return None,
    };
    let own = lives.iter().position(|life| life.pod == pod)?;
    Some((lives.swap_remove(own), lives))
}
