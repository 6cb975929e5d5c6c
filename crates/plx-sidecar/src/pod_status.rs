//! Main's end, as the pod's status tells it.

use crate::Config;
use crate::config::A_YEAR;
use crate::main_container::{Gone, MainContainer};
use futures::future::{self, BoxFuture, FutureExt};
use plx_contract::{Classified, Env};
use plx_kube::{Cluster, End, Feed, KubeError, News, Pace, is_prepared, waits_in_vain};
use plx_runtime::{DiskFiles, Stop};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

/// An API that has not answered for so long is not waited for: then quiet after SIGTERM counts, as without it.
pub const SILENCE: Duration = Duration::from_secs(15);

/// What the pod's status says of main.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sight {
    /// It runs, or will run again.
    Runs,
    /// It cannot be started, for now.
    Waits,
    /// Nothing, since then.
    Nothing { since: Instant, refused: bool },
    /// It ended for good.
    Ended(Gone),
}

/// The status of the pod that this is, followed by a task of its own: it goes on while nobody waits.
pub struct PodStatus {
    sight: watch::Receiver<Sight>,
    /// Init containers are at work, as far as was heard last.
    prepared: Arc<AtomicBool>,
    /// Aborted with this.
    _task: JoinSet<()>,
}

/// Takes what one hears of the pod.
pub struct Listener {
    container: String,
    sight: watch::Sender<Sight>,
    prepared: Arc<AtomicBool>,
    grace: watch::Sender<Duration>,
}

impl PodStatus {
    /// Follows the pod that this is, and tells its grace period; none outside of a cluster, or where the cluster cannot be
    /// asked: that is no failure, but it is said.
    pub fn follow(
        config: &Config,
        env: &impl Env,
        stop: &Stop,
        grace: watch::Sender<Duration>,
    ) -> Option<Self> {
        let cluster = match Cluster::of_this_pod(env, DiskFiles) {
            Ok(cluster) => cluster,
            Err(KubeError::NotInCluster { missing: "KUBERNETES_SERVICE_HOST" }) => return None,
            Err(error) => {
                tracing::warn!(
                    "the pod's status cannot be read: {}; next: {}; main's end is known by --main-pid, --main-marker, \
                     or SIGTERM and quiet alone",
                    error.chain(),
                    error.next_step().unwrap_or_default()
                );
                return None;
            }
        };
        // A status may be as old as a watch: SIGTERM is when it matters whether the API still answers.
        let feed = Feed::new(cluster, &config.pod, Pace::polling(config.poll))
            .hurried_by(stop.asked.clone().cancelled_owned());
        Some(Self::told_by(&config.container, grace, |mut listener| {
            feed.run(move |news| listener.hear(news))
        }))
    }

    /// Follows what a task tells of a pod with that main container.
    pub fn told_by<F>(
        container: &str,
        grace: watch::Sender<Duration>,
        task: impl FnOnce(Listener) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let start = Sight::Nothing { since: Instant::now(), refused: false };
        let (sender, sight) = watch::channel(start);
        let (mut tasks, prepared) = (JoinSet::new(), Arc::<AtomicBool>::default());
        let container = container.to_owned();
        tasks.spawn(task(Listener { container, sight: sender, prepared: Arc::clone(&prepared), grace }));
        Self { sight, prepared, _task: tasks }
    }
}

impl Listener {
    /// Takes one of the news; breaks when it was the last that counts.
    pub fn hear(&mut self, news: News) -> ControlFlow<()> {
        if let News::Pod(pod) = &news
            && let Some(seconds) = pod.grace_period_seconds()
        {
            self.grace.send_replace(Duration::from_secs(seconds.min(A_YEAR)));
        }
        // Of a pod that was evicted nothing may be listed: what was known before holds.
        if let News::Pod(pod) = &news
            && !pod.status.container_statuses.is_empty()
        {
            self.prepared.store(is_prepared(pod, &self.container), Ordering::Relaxed);
        }
        let sight = match news {
            News::Pod(pod) => match End::of(&pod, &self.container) {
                Some(End { how, exit_code }) => ended(&how, exit_code),
                None if waits_in_vain(&pod, &self.container).is_some() => Sight::Waits,
                None => Sight::Runs,
            },
            News::Gone { how } => ended(&how, None),
            News::Silence { since, refused } => Sight::Nothing { since, refused },
        };
        let is_last = matches!(sight, Sight::Ended(_));
        self.sight.send_replace(sight);
        if is_last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn ended(how: &str, exit_code: Option<i64>) -> Sight {
    Sight::Ended(Gone { by: format!("pod status: {how}"), exit_code })
}

impl MainContainer for PodStatus {
    fn gone(&mut self) -> BoxFuture<'_, Gone> {
        async {
            loop {
                if let Sight::Ended(gone) = &*self.sight.borrow_and_update() {
                    return gone.clone();
                }
                if self.sight.changed().await.is_err() {
                    // Nobody is left who could tell.
                    future::pending::<()>().await;
                }
            }
        }
        .boxed()
    }

    fn can_tell(&self) -> bool {
        match *self.sight.borrow() {
            Sight::Ended(_) => true,
            _ if self.sight.has_changed().is_err() => false,
            Sight::Runs | Sight::Waits => true,
            Sight::Nothing { refused, since } => !refused && since.elapsed() < SILENCE,
        }
    }

    fn lives(&self) -> bool {
        *self.sight.borrow() == Sight::Runs && self.sight.has_changed().is_ok()
    }

    fn is_prepared(&self) -> bool {
        let is_heard = match *self.sight.borrow() {
            // Main may have been started since.
            Sight::Nothing { refused, since } => !refused && since.elapsed() < SILENCE,
            _ => true,
        };
        is_heard && self.prepared.load(Ordering::Relaxed)
    }
}
