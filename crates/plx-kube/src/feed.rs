//! The own pod, followed for as long as somebody listens.
//!
//! A look reads the pod, a watch then tells each change of it. A watch that ends is followed by a look, so that nothing
//! that happened in between is missed, and so that no version has to be remembered.

use crate::cluster::refused;
use crate::pace::Pauses;
use crate::watch::{Watched, retry_after, watch};
use crate::{Cluster, KubeError, Pace, Pod};
use plx_contract::Classified;
use plx_contract::credential::Files;
use std::future::{self, Future};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What one hears of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The pod as it is now.
    Pod(Box<Pod>),
    /// It cannot be read; again each time that it could not be.
    Silence {
        /// When the first call that failed was made.
        since: Instant,
        /// The server refuses, so that it will be the same next time unless somebody changes something.
        refused: bool,
    },
    /// The pod is gone, or another one has its name. That is the last news.
    Gone {
        /// How that was noticed.
        how: String,
    },
}

/// The own pod, followed.
pub struct Feed<F> {
    cluster: Cluster<F>,
    name: String,
    pace: Pace,
    /// Which part of the pod is read: a right on `pods/status` is one of its own.
    part: &'static str,
    /// Of the pod that was seen first.
    uid: Option<String>,
    /// It may be watched, as far as is known.
    watches: bool,
    failing_since: Option<Instant>,
    pauses: Pauses,
    pauses_of_watches: Pauses,
    hurry: Hurry,
}

/// Comes once at most.
struct Hurry(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Hurry {
    /// Cancel safe.
    async fn came(&mut self) {
        match &mut self.0 {
            Some(hurry) => hurry.await,
            None => future::pending().await,
        }
        self.0 = None;
    }
}

/// What a look found.
enum Found {
    Ours(Box<Pod>),
    /// It was there and is not any more.
    Missing(String),
}

/// Why a look found nothing, and what the server asked for.
struct Failed {
    error: KubeError,
    pause: Duration,
}

impl From<KubeError> for Failed {
    fn from(error: KubeError) -> Self {
        Self { error, pause: Duration::ZERO }
    }
}

impl<F: Files> Feed<F> {
    /// A feed of a pod of the cluster's namespace.
    pub fn new(cluster: Cluster<F>, pod: &str, pace: Pace) -> Self {
        Self {
            cluster,
            name: pod.to_owned(),
            pace,
            part: "",
            uid: None,
            watches: true,
            failing_since: None,
            pauses: pace.pauses(),
            pauses_of_watches: pace.pauses_of_watches(),
            hurry: Hurry(None),
        }
    }

    /// When that comes, the pod is looked at once, whatever is waited for: what is known may be as old as a watch.
    #[must_use]
    pub fn hurried_by(mut self, hurry: impl Future<Output = ()> + Send + 'static) -> Self {
        self.hurry = Hurry(Some(Box::pin(hurry)));
        self
    }

    /// Tells all news, until the pod is gone or `tell` wants no more. Nothing that happens to the server ends it.
    pub async fn run(mut self, mut tell: impl FnMut(News) -> ControlFlow<()>) {
        let mut missing = false;
        loop {
            let asked = Instant::now();
            let pause = match self.look().await {
                Ok(Found::Ours(pod)) => {
                    missing = false;
                    self.works();
                    let version = pod.metadata.resource_version.clone();
                    if tell(News::Pod(pod)).is_break() {
                        return;
                    }
                    match self.follow(&version, &mut tell).await {
                        ControlFlow::Continue(pause) => pause,
                        ControlFlow::Break(()) => return,
                    }
                }
                // An API server that was just restored, or one of several, may be behind: it is asked twice.
                Ok(Found::Missing(_)) if !missing => {
                    missing = true;
                    self.pace.again
                }
                Ok(Found::Missing(how)) => {
                    let _last_word = tell(News::Gone { how });
                    return;
                }
                Err(failed) => {
                    let since = self.fails(asked, &failed.error);
                    if tell(News::Silence { since, refused: failed.error.is_refusal() }).is_break() {
                        return;
                    }
                    self.pauses.next().max(failed.pause)
                }
            };
            let until = Instant::now() + pause.min(self.pace.longest_pause.max(self.pace.poll));
            self.rest(until.max(asked + self.pace.again)).await;
        }
    }

    async fn rest(&mut self, until: Instant) {
        tokio::select! {
            () = sleep_until(until) => {}
            () = self.hurry.came() => {}
        }
    }

    /// Reads the pod by the path that is allowed.
    async fn look(&mut self) -> Result<Found, Failed> {
        let denied = match self.read(self.part).await {
            Err(failed) if matches!(failed.error, KubeError::Refused { status: 403, .. }) => failed,
            read => return read,
        };
        let other = if self.part.is_empty() { "/status" } else { "" };
        // What the other path says counts only when it is allowed: the first refusal is the one to speak of.
        let Ok(found) = self.read(other).await else { return Err(denied) };
        tracing::info!("{}; pods{other} may be read and is", denied.error);
        self.part = other;
        Ok(found)
    }

    async fn read(&mut self, part: &str) -> Result<Found, Failed> {
        let path = format!("/api/v1/namespaces/{}/pods/{}{part}", self.cluster.namespace(), self.name);
        let response = self.cluster.send(&path, self.pace.answer).await?;
        let status = response.status().as_u16();
        if status == 404 {
            let namespace = self.cluster.namespace().to_owned();
            let never = KubeError::NoPod { namespace, name: self.name.clone() };
            // Never seen, it may have another name or namespace: that says nothing of main.
            return match &self.uid {
                Some(_) => Ok(Found::Missing(format!("pod {} is gone", self.name))),
                None => Err(never.into()),
            };
        }
        if !(200..300).contains(&status) {
            let pause = retry_after(&response);
            return Err(Failed { error: refused(&path, response).await, pause });
        }
        let body = response.bytes().await.map_err(|error| crate::cluster::unreachable(&path, error))?;
        let pod: Box<Pod> = serde_json::from_slice(&body).map_err(|_| {
            let said = "what came is no pod".to_owned();
            KubeError::Refused { path, status, said }
        })?;
        let first = self.uid.get_or_insert_with(|| pod.metadata.uid.clone());
        if *first != pod.metadata.uid {
            return Ok(Found::Missing(format!("pod {} is another one now", self.name)));
        }
        Ok(Found::Ours(pod))
    }

    /// Waits for changes: by a watch, or for the time between two looks. Says after which pause the next look is.
    async fn follow(
        &mut self,
        version: &str,
        tell: &mut impl FnMut(News) -> ControlFlow<()>,
    ) -> ControlFlow<(), Duration> {
        if !self.watches {
            return ControlFlow::Continue(self.pace.poll);
        }
        let Self { cluster, name, uid, pace, hurry, .. } = self;
        let uid = uid.as_deref().unwrap_or_default();
        let watched = async {
            match watch(cluster, name, uid, version, *pace, tell).await {
                Watched::Expired => watch(cluster, name, uid, "", *pace, tell).await,
                watched => watched,
            }
        };
        let watched = tokio::select! {
            watched = watched => watched,
            () = hurry.came() => Watched::Ended,
        };
        match watched {
            Watched::Enough => ControlFlow::Break(()),
            Watched::Ended => {
                self.pauses_of_watches.reset();
                ControlFlow::Continue(Duration::ZERO)
            }
            Watched::Expired => ControlFlow::Continue(self.pauses_of_watches.next()),
            Watched::Useless { pause, why } => {
                tracing::debug!("the watch of the pod brought nothing: {why}");
                ControlFlow::Continue(self.pauses_of_watches.next().max(pause))
            }
            Watched::Refused(error) => {
                tracing::info!("{error}; the pod is read every {:?} instead", self.pace.poll);
                self.watches = false;
                ControlFlow::Continue(self.pace.poll)
            }
        }
    }

    /// Says once that it does not work, and since when.
    fn fails(&mut self, asked: Instant, error: &KubeError) -> Instant {
        if self.failing_since.is_none() {
            let next = error.next_step().unwrap_or_default();
            tracing::warn!("the pod's status cannot be read, asking on: {}; next: {next}", error.chain());
        }
        *self.failing_since.get_or_insert(asked)
    }

    fn works(&mut self) {
        self.pauses.reset();
        if self.failing_since.take().is_some() {
            tracing::info!("the pod's status can be read again");
        }
    }
}
