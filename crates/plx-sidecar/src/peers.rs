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

/// For the cluster to say which pods the run has.
const ANSWER: Duration = Duration::from_secs(10);
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
            let is_known = match asked {
                Some(source) => in_cluster(source.as_ref(), &of, &pod).await.is_some(),
                None => false,
            };
            if !is_known {
                marks.keep().await;
            }
        });
        Self { source, run: Some(run), pod: config.pod.clone(), presence: Some(presence), asked: None, tasks }
    }

    /// The pods whose life overlaps this one's.
    pub async fn others(&mut self, stop: &CancellationToken) -> Others {
        if let Some((when, others)) = &self.asked
            && when.elapsed() < FRESH
        {
            return others.clone();
        }
        let others = self.ask(stop).await;
        // A doubt is worth another question.
        if !matches!(others, Others::Doubtful { .. }) {
            self.asked = Some((Instant::now(), others.clone()));
        }
        others
    }

    async fn ask(&self, stop: &CancellationToken) -> Others {
        let Some(run) = &self.run else { return Others::None };
        if let Some(source) = &self.source
            && let Some((own, lives)) = in_cluster(source.as_ref(), run, &self.pod).await
        {
            return lives::others(own.began, &lives);
        }
        let Some(presence) = &self.presence else { return Others::None };
        match presence.others(stop).await {
            Ok(others) => others,
            Err(error) => Others::unknown(said(error)),
        }
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
async fn in_cluster(source: &dyn Source, run: &RunUuid, pod: &str) -> Option<(Life, Vec<Life>)> {
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
    let mut lives = match timeout(ANSWER, all).await {
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
