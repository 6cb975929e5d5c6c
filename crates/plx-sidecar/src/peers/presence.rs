//! A pod's mark in the store, for pods of the same run that cannot ask their cluster: `.plx/RUN/POD.BEGAN`, where BEGAN is
//! the pod's beginning in milliseconds since the epoch. It is written again every few minutes, so that the mark of a
//! pod that was killed grows old; at the end it goes. Where another pod still lives, `POD.BEGAN.ended` takes its place:
//! that one has to know that the two lived together.

use super::lives::{Life, Others};
use plx_contract::RelPath;
use plx_contract::run::RunUuid;
use plx_transfer::{
    Engine, Patience, Present, Remote, TransferError, entries, put_small, remove, remove_folders,
    try_conditions, versions_last,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two writes of the mark.
const BEAT: Duration = Duration::from_secs(300);
/// A mark that is older is that of a pod that was killed.
const STALE: Duration = Duration::from_secs(660);
/// The folder of all marks, at the root of the store: nothing of it shows among the files of a run.
const FOLDER: &str = ".plx";
const ENDED: &str = ".ended";

/// This pod's mark. Clones share it.
#[derive(Clone)]
pub(super) struct Presence {
    engine: Engine,
    remote: Remote,
    folder: RelPath,
    pod: String,
    state: Arc<Mutex<State>>,
}

struct State {
    began: SystemTime,
    /// By the store's clock, when this pod's mark was there first; none before.
    first: Option<SystemTime>,
    marked: bool,
}

/// A mark, and what its name says.
struct Mark {
    name: RelPath,
    pod: String,
    began: SystemTime,
    has_ended: bool,
    /// When it was written, by the store's clock.
    beat: SystemTime,
}

impl Mark {
    fn of(name: RelPath, present: &Present) -> Option<Self> {
        let text = name.as_str();
        let (living, has_ended) = match text.strip_suffix(ENDED) {
            Some(living) => (living, true),
            None => (text, false),
        };
        let (pod, began) = living.rsplit_once('.')?;
        let began = SystemTime::UNIX_EPOCH + Duration::from_millis(began.parse().ok()?);
        Some(Self { pod: pod.to_owned(), began, has_ended, beat: present.modified, name })
    }
}

impl Presence {
    pub fn of(run: &RunUuid, pod: &str, engine: &Engine, remote: &Remote) -> Self {
        let folder = RelPath::parse(&format!("{FOLDER}/{run}")).unwrap_or_default();
        let state = State { began: SystemTime::now(), first: None, marked: false };
        Self {
            engine: engine.with_patience(Patience::PASS),
            remote: remote.clone(),
            folder,
            pod: pod.to_owned(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this pod has a mark there.
    pub fn is_kept(&self) -> bool {
        self.state().marked
    }

    fn name(&self, has_ended: bool) -> RelPath {
        let began = self.state().began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let name = format!("{}.{began}{}", self.pod, if has_ended { ENDED } else { "" });
        self.folder.join(&RelPath::parse(&name).unwrap_or_default())
    }

    /// Where several pods live, it matters whether the store keeps to conditions.
    pub async fn try_conditions(&self) {
        let probe = self.folder.join(&RelPath::parse(&format!("{}.condition", self.pod)).unwrap_or_default());
        if let Err(error) =
            try_conditions(&self.engine, &self.remote, &probe, &CancellationToken::new()).await
        {
            tracing::debug!("{}; conditions are taken to hold", super::said(error));
        }
    }

    /// Keeps the mark fresh, until it is dropped; looks whether others have come.
    pub async fn keep(self) {
        let (mut failing, mut tried) = (false, false);
        loop {
            let stop = CancellationToken::new();
            let marks = async {
                self.beat(&stop).await?;
                if tried { Ok(Vec::new()) } else { self.marks(&stop).await }
            };
            match marks.await {
                Ok(marks) => {
                    failing = false;
                    if marks.iter().any(|mark| mark.pod != self.pod && !mark.has_ended) {
                        tried = true;
                        self.try_conditions().await;
                    }
                }
                // Passes into such a store fail as well, and say so.
                Err(error) if !failing => {
                    failing = true;
                    tracing::debug!("{}; other pods of the run may not see this one", super::said(error));
                }
                Err(_) => {}
            }
            sleep(BEAT).await;
        }
    }

    async fn beat(&self, stop: &CancellationToken) -> Result<(), TransferError> {
        if !self.state().marked {
            // A sidecar that was killed and comes back is the same pod.
            let own = self.marks(stop).await?.into_iter().filter(|mark| mark.pod == self.pod);
            if let Some(before) = own.min_by_key(|mark| mark.began) {
                let mut state = self.state();
                // When the mark was there first is not known any more: who ended since the pod began lived beside it.
                (state.began, state.first) = (before.began, Some(before.began));
            }
        }
        put_small(&self.engine, &self.remote, &self.name(false), Vec::new(), stop).await.map(drop)?;
        self.state().marked = true;
        Ok(())
    }

    async fn marks(&self, stop: &CancellationToken) -> Result<Vec<Mark>, TransferError> {
        let found = entries(&self.engine, &self.remote, &self.folder, stop).await?;
        Ok(found.into_iter().filter_map(|(name, present)| Mark::of(name, &present)).collect())
    }

    /// Whether the store calls an object the same when it takes it and later.
    pub async fn versions_last(&self, stop: &CancellationToken) -> Result<bool, TransferError> {
        let probe = self.folder.join(&RelPath::parse(&format!("{}.probe", self.pod)).unwrap_or_default());
        let last = versions_last(&self.engine, &self.remote, &probe, stop).await?;
        if !self.state().marked {
            remove_folders(&self.remote, vec![self.folder.clone(), self.folder.parent()]).await?;
        }
        Ok(last)
    }

    /// The pods that live beside this one, or may.
    pub async fn others(&self, stop: &CancellationToken) -> Result<Others, TransferError> {
        // Written now, it says what time it is by the store's clock.
        self.beat(stop).await?;
        let (own, others): (Vec<Mark>, Vec<Mark>) =
            self.marks(stop).await?.into_iter().partition(|mark| mark.pod == self.pod);
        let began = self.state().began;
        let Some(now) = own.iter().map(|mark| mark.beat).max() else {
            return Ok(Others::unknown("the store does not list what was just stored".to_owned()));
        };
        let first = *self.state().first.get_or_insert(now);
        Ok(judge(began, first, now, &others))
    }

    /// Takes the mark away. As long as others live, it is said to have ended; who is last takes all away.
    pub async fn leave(&self) {
        if !self.state().marked {
            return;
        }
        let stop = CancellationToken::new();
        if let Err(error) = self.try_leave(&stop).await {
            tracing::debug!("{}; the pod's mark stays in the store", super::said(error));
        }
    }

    async fn try_leave(&self, stop: &CancellationToken) -> Result<(), TransferError> {
        let marks = self.marks(stop).await?;
        let now = marks.iter().map(|mark| mark.beat).max().unwrap_or(SystemTime::UNIX_EPOCH);
        let is_fresh = |mark: &Mark| now.duration_since(mark.beat).unwrap_or_default() < STALE;
        let others_live = marks.iter().any(|mark| mark.pod != self.pod && !mark.has_ended && is_fresh(mark));
        let mut gone = vec![self.name(false)];
        if others_live {
            put_small(&self.engine, &self.remote, &self.name(true), Vec::new(), stop).await?;
        } else {
            gone = marks.iter().map(|mark| self.folder.join(&mark.name)).collect();
        }
        let mut failed = None;
        remove(&self.engine, &self.remote, gone, stop, |_, result| {
            failed = failed.take().or(result.err());
        })
        .await;
        if let Some(error) = failed {
            return Err(error);
        }
        // On a volume; folders in which there is something stay.
        if !others_live {
            remove_folders(&self.remote, vec![self.folder.clone(), self.folder.parent()]).await?;
        }
        Ok(())
    }
}

/// What the marks of others say to a pod whose own was there at `first`, and is written now.
fn judge(began: SystemTime, first: SystemTime, now: SystemTime, marks: &[Mark]) -> Others {
    let (mut with, mut perhaps) = (Vec::new(), Vec::new());
    for mark in marks {
        let life = Life { pod: mark.pod.clone(), began: mark.began, ended: None, of_several: false };
        let is_fresh = now.duration_since(mark.beat).unwrap_or_default() < STALE;
        if mark.beat > first {
            with.push(life);
        } else if !mark.has_ended && is_fresh {
            perhaps.push(life);
        }
    }
    let since = with.iter().chain(&perhaps).map(|life| life.began).chain([began]).min();
    match (super::lives::overlapping(began, &with), perhaps.first()) {
        (Others::None, Some(one)) => {
            let why = format!("pod {} may still live: it is known in some minutes", one.pod);
            Others::Doubtful { why, since }
        }
        (Others::Some { pods, .. }, _) => Others::Some { pods, since: since.unwrap_or(began) },
        (others, _) => others,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second)
    }

    fn mark(name: &str, beat: u64) -> Mark {
        let present = Present { size: 0, version: Default::default(), modified: at(beat) };
        Mark::of(RelPath::parse(name).unwrap(), &present).unwrap()
    }

    #[test]
    fn a_mark_says_who_began_when_and_whether_it_ended() {
        let ended = mark("plx-op.worker-0.1700000005000.ended", 9);
        assert_eq!((ended.pod.as_str(), ended.began, ended.has_ended), ("plx-op.worker-0", at(5), true));
        assert!(!mark("a.1700000005000", 9).has_ended);
    }

    #[test]
    fn a_mark_that_beats_after_this_pod_began_is_of_one_that_lives_beside_it() {
        let others = |name, beat, now| judge(at(100), at(100), at(now), &[mark(name, beat)]);
        let with = Others::Some { pods: vec!["b".to_owned()], since: at(50) };
        assert_eq!(others("b.1700000050000", 101, 102), with);
        assert_eq!(others("b.1700000050000.ended", 130, 140), with, "it ended since");
        assert_eq!(others("b.1700000050000.ended", 90, 140), Others::None, "it ended before");
        assert!(
            matches!(others("b.1700000050000", 90, 140), Others::Doubtful { since, .. } if since == Some(at(50)))
        );
        assert_eq!(others("b.1700000050000", 90, 90 + STALE.as_secs()), Others::None, "it was killed");
    }
}
