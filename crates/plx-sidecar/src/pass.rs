//! One pass: scan, plan, apply, and a commit of only what landed.

mod hand_over;
mod lag;
mod record;
mod report;
mod store;
mod urgent;
mod worth;

pub use record::RECORD;
pub use report::{PassReport, Totals, Waiting};

use crate::Config;
use crate::once::Once;
use crate::peers::{Others, Peers};
use crate::spec::Source;
use crate::summaries::Summaries;
use crate::unfinished;
use hand_over::HandOver;
use lag::Lag;
use plx_contract::{Layout, RelPath, run::RunUuid};
use plx_journal::{
    Changes, Delete, HoldReason, Journal, JournalError, ProblemKind, Put, Root, ScanRules, Seen, scan,
};
use plx_transfer::{
    Differing, Engine, Patience, Present, Remote, Stored, compare, make_folders, remove_folders,
};
use record::Record;
use report::is_own;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use store::Names;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Keys that are named one by one in the log of a pass; the rest is counted.
const NAMED: usize = 10;

/// What passes need, and remember from one to the next.
pub struct Passes {
    engine: Engine,
    remote: Remote,
    layout: Layout,
    run: RunUuid,
    journal: Journal,
    warned: Once,
    waiting: BTreeMap<RelPath, Waiting>,
    totals: Totals,
    lag: Lag,
    record: Record,
    summaries: Summaries,
    /// Time is short.
    urgent: bool,
    /// Large files that changed faster than they could be sent are not left alone for a while.
    insists: bool,
    /// What a look saw last, in short.
    looked: Option<u64>,
    /// What was sent again because it differed in the store.
    resent: HashSet<RelPath>,
    /// Files that no store can hold, as the pass before said.
    unstorable: Vec<String>,
    /// What a comparison found in its place.
    found: HashMap<RelPath, Present>,
    names: Names,
    peers: Peers,
    hand_over: HandOver,
}

impl Passes {
    /// Passes of one run into one store.
    pub fn new(engine: Engine, remote: Remote, config: &Config, journal: Journal) -> Self {
        Self {
            engine,
            remote,
            layout: config.layout.clone(),
            run: config.run.uuid.clone(),
            journal,
            warned: Once::default(),
            waiting: BTreeMap::new(),
            totals: Totals::default(),
            lag: Lag::default(),
            record: Record::of(&config.layout.own_state(&config.pod)),
            summaries: Summaries::default(),
            urgent: false,
            insists: false,
            looked: None,
            resent: HashSet::new(),
            unstorable: Vec::new(),
            found: HashMap::new(),
            names: Names::of(&config.run.uuid, &config.pod),
            peers: Peers::default(),
            hand_over: HandOver::of(config),
        }
    }

    /// Whether the disk has changed since this was asked last. Stores nothing.
    pub async fn has_changed(&mut self) -> bool {
        let (seen, _) = look(&self.layout, &self.run).await;
        let mut hasher = DefaultHasher::new();
        for (key, file) in seen.files.iter().filter(|(key, _)| !is_own(key)) {
            (key.as_str(), file.stat.ino, file.stat.size, file.stat.mtime_ns, file.stat.ctime_ns)
                .hash(&mut hasher);
        }
        let now = hasher.finish();
        self.looked.replace(now) != Some(now)
    }

    /// From now on time is short: what is worth most goes first.
    pub fn hurry(&mut self) {
        self.urgent = true;
        self.insist();
    }

    /// From now on every file is tried at each pass: main is gone, and does not change it any more.
    pub fn insist(&mut self) {
        self.insists = true;
    }

    /// The same, and after each pass somebody is told of the events it saw.
    pub fn with_summaries(self, summaries: Summaries) -> Self {
        Self { summaries, ..self }
    }

    /// The same, and other pods of the run are seen and see this one. `source` is the cluster, where it can be asked.
    pub fn with_peers(self, source: Option<Arc<dyn Source>>, config: &Config) -> Self {
        let peers = Peers::start(source, config, &self.engine, &self.remote);
        Self { peers, ..self }
    }

    /// The last of all: nothing says that this pod lives, any more.
    pub async fn leave(&mut self) {
        self.peers.leave().await;
    }

    /// Files that lie aside, because another pod of the run had stored one under their key; and in which folder.
    pub fn aside(&self) -> (usize, RelPath) {
        (
            self.journal.aside(),
            self.names.aside_folder(&RelPath::parse(self.run.as_str()).unwrap_or_default()),
        )
    }

    /// What is known without another look.
    pub fn as_of_before(&self) -> PassReport {
        let (waiting, unstorable) = (self.waiting.clone(), self.unstorable.clone());
        PassReport { waiting, unstorable, ..PassReport::default() }
    }

    /// Who is told of events.
    pub fn summaries(&mut self) -> &mut Summaries {
        &mut self.summaries
    }

    /// Everything done so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Writes down what all passes come to: nothing follows them.
    pub fn end_record(&mut self) -> Totals {
        // What was sent and never became a file: of uploads that were begun anew, or for nothing.
        self.totals.again += self.engine.progress().bytes().saturating_sub(self.totals.bytes);
        if let Err(error) = self.record.totals(&self.totals) {
            self.warn_once(format!("write down the passes' totals: {error}"));
        }
        self.totals
    }

    /// Files of this run that the store holds now, as far as this pod knows.
    pub fn stored(&self) -> usize {
        self.journal.stored().count()
    }

    /// What the last pass left unstored.
    pub fn waiting(&self) -> &BTreeMap<RelPath, Waiting> {
        &self.waiting
    }

    /// Runs one pass. `hard` ends it early; what was not reached is then waiting.
    pub async fn run(&mut self, patience: Patience, hard: &CancellationToken) -> PassReport {
        let (started, began) = (Instant::now(), SystemTime::now());
        let requests = self.engine.progress().requests();
        let (seen, unread) = self.look_and_take_over().await;
        for problem in &seen.problems {
            self.warn_once(problem.to_string());
        }
        // Links that lead nowhere or away are left out by rule; these are files that somebody expects in the store.
        let unstorable =
            |kind| matches!(kind, ProblemKind::Name | ProblemKind::Unreadable | ProblemKind::Duplicate);
        let changes = self.hand_over.allowed(self.journal.plan(&seen));
        let changed = changes.puts.len() + changes.deletes.len() + changes.blocking.len();
        let mut report = PassReport { seen: seen.files.len(), changed, ..PassReport::default() };
        report.unstorable = seen
            .problems
            .iter()
            .filter(|problem| unstorable(problem.kind))
            .map(ToString::to_string)
            .collect();
        for what in unread {
            self.warn_once(what.clone());
            report.unstorable.push(what);
        }
        if let Some(held) = &changes.held {
            // A rule holds these; everything else is a folder that could not be looked at.
            let by_rule =
                |reason: &HoldReason| matches!(reason, HoldReason::MostOfTree | HoldReason::NotScanned);
            let blind = !held.reasons.keys().all(by_rule);
            let held = held.to_string();
            self.warn_once(held.clone());
            if blind {
                report.unstorable.push(held.clone());
            }
            report.held = Some(held);
        }
        let engine = self.engine.with_patience(patience);
        let engine = if self.insists { engine } else { engine.letting_rest() };
        self.apply(&engine, changes, &seen, hard, &mut report).await;
        self.committed("flush the journal", |journal| journal.flush());
        (report.behind, report.behind_in_all, report.measured) = self.lag.of_this_pass(began);
        if !self.hand_over.is_under_way() {
            self.summaries.look(&seen);
        }
        report.took = started.elapsed();
        report.requests = self.engine.progress().requests() - requests;
        self.totals.add(&report);
        if let Err(error) = self.record.pass(self.totals.passes, began, &report) {
            self.warn_once(format!("write down a pass: {error}; the next are tried again"));
        }
        self.tell(&report);
        self.warned.round_ended();
        report
    }

    /// The end: nothing is left open at the store. To be called after the last pass.
    pub async fn close(&mut self, within: Duration) {
        unfinished::close(&self.engine, &self.remote, within).await;
    }

    /// Compares what this run stored and still has with what the store has; what differs is sent by the next pass. Returns
    /// how many files that are.
    pub async fn compare(&mut self, hard: &CancellationToken) -> usize {
        let (seen, _) = look(&self.layout, &self.run).await;
        let kept = seen
            .files
            .iter()
            .filter(|(key, file)| self.journal.has(key, &file.stat) && !self.names.is_shared(key));
        // A pod that goes on under an old name may have on disk what that one had aside: what lies aside now comes last.
        let (aside, own): (Vec<_>, Vec<_>) = kept
            .map(|(key, file)| {
                let stored = self.journal.stored_as(key);
                let version = stored.map(|stored| stored.version.clone()).unwrap_or_default();
                (self.names.place(key, stored), Stored { size: file.stat.size, version }, key)
            })
            .partition(|(place, _, key)| place != *key);
        let expected: BTreeMap<RelPath, Stored> =
            own.into_iter().chain(aside).map(|(place, stored, _)| (place, stored)).collect();
        let engine = self.engine.with_patience(Patience::PASS);
        let mut differing = match compare(&engine, &self.remote, expected, hard).await {
            Ok(differing) => differing,
            // It may put and not list. What it said of each upload stands.
            Err(error) => {
                self.warn_once(format!("the store could not be compared with the disk: {error}"));
                return 0;
            }
        };
        for differing in &mut differing {
            differing.key = self.names.file(&differing.key);
        }
        // What init fetched is watched for whoever stored it. Where that one lives, it may have changed or deleted it since.
        let is_fetched = |differing: &Differing| self.journal.stored_as(&differing.key).is_none();
        let only_missing = |differing: &Differing| !is_fetched(differing) || differing.present.is_none();
        differing.retain(only_missing);
        if differing.iter().any(is_fetched) && self.peers.others(self.urgent, hard).await != Others::None {
            let before = differing.len();
            differing.retain(|differing| !is_fetched(differing));
            let gone = before - differing.len();
            if gone > 0 {
                self.warn_once(format!(
                    "{gone} files that init fetched are not in the store any more: other pods of the run live, and may have deleted them"
                ));
            }
        }
        let same_size = |differing: &Differing| {
            let size = seen.files.get(&differing.key).map(|file| file.stat.size);
            differing.present.as_ref().is_some_and(|present| Some(present.size) == size)
        };
        if differing.iter().any(same_size) && !self.peers.versions_last(hard).await {
            differing.retain(|differing| !same_size(differing));
        }
        // Whoever changes it again would do so for ever.
        let (resent, again) = (&self.resent, differing.len());
        differing.retain(|differing| !resent.contains(&differing.key));
        if differing.len() < again {
            let left = again - differing.len();
            self.warn_once(format!(
                "{left} files that were sent again differ in the store once more: somebody else writes them as well"
            ));
        }
        for Differing { key, present } in differing.iter().take(NAMED) {
            let size = seen.files.get(key).map(|file| file.stat.size);
            let is = match present {
                None => "is not there".to_owned(),
                Some(present) if Some(present.size) == size => "is another version".to_owned(),
                Some(present) => format!("has {} bytes", present.size),
            };
            tracing::warn!("{key} was stored and {is} now; it is sent again");
        }
        if differing.len() > NAMED {
            tracing::warn!("and {} more", differing.len() - NAMED);
        }
        let count = differing.len();
        for Differing { key, present } in differing {
            self.committed("remember a difference", |journal| journal.removed(&key));
            self.resent.insert(key.clone());
            self.lag.lost(&key);
            if let Some(present) = present {
                self.found.insert(key, present);
            }
        }
        count
    }

    async fn apply(
        &mut self,
        engine: &Engine,
        changes: Changes,
        seen: &Seen,
        hard: &CancellationToken,
        report: &mut PassReport,
    ) {
        let in_the_way = self.clear_the_way(engine, changes.blocking, hard, report).await;
        let is_blocked = |key: &RelPath| in_the_way.iter().find(|(delete, _)| delete.blocks(key));
        if let Remote::Volume { .. } = self.remote {
            self.make_folders(changes.dirs.into_iter().filter(|dir| is_blocked(dir).is_none()), report).await;
        }
        let mut puts: Vec<Put> = Vec::with_capacity(changes.puts.len());
        for put in changes.puts {
            match is_blocked(&put.key) {
                Some((_, waiting)) => {
                    report.waiting.insert(put.key, waiting.clone());
                }
                None => puts.push(put),
            }
        }
        self.store(engine, puts, seen, hard, report).await;
        self.delete(engine, changes.deletes, hard, report).await;
        self.remove_folders(changes.dir_deletes, report).await;
    }

    /// Deletes what stands in the way of an upload; returns what still does, and why.
    async fn clear_the_way(
        &mut self,
        engine: &Engine,
        blocking: Vec<Delete>,
        hard: &CancellationToken,
        report: &mut PassReport,
    ) -> Vec<(Delete, Waiting)> {
        let (folders, files): (Vec<Delete>, Vec<Delete>) =
            blocking.into_iter().partition(|delete| delete.is_dir);
        let by_key: HashMap<RelPath, Delete> =
            files.into_iter().map(|delete| (delete.key.clone(), delete)).collect();
        let mut left = Vec::new();
        for (key, result) in self.remove(engine, by_key.keys().cloned().collect(), hard, report).await {
            if let Err(waiting) = result {
                left.extend(by_key.get(&key).map(|delete| (delete.clone(), waiting)));
            }
        }
        for folder in folders {
            match remove_folders(&self.remote, vec![folder.key.clone()]).await {
                Ok(()) => self.committed("remember a delete", |journal| journal.dir_removed(&folder.key)),
                Err(error) => left.push((folder, Waiting::failed(&error))),
            }
        }
        left
    }

    async fn make_folders(&mut self, dirs: impl Iterator<Item = RelPath>, report: &mut PassReport) {
        let base = self.layout.artifacts();
        for dir in dirs {
            match make_folders(&self.remote, vec![dir.clone()]).await {
                Ok(()) => self.committed("remember a folder", |journal| journal.dir_made(&dir, &base)),
                Err(error) => {
                    report.waiting.insert(dir, Waiting::failed(&error));
                }
            }
        }
    }

    async fn remove_folders(&mut self, folders: Vec<RelPath>, report: &mut PassReport) {
        for folder in folders {
            match remove_folders(&self.remote, vec![folder.clone()]).await {
                Ok(()) => self.committed("remember a delete", |journal| journal.dir_removed(&folder)),
                Err(error) => {
                    report.waiting.insert(folder, Waiting::failed(&error));
                }
            }
        }
    }

    /// The store has it; when the journal cannot say so on disk, a restarted sidecar sends it again, and nothing is
    /// lost. So a full disk is a warning here.
    fn committed(&mut self, doing: &str, commit: impl FnOnce(&mut Journal) -> Result<(), JournalError>) {
        if let Err(error) = commit(&mut self.journal) {
            self.not_committed(doing, &error);
        }
    }

    fn not_committed(&mut self, doing: &str, error: &JournalError) {
        self.warn_once(format!("{doing}: {error}; after a restart files may be sent again"));
    }

    fn warn_once(&mut self, what: String) {
        if self.warned.is_new(&what) {
            tracing::warn!("{what}");
        }
    }

    /// One line per pass that did something; each file that begins or ceases to wait is named once.
    fn tell(&mut self, report: &PassReport) {
        let news: Vec<_> = report
            .waiting
            .iter()
            .filter(|(key, waiting)| {
                **waiting != Waiting::Unreached
                    && self.waiting.get(*key).is_none_or(|before| before.why() != waiting.why())
            })
            .collect();
        for (key, waiting) in news.iter().take(NAMED) {
            tracing::warn!("{key} is not stored yet: {}", waiting.why());
        }
        if news.len() > NAMED {
            tracing::warn!("and {} more", news.len() - NAMED);
        }
        let recovered = self.waiting.keys().filter(|key| !report.waiting.contains_key(*key)).count();
        let line = format!("pass {}: {report}", self.totals.passes);
        if report.stored + report.deleted > 0 || !news.is_empty() || recovered > 0 {
            tracing::info!("{line}");
        } else {
            tracing::debug!("{line}");
        }
        self.waiting.clone_from(&report.waiting);
        self.unstorable.clone_from(&report.unstorable);
    }
}

/// What is on disk, and what of it could not be looked at.
async fn look(layout: &Layout, run: &RunUuid) -> (Seen, Vec<String>) {
    let run = Root { dir: layout.run(run), base: layout.artifacts() };
    let related = layout.related_runs();
    let rules = ScanRules { boundary: layout.artifacts(), skip_git: true };
    let scanned = tokio::task::spawn_blocking(move || {
        let mut roots = vec![run];
        let mut unread = Vec::new();
        // Runs that this one writes into beside its own; most have none.
        match std::fs::read_dir(&related) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => unread.push(format!("read {}: {error}", related.display())),
            Ok(entries) => {
                for entry in entries {
                    match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                        Ok((dir, kind)) if kind.is_dir() => roots.push(Root { dir, base: related.clone() }),
                        Ok(_) => {}
                        Err(error) => unread.push(format!("read {}: {error}", related.display())),
                    }
                }
            }
        }
        (scan(&roots, &rules), unread)
    })
    .await;
    scanned.unwrap_or_else(|error| {
        // A panic of the walk. An empty scan would look as if everything were gone; without roots nothing is.
        (Seen::default(), vec![format!("scan: {error}")])
    })
}
