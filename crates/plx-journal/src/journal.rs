//! The memory of what is stored.

use crate::error::JournalError;
use crate::format::{FsEntry, FsFile};
use crate::guard::Guard;
use crate::log::{self, Found, Line, Log};
use crate::seen::settled_at;
use crate::walk::is_left_out;
use plx_contract::run::RunUuid;
use plx_contract::{ObjectVersion, RelPath, Stat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How often one state of a file is put again because its ctime lies in the future: a file server's clock, or ours, is
/// wrong, and waiting for it to pass could take for ever.
const MAX_REPEATS: u8 = 3;

/// What this run has in the store, and in which state it was put there.
///
/// Memory first, file second: every change is made in memory and then appended to `journal.jsonl`. When the append
/// fails, the error is returned, the memory is right all the same, and the next [`Journal::flush`] rewrites the file.
///
/// `journal.jsonl` is JSON lines. A last line cut by a crash is dropped, and costs one upload or one delete more. A
/// file with anything else that cannot be read is set aside as `journal.jsonl.bad` and [`Journal::notes`] says so:
/// then nothing is known to be stored, so everything is uploaded again and nothing is deleted.
#[derive(Debug, Default)]
pub struct Journal {
    pub(crate) files: BTreeMap<RelPath, Entry>,
    pub(crate) dirs: BTreeMap<RelPath, DirEntry>,
    pub(crate) guard: Guard,
    /// Device of each root, by its prefix, since this process runs: the first one and the last one.
    pub(crate) devices: BTreeMap<RelPath, (u64, u64)>,
    bases: Vec<Arc<Path>>,
    log: Option<Log>,
    notes: Vec<Note>,
    /// A hand-over was taken, or may not be: what it says could be older than what was forgotten since.
    handed_over: bool,
}

/// A stored file.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    base: Arc<Path>,
    pub(crate) known: Known,
    /// Device of its root when it was stored; None when that was before our time.
    pub(crate) root_dev: Option<u64>,
    /// None when somebody else stored it.
    pub(crate) stored: Option<Box<StoredAs>>,
}

/// As what a file was stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoredAs {
    /// The store's name for the version.
    #[serde(default)]
    pub version: ObjectVersion,
    /// True when it is not under its own key, because that one is another pod's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aside: bool,
    /// True when it is another pod's object, which had the same bytes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

/// What is known of the state in which a file was stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Known {
    /// All of it.
    Stored { stat: Stat, settled: bool, repeats: u8 },
    /// Only what `.fs` says. `foreign`: of another run, so that its absence is none of our business.
    HandedOver { mtime_us: i64, foreign: bool },
}

/// A stored folder.
#[derive(Debug, Clone)]
pub(crate) struct DirEntry {
    base: Arc<Path>,
}

/// Something that happened while opening, worth a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The journal could not be used, and begins anew.
    SetAside {
        /// Where it is kept.
        kept: PathBuf,
        /// What was wrong with it.
        why: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::SetAside { kept, why } = self;
        let kept = kept.display();
        write!(f, "the journal cannot be used ({why}) and is kept as `{kept}`: everything is uploaded again")
    }
}

impl Journal {
    /// Opens the journal in `dir` (`ART/.plx/POD`), which is created. When it has a journal, that one wins; else it
    /// begins with the entries of `hand_over`, as "already in the store".
    ///
    /// Of the hand-over, entries below `.git` are ignored: never put, never deleted. With a `run`, entries of other
    /// runs (`_related_runs`) are known, so that they are not uploaded again, but their absence deletes nothing; and
    /// keys that a trailing slash of `fswatch --path` made relative to the run's folder get the run's prefix back.
    ///
    /// # Errors
    /// When the folder cannot be made, or the journal not be read or written. [`Journal::in_memory`] then still
    /// serves until the process ends.
    pub fn open(dir: &Path, run: Option<&RunUuid>, hand_over: Option<&FsFile>) -> Result<Self, JournalError> {
        fs::create_dir_all(dir).map_err(|source| JournalError::Write { path: dir.to_owned(), source })?;
        let mut journal = Self::default();
        let mut hand_over = hand_over;
        match Log::open(dir, |line| journal.replay(line))? {
            Found::Log(log) => {
                journal.log = Some(log);
                return Ok(journal);
            }
            Found::Nothing => {}
            Found::Bad(why) => {
                let kept = log::set_aside(dir)?;
                let notes = vec![Note::SetAside { kept, why }];
                journal = Self { notes, handed_over: true, ..Self::default() };
                hand_over = None; // what it says may be older than what was lost
            }
        }
        journal.begin_with(run, hand_over);
        journal.log = Some(Log::create(dir, journal.lines())?);
        Ok(journal)
    }

    /// A journal without a file, for a volume that takes none.
    pub fn in_memory(run: Option<&RunUuid>, hand_over: Option<&FsFile>) -> Self {
        let mut journal = Self::default();
        journal.begin_with(run, hand_over);
        journal
    }

    /// Whether a hand-over may still be taken: none was, since this journal began.
    pub fn awaits_hand_over(&self) -> bool {
        !self.handed_over
    }

    /// Takes a hand-over that came after this journal had begun, once. What is known of a key already is newer and stays;
    /// keys that `own` names are left out: whoever made the record found them on disk, and not in the store.
    ///
    /// # Errors
    /// When a line cannot be written. The memory is right all the same.
    pub fn hand_over(
        &mut self,
        run: Option<&RunUuid>,
        hand_over: &FsFile,
        own: impl Fn(&RelPath) -> bool,
    ) -> Result<(), JournalError> {
        if std::mem::replace(&mut self.handed_over, true) {
            return Ok(());
        }
        let taken = self.take_over(run, hand_over, own);
        // Last: who is killed in between takes all of it again, and finds the same.
        taken.into_iter().chain([Line::Handed]).try_for_each(|line| self.append(&line))
    }

    /// What is worth a warning since it was opened.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Keys of the files that are in the store, as far as this run knows, sorted.
    pub fn stored(&self) -> impl Iterator<Item = &RelPath> {
        self.files.keys()
    }

    /// Whether this run has sent the file before, in whatever state.
    pub fn has_sent(&self, key: &RelPath) -> bool {
        self.files.get(key).is_some_and(|entry| matches!(entry.known, Known::Stored { .. }))
    }

    /// As what this pod stored the file; none when it did not.
    pub fn stored_as(&self, key: &RelPath) -> Option<&StoredAs> {
        self.files.get(key).and_then(|entry| entry.stored.as_deref())
    }

    /// How many files lie aside.
    pub fn aside(&self) -> usize {
        self.files.values().filter(|entry| entry.stored.as_ref().is_some_and(|stored| stored.aside)).count()
    }

    /// Whether the store has a file in this state, as far as this run knows. Other runs' files are nobody's business.
    pub fn has(&self, key: &RelPath, stat: &Stat) -> bool {
        self.files.get(key).is_some_and(
            |entry| matches!(entry.known, Known::Stored { stat: last, .. } if last.same_version(stat)),
        )
    }

    /// Records that a file is in the store in this state.
    ///
    /// `stat` is what `fstat` of the open file said, the same before and after the read. `read_began_ns` is the wall
    /// clock just before the first byte was read: a write within the same tick as an earlier one may leave all
    /// timestamps as they are, so unless the last change was older than that when reading began, the file is put
    /// once more at the next pass. (The end of the read is not enough: the later write may have come in between.)
    /// `stored` is what the store said of it.
    ///
    /// # Errors
    /// When the line cannot be written. The memory is right all the same.
    pub fn landed(
        &mut self,
        key: &RelPath,
        base: &Path,
        stat: Stat,
        read_began_ns: i64,
        stored: StoredAs,
    ) -> Result<(), JournalError> {
        let repeats = match self.files.get(key).map(|entry| entry.known) {
            Some(Known::Stored { stat: last, repeats, .. }) if last.same_version(&stat) => {
                repeats.saturating_add(1)
            }
            _ => 0,
        };
        let future = stat.ctime_ns > read_began_ns;
        let settled = settled_at(&stat, read_began_ns) || (future && repeats >= MAX_REPEATS);
        let known = Known::Stored { stat, settled, repeats };
        let stored = Some(Box::new(stored));
        let entry = Entry { base: self.base(base), known, root_dev: self.device_of(key), stored };
        let line = entry.line(key);
        self.files.insert(key.clone(), entry);
        self.append(&line)
    }

    /// Records that a file is no longer in the store.
    ///
    /// # Errors
    /// When the line cannot be written. The memory is right all the same.
    pub fn removed(&mut self, key: &RelPath) -> Result<(), JournalError> {
        match self.files.remove(key) {
            Some(_) => self.append(&Line::Rm { key: key.to_string() }),
            None => Ok(()),
        }
    }

    /// Records that a folder was made in the store.
    ///
    /// # Errors
    /// When the line cannot be written. The memory is right all the same.
    pub fn dir_made(&mut self, key: &RelPath, base: &Path) -> Result<(), JournalError> {
        let entry = DirEntry { base: self.base(base) };
        let line = entry.line(key);
        self.dirs.insert(key.clone(), entry);
        self.append(&line)
    }

    /// Records that a folder is no longer in the store.
    ///
    /// # Errors
    /// When the line cannot be written. The memory is right all the same.
    pub fn dir_removed(&mut self, key: &RelPath) -> Result<(), JournalError> {
        match self.dirs.remove(key) {
            Some(_) => self.append(&Line::Rmdir { key: key.to_string() }),
            None => Ok(()),
        }
    }

    /// Makes everything durable. Rewrites the file when it has far more lines than entries, or when an earlier append
    /// failed.
    ///
    /// # Errors
    /// When that fails; the file on disk is then no worse than before.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        let Some(mut log) = self.log.take() else { return Ok(()) };
        let result = log.flush(self.files.len() + self.dirs.len(), self.lines());
        self.log = Some(log);
        result
    }

    fn append(&mut self, line: &Line) -> Result<(), JournalError> {
        self.log.as_mut().map_or(Ok(()), |log| log.append(line))
    }

    /// Everything that is known, as lines.
    fn lines(&self) -> impl Iterator<Item = Line> {
        let files = self.files.iter().map(|(key, entry)| entry.line(key));
        let handed = self.handed_over.then_some(Line::Handed);
        self.dirs.iter().map(|(key, entry)| entry.line(key)).chain(files).chain(handed)
    }

    fn replay(&mut self, line: Line) -> Result<(), String> {
        let parse = |key: &str| RelPath::parse(key).map_err(|error| error.to_string());
        match line {
            Line::Put { key, base, stat, root, settled, repeats, stored } => {
                let known = Known::Stored { stat: log::stat(stat), settled, repeats };
                let stored = stored.map(Box::new);
                let entry = Entry { base: self.base(&base), known, root_dev: root, stored };
                self.files.insert(parse(&key)?, entry);
            }
            Line::Had { key, base, mtime_us, foreign } => {
                let known = Known::HandedOver { mtime_us, foreign };
                let entry = Entry { base: self.base(&base), known, root_dev: None, stored: None };
                self.files.insert(parse(&key)?, entry);
            }
            Line::Rm { key } => drop(self.files.remove(&parse(&key)?)),
            Line::Dir { key, base } => {
                let entry = DirEntry { base: self.base(&base) };
                self.dirs.insert(parse(&key)?, entry);
            }
            Line::Rmdir { key } => drop(self.dirs.remove(&parse(&key)?)),
            Line::Handed => self.handed_over = true,
        }
        Ok(())
    }

    fn begin_with(&mut self, run: Option<&RunUuid>, hand_over: Option<&FsFile>) {
        let Some(hand_over) = hand_over else { return };
        self.handed_over = true;
        drop(self.take_over(run, hand_over, |_| false));
    }

    /// Adds what is not known yet; returns it as lines.
    fn take_over(
        &mut self,
        run: Option<&RunUuid>,
        hand_over: &FsFile,
        own: impl Fn(&RelPath) -> bool,
    ) -> Vec<Line> {
        let mut lines = Vec::new();
        for (raw, fs) in &hand_over.files {
            let Some((key, base, foreign)) = place(run, raw, fs) else { continue };
            if !is_left_out(&key, false, true) && !own(&key) && !self.files.contains_key(&key) {
                let known = Known::HandedOver { mtime_us: fs.mtime_us, foreign };
                let entry = Entry { base: self.base(&base), known, root_dev: None, stored: None };
                lines.push(entry.line(&key));
                self.files.insert(key, entry);
            }
        }
        for (raw, fs) in &hand_over.dirs {
            let Some((key, base, foreign)) = place(run, raw, fs) else { continue };
            // A folder of another run is left unknown: making it again does no harm, and it is never removed.
            if !foreign && !is_left_out(&key, true, true) && !self.dirs.contains_key(&key) {
                let entry = DirEntry { base: self.base(&base) };
                lines.push(entry.line(&key));
                self.dirs.insert(key, entry);
            }
        }
        lines
    }

    /// The device of the root that covers `key`, as the last scan found it.
    fn device_of(&self, key: &RelPath) -> Option<u64> {
        let covering = self.devices.iter().filter(|(prefix, _)| crate::plan::is_within(key, prefix));
        covering.max_by_key(|(prefix, _)| prefix.as_str().len()).map(|(_, (_, last))| *last)
    }

    /// One allocation for each base, not for each entry.
    fn base(&mut self, base: &Path) -> Arc<Path> {
        if let Some(known) = self.bases.iter().find(|known| known.as_ref() == base) {
            return Arc::clone(known);
        }
        let new: Arc<Path> = Arc::from(base);
        self.bases.push(Arc::clone(&new));
        new
    }

    /// The log, to break it.
    #[cfg(test)]
    pub(crate) fn log(&mut self) -> &mut Log {
        self.log.as_mut().expect("opened on a folder")
    }
}

impl Entry {
    fn line(&self, key: &RelPath) -> Line {
        let (key, base) = (key.to_string(), self.base.to_path_buf());
        match self.known {
            Known::Stored { stat, settled, repeats } => Line::Put {
                key,
                base,
                stat: log::numbers(&stat),
                root: self.root_dev,
                settled,
                repeats,
                stored: self.stored.as_deref().cloned(),
            },
            Known::HandedOver { mtime_us, foreign } => Line::Had { key, base, mtime_us, foreign },
        }
    }
}

impl DirEntry {
    fn line(&self, key: &RelPath) -> Line {
        Line::Dir { key: key.to_string(), base: self.base.to_path_buf() }
    }
}

/// Key and base of a hand-over's entry, and whether it belongs to another run. None for a key that is no path.
fn place(run: Option<&RunUuid>, raw: &str, fs: &FsEntry) -> Option<(RelPath, PathBuf, bool)> {
    let (key, base) = (RelPath::parse(raw).ok()?, PathBuf::from(&fs.base));
    let Some(run) = run else { return Some((key, base, false)) };
    if base.file_name().is_some_and(|name| name == run.as_str()) {
        let prefix = RelPath::parse(run.as_str()).ok()?;
        return Some((prefix.join(&key), base.parent()?.to_owned(), false));
    }
    let foreign = key.as_str().split('/').next() != Some(run.as_str());
    Some((key, base, foreign))
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
