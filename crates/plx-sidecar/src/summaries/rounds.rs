//! One round: what changed is read, and told with one call for lineage and one for outputs.

use super::Untold;
use super::api::{Lineage, words};
use super::told::Told;
use crate::once::Once;
use plx_contract::events::{EventFile, EventsError, Summary, summarise};
use plx_contract::lineage::Artifact;
use plx_contract::{Classified, Stat};
use plx_journal::settled_at;
use plx_track::TrackError;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Bytes of one read.
const CHUNK: usize = 64 << 10;
/// After a file was read for so long, it rests so many times as long: a large one costs a twentieth of a core at most.
const REST: u32 = 20;
const LONG: Duration = Duration::from_millis(50);
/// Between two rounds of the end.
const BREATH: Duration = Duration::from_millis(500);
const LONGEST_BREATH: Duration = Duration::from_secs(4);

/// A file of events that a scan saw.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub file: EventFile,
    pub path: PathBuf,
    pub stat: Stat,
}

/// A summary that the API was not told yet.
#[derive(Debug)]
struct Ready {
    stat: Stat,
    settled: bool,
    artifact: Artifact,
    output: Option<(String, Value)>,
}

/// What rounds need, and remember from one to the next.
pub(super) struct Rounds {
    api: Arc<dyn Lineage>,
    connection: String,
    told: Told,
    ready: BTreeMap<String, Ready>,
    /// What was told of files that were read within the tick of their last change: another may look the same.
    unsettled: HashMap<String, Artifact>,
    /// Files that say nothing in this state.
    silent: HashMap<String, Stat>,
    /// Files whose summary in this state the API does not take, whatever stands beside it, and why.
    refused: BTreeMap<String, (Stat, String)>,
    resting: HashMap<String, Instant>,
    warned: Once,
    /// What the API said last, when it did not take what it was told.
    refusal: Option<String>,
}

impl Rounds {
    pub fn new(api: Arc<dyn Lineage>, connection: String, folder: &Path) -> Self {
        Self {
            api,
            connection,
            told: Told::open(folder),
            ready: BTreeMap::new(),
            unsettled: HashMap::new(),
            silent: HashMap::new(),
            refused: BTreeMap::new(),
            resting: HashMap::new(),
            warned: Once::default(),
            refusal: None,
        }
    }

    /// A round beside the passes.
    pub async fn next(&mut self, files: &[Candidate]) {
        self.read(files, false).await;
        // What it did not take is told in the next round.
        self.tell().await.ok();
        self.forget_all_but(files);
        self.warned.round_ended();
    }

    /// What is known of files that are gone is forgotten; what is ready to be told of them is told.
    fn forget_all_but(&mut self, files: &[Candidate]) {
        let there: HashSet<&str> = files.iter().map(|candidate| candidate.file.path()).collect();
        self.unsettled.retain(|path, _| there.contains(path.as_str()));
        self.silent.retain(|path, _| there.contains(path.as_str()));
        self.refused.retain(|path, _| there.contains(path.as_str()));
        self.resting.retain(|path, _| there.contains(path.as_str()));
        self.told.retain(|path| there.contains(path));
    }

    /// Rounds until everything is told, or the API says that waiting does not help. Whoever calls bounds the time.
    pub async fn last(&mut self, files: &[Candidate]) {
        let mut breath = BREATH;
        self.read(files, true).await;
        while let Err(error) = self.tell().await {
            if !error.class().may_pass() {
                return;
            }
            tokio::time::sleep(breath).await;
            breath = (breath * 2).min(LONGEST_BREATH);
        }
    }

    /// What the API was not told.
    pub fn untold(&mut self) -> Untold {
        let outputs = self.told.outputs().keys().map(|name| format!("output {name}"));
        let files = self.ready.keys().chain(self.refused.keys()).cloned();
        let refused = self.refused.values().next().map(|(_, why)| why);
        Untold { names: files.chain(outputs).collect(), why: self.refusal.as_ref().or(refused).cloned() }
    }

    /// Reads what changed since it was told, or last read. No file keeps another from being read.
    async fn read(&mut self, files: &[Candidate], last: bool) {
        let now = Instant::now();
        let wanted = files.iter().filter(|candidate| {
            let rests = self.resting.get(candidate.file.path()).is_some_and(|until| *until > now);
            !self.knows(candidate) && (last || !rests)
        });
        let wanted: Vec<Candidate> = wanted.cloned().collect();
        if wanted.is_empty() {
            return;
        }
        let read = tokio::task::spawn_blocking(move || wanted.into_iter().map(read_one).collect::<Vec<_>>());
        match read.await {
            Ok(read) => read.into_iter().for_each(|one| self.take(one)),
            Err(error) => self.warn_once(format!("read events: {error}")),
        }
    }

    fn knows(&self, Candidate { file, stat, .. }: &Candidate) -> bool {
        let path = file.path();
        let same = |known: Option<&Stat>| known.is_some_and(|known| known.same_version(stat));
        same(self.ready.get(path).map(|ready| &ready.stat))
            || same(self.silent.get(path))
            || same(self.refused.get(path).map(|(stat, _)| stat))
            || self.told.has(path, stat) && !self.unsettled.contains_key(path)
    }

    fn take(&mut self, One { file, read, settled, took }: One) {
        let path = file.path().to_owned();
        if took >= LONG {
            self.resting.insert(path.clone(), Instant::now() + took * REST);
        }
        let (stat, summary) = match read {
            Ok(read) => read,
            // Gone since the scan.
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => return self.warn_once(format!("{path} is not summarised: {error}")),
        };
        let summary = match summary {
            Ok(Some(summary)) => summary,
            // The next pass tries again.
            Err(EventsError::Read(error)) => {
                return self.warn_once(format!("{path} is not summarised: {error}"));
            }
            // Nothing more until it changes.
            nothing => {
                if let Err(error) = nothing {
                    self.warn_once(format!("{path} is not summarised: {error}"));
                }
                self.silent.insert(path, stat);
                return;
            }
        };
        if summary.unread > 0 {
            self.warn_once(format!("{path}: some lines are no events, and left out"));
        }
        self.refused.remove(&path);
        let output = file.output().zip(summary.last);
        let artifact = file.artifact(summary.fields, &self.connection);
        if self.told.has(&path, &stat) && self.unsettled.get(&path) == Some(&artifact) {
            // It said the same before.
            if settled {
                self.unsettled.remove(&path);
            }
            return;
        }
        self.ready.insert(path, Ready { stat, settled, artifact, output });
    }

    /// Tells all that is ready; what was taken is remembered at once.
    async fn tell(&mut self) -> Result<(), TrackError> {
        let told = self.try_to_tell().await;
        let refusal = told.as_ref().err().map(words);
        if let Some(why) = refusal.as_ref().filter(|why| self.refusal.as_ref() != Some(*why)) {
            tracing::warn!("summaries of events wait for the tracking API: {why}");
        } else if refusal.is_none() && self.refusal.is_some() {
            tracing::info!("the tracking API takes summaries again");
        }
        self.refusal = refusal;
        told
    }

    async fn try_to_tell(&mut self) -> Result<(), TrackError> {
        self.tell_lineage().await?;
        if !self.told.outputs().is_empty() {
            let outputs = self.told.outputs().clone();
            self.api.outputs(&outputs).await?;
            self.told.outputs().clear();
            self.told.save();
        }
        Ok(())
    }

    /// One call. When the API finds fault with it, halves of it, and so on: one summary must not cost the others.
    async fn tell_lineage(&mut self) -> Result<(), TrackError> {
        let mut parts: Vec<Vec<String>> = vec![self.ready.keys().cloned().collect()];
        while let Some(mut part) = parts.pop().filter(|part| !part.is_empty()) {
            let artifacts: Vec<Artifact> =
                part.iter().filter_map(|path| Some(self.ready.get(path)?.artifact.clone())).collect();
            match self.api.artifacts(&artifacts).await {
                Ok(()) => self.took(part),
                Err(error) if !is_fault_of_content(&error) => return Err(error),
                Err(error) if part.len() == 1 => self.refuse(part, &error),
                Err(_) => {
                    let other = part.split_off(part.len() / 2);
                    parts.extend([other, part]);
                }
            }
        }
        Ok(())
    }

    fn took(&mut self, paths: Vec<String>) {
        for path in paths {
            if let Some(Ready { stat, settled, artifact, output }) = self.ready.remove(&path) {
                self.unsettled.remove(&path);
                if !settled {
                    self.unsettled.insert(path.clone(), artifact);
                }
                self.told.took(path, &stat);
                self.told.outputs().extend(output);
            }
        }
        self.told.save();
    }

    fn refuse(&mut self, paths: Vec<String>, error: &TrackError) {
        for path in paths {
            self.warn_once(format!("the tracking API does not take the summary of {path}: {error}"));
            if let Some(Ready { stat, output, .. }) = self.ready.remove(&path) {
                self.refused.insert(path, (stat, words(error)));
                // An output is a value by itself.
                self.told.outputs().extend(output);
            }
        }
    }

    fn warn_once(&mut self, what: String) {
        if self.warned.is_new(&what) {
            tracing::warn!("{what}");
        }
    }
}

/// The API read it, and does not want it.
fn is_fault_of_content(error: &TrackError) -> bool {
    matches!(error, TrackError::Refused { fault, .. } if matches!(fault.status, 400 | 413 | 422))
}

/// A file that was read: which version of it, and what it says.
struct One {
    file: EventFile,
    read: io::Result<(Stat, Result<Option<Summary>, EventsError>)>,
    /// No later change can have the times of this version.
    settled: bool,
    took: Duration,
}

fn read_one(Candidate { file, path, .. }: Candidate) -> One {
    let begun = Instant::now();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ns = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    let read = File::open(path).and_then(|open| {
        // Before it is read: what is written meanwhile makes another version of it.
        let stat = Stat::of(&open.metadata()?);
        Ok((stat, summarise(file.kind(), BufReader::with_capacity(CHUNK, open))))
    });
    let settled = read.as_ref().is_ok_and(|(stat, _)| settled_at(stat, now_ns));
    One { file, read, settled, took: begun.elapsed() }
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;
