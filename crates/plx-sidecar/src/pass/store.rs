//! Uploads and deletes of a pass: each ends in the journal or in what waits. What another pod of the run stored is neither
//! replaced nor deleted: then this pod's file lies aside, in a folder of its own.

use super::{NAMED, PassReport, Passes, Waiting, is_own, urgent};
use crate::peers::{Others, Whose};
use crate::unfinished;
use futures::stream::{self, StreamExt};
use plx_contract::run::RunUuid;
use plx_contract::{ObjectVersion, RelPath};
use plx_journal::{Delete, Journal, JournalError, Put, Reason, Seen, StoredAs};
use plx_transfer::{Ended, Engine, Expected, Present, Remote, TransferError, Upload, look, remove, upload};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The folder of what lies aside, below the run's: `RUN/replicas/POD/outputs/model.pt`.
const ASIDE: &str = "replicas";
/// Looks at a time, before a delete.
const LOOKS: usize = 16;
/// No smaller file is sent in parts.
const LEAST_IN_PARTS: u64 = 5 << 20;

/// Under which key a file is stored.
pub(super) struct Names {
    pod: String,
    spec: String,
}

impl Names {
    pub fn of(run: &RunUuid, pod: &str) -> Self {
        Self { pod: pod.to_owned(), spec: format!("{run}/outputs/spec.json") }
    }

    /// Every pod of a run writes the one file of that name, each the same list.
    pub fn is_shared(&self, key: &RelPath) -> bool {
        key.as_str() == self.spec
    }

    /// The folder below a run's that this pod's files lie in when they lie aside.
    pub fn aside_folder(&self, run: &RelPath) -> RelPath {
        run.join(&RelPath::parse(&format!("{ASIDE}/{}", self.pod)).unwrap_or_default())
    }

    fn aside(&self, key: &RelPath) -> RelPath {
        let (run, below) = key.as_str().split_once('/').unwrap_or((key.as_str(), ""));
        let parsed = |text: &str| RelPath::parse(text).unwrap_or_default();
        self.aside_folder(&parsed(run)).join(&parsed(below))
    }

    /// Where a file is stored.
    pub fn place(&self, key: &RelPath, stored: Option<&StoredAs>) -> RelPath {
        if stored.is_some_and(|stored| stored.aside) { self.aside(key) } else { key.clone() }
    }

    /// The file that lies there, if it lies aside; else the key is its own.
    pub fn file(&self, place: &RelPath) -> RelPath {
        let below = |text: &str| -> Option<RelPath> {
            let (run, rest) = text.split_once('/')?;
            let own = format!("{ASIDE}/{}/", self.pod);
            RelPath::parse(&format!("{run}/{}", rest.strip_prefix(&own)?)).ok()
        };
        below(place.as_str()).unwrap_or_else(|| place.clone())
    }

    /// What is to be sent.
    fn job(&self, put: &Put, versions_count: bool) -> Upload {
        let stored = put.stored.as_deref();
        let expected = match stored {
            _ if self.is_shared(&put.key) => Expected::Anything,
            // Of what another pod stored nothing may be replaced; it is asked whether it is still there.
            None | Some(StoredAs { shared: true, .. }) => Expected::Nothing,
            Some(StoredAs { aside: true, .. }) => Expected::Anything,
            Some(_) if !versions_count => Expected::Anything,
            Some(StoredAs { version, .. }) => Expected::Version(version.clone()),
        };
        let key = self.place(&put.key, stored);
        Upload { key, path: put.path.clone(), size: put.stat.size, expected }
    }
}

/// What the ends of uploads are told to.
pub(super) struct Ends<'a> {
    journal: &'a mut Journal,
    before: &'a BTreeMap<RelPath, Waiting>,
    lag: &'a mut super::Lag,
    resent: &'a HashSet<RelPath>,
    report: &'a mut PassReport,
    bases: HashMap<RelPath, Arc<Path>>,
    /// The file of each place that is not the file's own key.
    aside: HashMap<RelPath, RelPath>,
    uncommitted: Vec<JournalError>,
    /// Files whose key holds something that was not expected.
    pub others: Vec<(Upload, Present)>,
    /// What somebody should hear of them.
    said: Vec<String>,
}

/// What becomes of a file whose key holds something that was not expected.
pub(super) struct Judge<'a> {
    names: &'a Names,
    /// Versions say who stored an object.
    count: bool,
    insists: bool,
}

impl Judge<'_> {
    /// The upload as it is to be tried again; none when the file waits.
    pub fn again(
        &self,
        ends: &mut Ends<'_>,
        known: &Others,
        mut job: Upload,
        present: Present,
    ) -> Option<Upload> {
        let is_ours = matches!(job.expected, Expected::Version(_));
        match known.whose(&present) {
            _ if is_ours && !self.count => job.expected = Expected::Anything,
            Whose::Left => {
                if is_ours {
                    ends.said.push(format!(
                        "{} was changed in the store by somebody else; it is replaced",
                        job.key
                    ));
                }
                job.expected = Expected::Version(present.version);
            }
            Whose::Unclear { why } if !self.insists => {
                let why = format!("something else stands in the store under its key; {why}");
                ends.report.waiting.insert(job.key, Waiting::other(why));
                return None;
            }
            // At the end there is no more time to find out, and nothing may be lost.
            whose => {
                let aside = self.names.aside(&job.key);
                let by = match whose {
                    Whose::Others { pods } => pods.join(" or "),
                    _ => "somebody else".to_owned(),
                };
                ends.said.push(format!("{} was stored by {by} in this run: this pod's is {aside}", job.key));
                ends.aside.insert(aside.clone(), std::mem::replace(&mut job.key, aside));
                job.expected = Expected::Anything;
            }
        }
        Some(job)
    }
}

impl Ends<'_> {
    pub fn take(&mut self, job: Upload, ended: Ended) {
        let lies_aside = self.aside.get(&job.key);
        let key = lies_aside.unwrap_or(&job.key).clone();
        let waiting = match ended {
            Ended::Landed { stat, read_began_ns, version } => {
                self.report.stored += 1;
                self.report.bytes += stat.size;
                self.lag.landed(&key);
                self.report.own += u64::from(is_own(&key));
                if self.journal.has_sent(&key) || self.resent.contains(&key) {
                    self.report.again += stat.size;
                }
                let (shared, aside) = (version.is_none(), lies_aside.is_some());
                let stored = StoredAs { version: version.unwrap_or_default(), aside, shared };
                if let Some(base) = self.bases.get(&key)
                    && let Err(error) = self.journal.landed(&key, base, stat, read_began_ns, stored)
                {
                    self.uncommitted.push(error);
                }
                None
            }
            // The next scan sees that it is gone, and deletes it from the store if it was there.
            Ended::Vanished => {
                self.report.vanished += 1;
                None
            }
            Ended::Changed => Some(Waiting::Changing),
            Ended::Other(present) => {
                self.others.push((job, present));
                Some(Waiting::other("somebody else stores under its key"))
            }
            // Time was up before it was tried again: what stood in the way before is what somebody wants to know.
            Ended::Failed(TransferError::Stopped { last: None, .. }) if self.before.contains_key(&key) => {
                self.before.get(&key).cloned()
            }
            Ended::Failed(TransferError::Stopped { last: None, .. }) => Some(Waiting::Unreached),
            Ended::Failed(error) => Some(Waiting::failed(&error)),
        };
        match waiting {
            Some(waiting) => self.report.waiting.insert(key, waiting),
            None => self.report.waiting.remove(&key),
        };
    }
}

impl Passes {
    pub(super) async fn store(
        &mut self,
        engine: &Engine,
        mut puts: Vec<Put>,
        seen: &Seen,
        hard: &CancellationToken,
        report: &mut PassReport,
    ) {
        let names = &self.names;
        let place = |put: &Put| names.place(&put.key, put.stored.as_deref());
        // One that is on its way aside may not have come there yet.
        let large = |put: &&Put| put.stat.size >= LEAST_IN_PARTS;
        let versions = puts.iter().map(|put| (place(put), put.stat));
        let versions =
            versions.chain(puts.iter().filter(large).map(|put| (names.aside(&put.key), put.stat))).collect();
        let aside = puts.iter().map(|put| (place(put), put.key.clone())).filter(|(place, key)| place != key);
        let aside = aside.collect();
        let run = RelPath::parse(self.run.as_str()).unwrap_or_default();
        for what in unfinished::clear(engine, &self.remote, &run, &versions, hard).await {
            self.warn_once(what);
        }
        let mut bases = HashMap::with_capacity(puts.len());
        for put in &puts {
            let known = self.journal.has_sent(&put.key) || self.resent.contains(&put.key);
            self.lag.changed(put, known);
            bases.insert(put.key.clone(), put.base.clone());
        }
        // Whatever is not reported as ended is waiting: nothing gets lost between the two lists.
        for put in &puts {
            report.waiting.insert(put.key.clone(), Waiting::other("its upload did not end"));
        }
        let mut ends = Ends {
            journal: &mut self.journal,
            before: &self.waiting,
            lag: &mut self.lag,
            resent: &self.resent,
            report,
            bases,
            aside,
            uncommitted: Vec::new(),
            others: Vec::new(),
            said: Vec::new(),
        };
        let (names, count) = (&self.names, self.peers.versions_count());
        // What init fetched is there, most likely, and a small look costs less than the file for nothing. When time is short,
        // the store's own look is enough.
        if !self.urgent {
            for (key, present) in fetched(engine, &self.remote, &puts, hard).await {
                self.found.entry(key).or_insert(present);
            }
        }
        // Of these it is known what stands there, and that it is not what was expected.
        puts.retain(|put| match self.found.remove(&put.key) {
            Some(present) => {
                ends.others.push((names.job(put, count), present));
                false
            }
            None => true,
        });
        if self.urgent {
            let newer = urgent::newer(&self.layout, &self.run, seen);
            let job = |put: &Put| names.job(put, count);
            let judge = Judge { names, count, insists: self.insists };
            let known = self.peers.others_now(true, hard);
            urgent::store(
                engine,
                &self.remote,
                puts,
                job,
                newer,
                hard,
                urgent::Fate { known, judge, ends: &mut ends },
            )
            .await;
        } else {
            // Small files first: they are many, quick, and worth as much as large ones.
            puts.sort_by_key(|put| put.stat.size);
            let jobs = puts.iter().map(|put| names.job(put, count)).collect();
            upload(engine, &self.remote, jobs, hard, |job, how| ends.take(job, how)).await;
        }
        // What to do about keys that hold something else is asked once for all of them.
        if !ends.others.is_empty() {
            let known = self.peers.others_now(self.urgent, hard).await;
            let by_version = ends.others.iter().any(|(job, _)| matches!(job.expected, Expected::Version(_)));
            let count = !by_version || self.peers.versions_last(hard).await;
            let judge = Judge { names: &self.names, count, insists: self.insists };
            let others = std::mem::take(&mut ends.others);
            let again =
                others.into_iter().filter_map(|(job, present)| judge.again(&mut ends, &known, job, present));
            let again = again.collect();
            upload(engine, &self.remote, again, hard, |job, how| ends.take(job, how)).await;
        }
        let said = std::mem::take(&mut ends.said);
        let uncommitted = ends.uncommitted;
        for error in uncommitted {
            self.not_committed("remember an upload", &error);
        }
        self.warn_each(said);
        self.lag.forget(|key| report.waiting.contains_key(key));
    }

    fn warn_each(&mut self, said: Vec<String>) {
        let all = said.len();
        for what in said.into_iter().take(NAMED) {
            self.warn_once(what);
        }
        if all > NAMED {
            tracing::warn!("and {} more", all - NAMED);
        }
    }

    pub(super) async fn delete(
        &mut self,
        engine: &Engine,
        deletes: Vec<Delete>,
        hard: &CancellationToken,
        report: &mut PassReport,
    ) {
        let keys = deletes.into_iter().map(|delete| delete.key).collect();
        for (key, result) in self.remove(engine, keys, hard, report).await {
            if let Err(waiting) = result {
                report.waiting.insert(key, waiting);
            }
        }
    }

    /// Removes files from the store, and from the journal. What another pod stored there since stays, and is this pod's no
    /// more.
    pub(super) async fn remove(
        &mut self,
        engine: &Engine,
        keys: Vec<RelPath>,
        hard: &CancellationToken,
        report: &mut PassReport,
    ) -> Vec<(RelPath, Result<(), Waiting>)> {
        let (keys, mut ended) = self.without_those_of_others(engine, keys, hard).await;
        let places: HashMap<RelPath, RelPath> =
            keys.into_iter().map(|key| (self.names.place(&key, self.journal.stored_as(&key)), key)).collect();
        remove(engine, &self.remote, places.keys().cloned().collect(), hard, |place, result| {
            report.deleted += u64::from(result.is_ok());
            let result = result.map_err(|error| Waiting::failed(&error));
            ended.push((places.get(&place).cloned().unwrap_or(place), result));
        })
        .await;
        for (key, result) in &ended {
            if result.is_ok() {
                self.committed("remember a delete", |journal| journal.removed(key));
            }
        }
        ended
    }

    /// Which may be deleted; of the others, those that are not this pod's any more, and those of which that is not known.
    async fn without_those_of_others(
        &mut self,
        engine: &Engine,
        keys: Vec<RelPath>,
        hard: &CancellationToken,
    ) -> (Vec<RelPath>, Vec<(RelPath, Result<(), Waiting>)>) {
        if keys.is_empty() {
            return (keys, Vec::new());
        }
        let others = self.peers.others(self.urgent, hard).await;
        if others == Others::None {
            return (keys, Vec::new());
        }
        let (aside, keys): (Vec<RelPath>, Vec<RelPath>) =
            keys.into_iter().partition(|key| self.journal.stored_as(key).is_some_and(|stored| stored.aside));
        let remote = &self.remote;
        let looks = keys.into_iter().map(|key| async move {
            let present = look(engine, remote, &key, hard).await;
            (key, present)
        });
        let looks: Vec<_> = stream::iter(looks).buffer_unordered(LOOKS).collect().await;
        let (mut go, mut stay, mut said) = (aside, Vec::new(), Vec::new());
        for (key, present) in looks {
            let present = match present {
                Ok(Some(present)) => present,
                Ok(None) => {
                    go.push(key);
                    continue;
                }
                Err(error) => {
                    stay.push((key, Err(Waiting::failed(&error))));
                    continue;
                }
            };
            let own = self.journal.stored_as(&key).filter(|stored| !stored.shared);
            let own = own.map(|stored| &stored.version);
            if own.is_some_and(|own: &ObjectVersion| own.agrees(&present.version) == Some(true)) {
                go.push(key);
                continue;
            }
            match others.whose(&present) {
                Whose::Left => go.push(key),
                Whose::Unclear { why } if !self.insists => {
                    let why = format!("it is not deleted, as it may be another pod's; {why}");
                    stay.push((key, Err(Waiting::other(why))));
                }
                _ => {
                    said.push(format!(
                        "{key} is not deleted from the store: another pod of the run stored it"
                    ));
                    stay.push((key, Ok(())));
                }
            }
        }
        self.warn_each(said);
        (go, stay)
    }
}

/// What stands under the keys of files that init fetched and that have changed since. Those that are gone, or that cannot be
/// looked at, are put as if nobody had looked.
async fn fetched(
    engine: &Engine,
    remote: &Remote,
    puts: &[Put],
    hard: &CancellationToken,
) -> Vec<(RelPath, Present)> {
    let were_fetched = puts.iter().filter(|put| put.stored.is_none() && put.reason == Reason::Changed);
    let keys: Vec<RelPath> = were_fetched.map(|put| put.key.clone()).collect();
    let looks = keys.into_iter().map(|key| async move {
        let present = look(engine, remote, &key, hard).await;
        Some((key, present.ok()??))
    });
    stream::iter(looks).buffer_unordered(LOOKS).filter_map(std::future::ready).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_aside_has_the_runs_form_in_a_folder_of_the_pod() {
        let names = Names::of(&RunUuid::new("R").unwrap(), "pod-1");
        let key = RelPath::parse("R/outputs/a/model.pt").unwrap();
        let place = names.place(&key, Some(&StoredAs { aside: true, ..StoredAs::default() }));
        assert_eq!(place.as_str(), "R/replicas/pod-1/outputs/a/model.pt");
        assert_eq!(names.file(&place), key);
        for other in ["R/replicas/pod-10/outputs/model.pt", "R/outputs/replicas/pod-1/model.pt", "R"] {
            let other = RelPath::parse(other).unwrap();
            assert_eq!(names.file(&other), other);
        }
    }
}
