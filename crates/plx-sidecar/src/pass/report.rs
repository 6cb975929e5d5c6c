//! What a pass did, and all passes together: for the log, for the record, for the end.

use indicatif::HumanBytes;
use plx_contract::{RelPath, layout};
use plx_transfer::TransferError;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What keeps a file from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// It changed while it was read.
    Changing,
    /// The pass ended before it was through; nothing is known to be wrong with it.
    Unreached,
    /// Its upload, or something that stands in its way, failed; the text says how.
    Failed {
        /// One line.
        why: String,
        /// Whether the same try can succeed a little later.
        may_pass: bool,
    },
}

impl Waiting {
    pub(super) fn failed(error: &TransferError) -> Self {
        Self::Failed { why: plx_runtime::Failure::from(error.clone()).message, may_pass: error.may_pass() }
    }

    /// Something that may be otherwise at the next pass.
    pub(super) fn other(why: impl Into<String>) -> Self {
        Self::Failed { why: why.into(), may_pass: true }
    }

    /// The reason as text.
    pub fn why(&self) -> &str {
        match self {
            Self::Changing => "it keeps changing",
            Self::Unreached => "it was not finished in time",
            Self::Failed { why, .. } => why,
        }
    }
}

/// What one pass did.
#[derive(Debug, Clone, Default)]
pub struct PassReport {
    /// Files seen.
    pub seen: usize,
    /// Files that are not in the store as they are on disk, and objects whose file is gone.
    pub changed: usize,
    /// Files stored.
    pub stored: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of the files stored that the sidecar collected itself.
    pub own: u64,
    /// Bytes of files that were stored before in another state: a pass at the end alone would not have sent them twice.
    pub again: u64,
    /// Objects deleted.
    pub deleted: u64,
    /// Requests to the store, repeated ones included; a volume takes none.
    pub requests: u64,
    /// Files that were gone when their turn came. One that was renamed has a name that this pass has not seen.
    pub vanished: u64,
    /// How long the oldest change was on disk before it was stored, at most; of what is still waiting, until now.
    pub behind: Duration,
    /// The same of all files stored, added up.
    pub behind_in_all: Duration,
    /// How many files that is the sum of.
    pub measured: u64,
    /// Deletes held back, in words.
    pub held: Option<String>,
    /// What is not in the store as it is on disk, by key.
    pub waiting: BTreeMap<RelPath, Waiting>,
    /// Files that no store can hold, or that cannot be read, in words.
    pub unstorable: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl PassReport {
    /// True when disk and store agree as far as this pass could see.
    pub fn is_settled(&self) -> bool {
        self.is_quiet() && self.held.is_none()
    }

    /// True when nothing was done and nothing is left to do but deletes that are held back.
    pub fn is_quiet(&self) -> bool {
        self.stored == 0 && self.deleted == 0 && self.vanished == 0 && self.waiting.is_empty()
    }

    /// True when main did something since the pass before. A file that keeps failing is no change, and what the sidecar
    /// collects itself says nothing of main.
    pub fn found_change(&self) -> bool {
        let changing = |(key, waiting): (&RelPath, &Waiting)| *waiting == Waiting::Changing && !is_own(key);
        self.waiting.iter().any(changing) || self.stored + self.deleted + self.vanished > self.own
    }
}

/// Whether the sidecar itself writes a file.
pub(super) fn is_own(key: &RelPath) -> bool {
    key.as_str().split_once('/').is_some_and(|(_, below)| layout::is_collected(below))
}

/// The one line of a pass.
impl fmt::Display for PassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} files, {} changed, {} sent ({}), {} deleted, {} waiting, {:.1} s",
            self.seen,
            self.changed,
            self.stored,
            HumanBytes(self.bytes),
            self.deleted,
            self.waiting.len(),
            self.took.as_secs_f64()
        )
    }
}

/// All passes so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Passes.
    pub passes: u64,
    /// Files stored, each version counted.
    #[serde(rename = "uploads")]
    pub stored: u64,
    /// Their bytes.
    pub bytes: u64,
    /// See [`PassReport::again`]; at the end also parts of uploads that were begun anew or never finished.
    pub again: u64,
    /// Objects deleted.
    pub deleted: u64,
    /// Requests to the store.
    pub requests: u64,
    /// Seconds: the longest that a change was on disk and not in the store.
    pub behind: f64,
    /// Seconds: the same for all versions stored, on average.
    pub behind_mean: f64,
    /// Versions that this is the mean of.
    #[serde(skip)]
    pub(super) measured: u64,
}

impl Totals {
    pub(super) fn add(&mut self, report: &PassReport) {
        self.passes += 1;
        self.stored += report.stored;
        self.bytes += report.bytes;
        self.again += report.again;
        self.deleted += report.deleted;
        self.requests += report.requests;
        self.behind = self.behind.max(tenths(report.behind));
        if report.measured > 0 {
            self.measured += report.measured;
            #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
            let (part, all) = (report.measured as f64, self.measured as f64);
            let mean = report.behind_in_all.as_secs_f64() / part;
            self.behind_mean += (mean - self.behind_mean) * part / all;
        }
    }
}

/// Seconds as people read them.
pub(super) fn tenths(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}
