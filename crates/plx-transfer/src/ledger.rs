//! Uploads in flight, remembered beyond a pass and beyond the process.
//!
//! Without a file (the default) an upload that fails is aborted at once. With one, what is unfinished stays open at the
//! store, and whoever sends the same version of the same file next continues it: the next pass, or the next process
//! after a kill. What nobody continues is aborted by [`crate::abort_unfinished`].
//!
//! The file is JSON lines, appended to: an intent before an upload is asked for, its id, each part that the store has,
//! what stood under the key before completion is asked for, and its end. A kill at any byte leaves whole lines and at most
//! one torn one, which is cut off. Any line that is missing costs a request or a part more, never a wrong object, and
//! lines that speak of one that is missing are passed over: so
//! nothing is synced (a kill leaves the page cache alone; after a power failure the pod and its volume are gone as well),
//! and a disk that is full stops no upload.

mod lines;

use crate::TransferError;
use lines::{Line, Lines};
use object_store::MultipartId;
use object_store::multipart::PartId;
use plx_contract::{RelPath, Stat};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The uploads in flight of one store. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    keeps: bool,
    flights: BTreeMap<u64, Flight>,
    last: u64,
    lines: Option<Lines>,
    inherited: bool,
}

/// One upload in flight.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    /// Its number in the ledger; later ones have higher numbers.
    pub number: u64,
    /// Its key below the remote.
    pub key: RelPath,
    /// The version of the file.
    pub stat: Stat,
    /// The size of its parts.
    pub part: u64,
    /// When the first byte of this version may have been read.
    pub read_began_ns: i64,
    /// The store's name for it; none as long as the store has not answered.
    pub id: Option<MultipartId>,
    /// What the store has of it.
    pub parts: BTreeMap<usize, PartId>,
    /// Completion was asked for, and what stood under the key before.
    pub completing: Option<Stood>,
    /// It is not to be continued.
    pub doomed: bool,
    /// The store denied the last call about it; in this process.
    pub denied: bool,
}

/// What stood under a key before an upload was completed: its ETag, empty when there was no object. None when that could
/// not be found out.
pub(crate) type Stood = Option<String>;

impl Ledger {
    /// A ledger that ends with the process, for a disk that takes no file.
    pub fn in_memory() -> Self {
        Self { held: Arc::new(Mutex::new(Held { keeps: true, ..Held::default() })) }
    }

    /// Opens the ledger at `path`, or begins one; folders are made. `store` says which store it is about, such as endpoint
    /// and bucket: a file about another one, or one that cannot be understood, is set aside as `NAME.bad`, and
    /// the text says so. Its uploads are not touched.
    ///
    /// # Errors
    /// When the file can be neither read nor written.
    pub fn open(path: &Path, store: &str) -> Result<(Self, Option<String>), TransferError> {
        let mut held = Held { keeps: true, ..Held::default() };
        let (lines, note) = Lines::open(path, store, |line| held.replay(line))?;
        held.inherited = lines.is_inherited();
        held.lines = Some(lines);
        if held.flights.is_empty() {
            held.write(None);
        }
        Ok((Self { held: Arc::new(Mutex::new(held)) }, note))
    }

    /// True when a former process was ended before it could tidy up.
    pub fn is_inherited(&self) -> bool {
        self.held().inherited
    }

    /// What a former process left has been seen to.
    pub(crate) fn tidied(&self) {
        self.held().inherited = false;
    }

    /// Removes the file when nothing is in flight any more: the end of a process that leaves nothing behind.
    pub fn close(&self) {
        let mut held = self.held();
        if held.flights.is_empty()
            && let Some(lines) = held.lines.take()
        {
            lines.remove();
        }
    }

    pub(crate) fn keeps(&self) -> bool {
        self.held().keeps
    }

    /// All of them, oldest first.
    pub(crate) fn flights(&self) -> Vec<Flight> {
        self.held().flights.values().cloned().collect()
    }

    /// The upload of this version of a file that can be continued.
    pub(crate) fn find(&self, key: &RelPath, version: &Stat) -> Option<Flight> {
        let held = self.held();
        let fits = |flight: &&Flight| flight.continues(key, version);
        held.flights.values().rev().find(fits).cloned()
    }

    /// An upload is about to be asked for.
    pub(crate) fn intend(&self, key: &RelPath, stat: Stat, part: u64, read_began_ns: i64) -> u64 {
        let mut held = self.held();
        let number = held.last + 1;
        let line = Line::Intend {
            n: number,
            key: key.to_string(),
            stat: lines::numbers(&stat),
            part,
            began: read_began_ns,
        };
        held.record(line);
        number
    }

    /// The store has begun it.
    pub(crate) fn opened(&self, number: u64, id: MultipartId) -> Option<Flight> {
        let mut held = self.held();
        let key = held.flights.get(&number).map(|flight| flight.key.to_string());
        held.record(Line::Open { n: number, key, id });
        held.flights.get(&number).cloned()
    }

    /// The store has a part of it.
    pub(crate) fn part(&self, number: u64, index: usize, part: &PartId) {
        self.held().record(Line::Part { n: number, index, id: part.content_id.clone() });
    }

    /// All parts are there; completion is about to be asked for.
    pub(crate) fn completing(&self, number: u64, stood: Stood) {
        self.held().record(Line::Completing { n: number, stood });
    }

    /// It is to be aborted, not continued.
    pub(crate) fn doom(&self, number: u64) {
        if let Some(flight) = self.held().flights.get_mut(&number) {
            flight.doomed = true;
        }
    }

    /// The store denied a call about it; true when it did so the last time as well.
    pub(crate) fn denied(&self, number: u64) -> bool {
        let mut held = self.held();
        held.flights.get_mut(&number).is_some_and(|flight| std::mem::replace(&mut flight.denied, true))
    }

    /// It is completed, aborted, or was never begun.
    pub(crate) fn over(&self, number: u64) {
        self.held().record(Line::Over { n: number });
    }

    /// The object is there, and whoever asked for it knows.
    pub(crate) fn landed(&self, key: &RelPath) {
        let mut held = self.held();
        let is_it = |flight: &&Flight| flight.completing.is_some() && !flight.doomed && flight.key == *key;
        let over: Vec<u64> = held.flights.values().filter(is_it).map(|flight| flight.number).collect();
        over.into_iter().for_each(|n| held.record(Line::Over { n }));
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().expect("no code panics while it holds the ledger")
    }
}

impl Flight {
    fn new(number: u64, key: RelPath, stat: Stat, part: u64, read_began_ns: i64) -> Self {
        Self {
            number,
            key,
            stat,
            part,
            read_began_ns,
            id: None,
            parts: BTreeMap::new(),
            completing: None,
            doomed: false,
            denied: false,
        }
    }

    /// True when this version of the file can be sent by going on with it.
    pub(crate) fn continues(&self, key: &RelPath, version: &Stat) -> bool {
        !self.doomed && self.id.is_some() && self.key == *key && self.stat.same_version(version)
    }
}

impl Held {
    /// Memory first, file second.
    fn record(&mut self, line: Line) {
        let text = lines::encode(&line);
        // What is recorded here was made here.
        self.replay(line).ok();
        self.write(text);
    }

    /// Appends; begins the file anew when nothing is in flight and it has become long.
    fn write(&mut self, text: Option<Vec<u8>>) {
        let is_idle = self.flights.is_empty();
        if let Some(lines) = &mut self.lines {
            lines.append(text, is_idle);
        }
    }

    /// A line about an upload whose intent is missing is passed over: the disk was full for a moment, and what comes
    /// behind it is about others.
    fn replay(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Intend { n, key, stat, part, began } => {
                let key = RelPath::parse(&key).map_err(|error| error.to_string())?;
                if part == 0 {
                    return Err("parts of nothing".to_owned());
                }
                self.begins(Flight::new(n, key, lines::stat(stat), part, began));
            }
            Line::Open { n, key, id } => {
                if !self.flights.contains_key(&n)
                    && let Some(key) = key
                {
                    let key = RelPath::parse(&key).map_err(|error| error.to_string())?;
                    // Of which version nobody knows: it can be aborted, and no more.
                    let nothing = lines::stat((0, 0, 0, 0, 0, 0));
                    self.begins(Flight { doomed: true, ..Flight::new(n, key, nothing, 1, 0) });
                }
                if let Some(flight) = self.flight(n) {
                    flight.id = Some(id);
                }
            }
            Line::Part { n, index, id } => {
                if let Some(flight) = self.flight(n) {
                    flight.denied = false;
                    flight.parts.insert(index, PartId { content_id: id });
                }
            }
            Line::Completing { n, stood } => {
                if let Some(flight) = self.flight(n) {
                    flight.completing = Some(stood);
                }
            }
            Line::Over { n } => {
                self.last = self.last.max(n);
                self.flights.remove(&n);
            }
        }
        Ok(())
    }

    fn begins(&mut self, flight: Flight) {
        self.last = self.last.max(flight.number);
        self.flights.insert(flight.number, flight);
    }

    /// The flight of that number, which is not given to another one.
    fn flight(&mut self, number: u64) -> Option<&mut Flight> {
        self.last = self.last.max(number);
        self.flights.get_mut(&number)
    }
}

#[cfg(test)]
mod tests;
