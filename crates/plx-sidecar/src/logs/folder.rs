//! Main's output where `plx-entry` keeps it ([`plx_contract::wrapped`]): each line once, through kills of either side.
//!
//! A position is a number of bytes of each stream, of one start of main: those that became lines. Whoever is started again skips so
//! many. Because segments begin with such numbers too, it is known to the byte what is missing between two of them. A segment is
//! removed once the lines of all of it are on disk, and never the last one, which `plx-entry` may still write.

use super::stands::{Stands, Taken};
use crate::wrapped::{Sight, look};
use plx_contract::logs::Time;
use plx_contract::wrapped::{Decoder, Part, Segment, Stream};
use plx_kube::log::{Kind, Line, Piece, Pieces, Progress, Wishes};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// In the place of a pod's uid: the folder is the pod's.
pub(super) const UID: &str = "wrapped";
/// Read at once.
const CHUNK: usize = 128 << 10;
/// Between two looks at a log that has nothing new: a few system calls.
const LOOK: Duration = Duration::from_millis(200);
/// The same when somebody waits for the end.
const HURRIED: Duration = Duration::from_millis(20);

/// How far main's output was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The start of main; 0 is none.
    attempt: u32,
    /// Of stdout and stderr.
    streams: [At; 2],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct At {
    /// So many bytes became lines, or are known to be missing.
    taken: u64,
    /// In the middle of a long line.
    within: bool,
}

/// Reads the folder, step by step. Blocks as disks do.
pub(super) struct Reader {
    folder: PathBuf,
    attempt: u32,
    streams: [Reading; 2],
    open: Option<Open>,
    /// Segments that were read to their ends, and how far the streams were then.
    read: VecDeque<(Segment, [u64; 2])>,
    buffer: Vec<u8>,
}

#[derive(Default)]
struct Reading {
    /// Bytes that were read.
    seen: u64,
    pieces: Pieces,
    /// Of the bytes that came last.
    time: Option<Time>,
}

struct Open {
    segment: Segment,
    file: File,
    decoder: Decoder,
    /// Bytes of the streams before the next that is read.
    before: [u64; 2],
    broken: bool,
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// There may be more.
    More,
    /// All there is; main has not started.
    Idle,
    /// All there is; main may go on.
    Live,
    /// All there will be, unless main is started again.
    All,
}

impl Reader {
    pub(super) fn new(folder: PathBuf, position: Position) -> Self {
        let streams = position.streams.map(|at| Reading {
            seen: at.taken,
            pieces: Pieces::resumed(at.within),
            time: None,
        });
        let (attempt, read) = (position.attempt, VecDeque::new());
        Self { folder, attempt, streams, open: None, read, buffer: vec![0; CHUNK] }
    }

    /// How far lines were given.
    pub(super) fn position(&self) -> Position {
        let at = |reading: &Reading| {
            let (waiting, within) = reading.pieces.stands();
            At { taken: reading.seen - waiting as u64, within }
        };
        let [out, err] = &self.streams;
        Position { attempt: self.attempt, streams: [at(out), at(err)] }
    }

    /// Reads on; lines are added to those that are there.
    ///
    /// # Errors
    /// When the folder cannot be read. The next step goes on where this one was.
    pub(super) fn step(&mut self, lines: &mut Vec<Line>) -> io::Result<Found> {
        // In this order: what main wrote before its end, and before another segment was begun, is seen by what follows.
        let sight = look(&self.folder);
        let segments = self.segments()?;
        if self.open.is_none() {
            let Some(first) = segments.iter().find(|one| one.attempt >= self.attempt) else {
                return Ok(self.end(&sight, lines));
            };
            return self.begin(*first, lines);
        }
        if self.read(lines)? {
            return Ok(Found::More);
        }
        let here = self.open.as_ref().map(|open| open.segment);
        match segments.into_iter().find(|one| Some(*one) > here) {
            Some(next) => self.begin(next, lines),
            None => Ok(self.end(&sight, lines)),
        }
    }

    fn segments(&self) -> io::Result<Vec<Segment>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut all = Vec::new();
        for entry in entries {
            all.extend(entry?.file_name().to_str().and_then(Segment::of));
        }
        all.sort();
        Ok(all)
    }

    fn begin(&mut self, segment: Segment, lines: &mut Vec<Line>) -> io::Result<Found> {
        let file = match File::open(self.folder.join(segment.name())) {
            // It was one too many, and is missing: the next one says how much that is.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::More),
            file => file?,
        };
        if let Some(open) = self.open.take() {
            self.read.push_back((open.segment, self.streams.each_ref().map(|one| one.seen)));
        }
        self.start(segment.attempt, lines);
        let (decoder, before) = (Decoder::default(), self.streams.each_ref().map(|one| one.seen));
        self.open = Some(Open { segment, file, decoder, before, broken: false });
        Ok(Found::More)
    }

    /// From now on it is that start of main.
    fn start(&mut self, attempt: u32, lines: &mut Vec<Line>) {
        if attempt > self.attempt {
            self.streams.iter_mut().for_each(|reading| reading.end(lines));
            self.streams = Default::default();
            self.attempt = attempt;
        }
    }

    /// Reads on in the segment; false when there is nothing more in it.
    fn read(&mut self, lines: &mut Vec<Line>) -> io::Result<bool> {
        let Some(open) = &mut self.open else { return Ok(false) };
        let read = if open.broken { 0 } else { open.file.read(&mut self.buffer)? };
        let (before, streams) = (&mut open.before, &mut self.streams);
        let pushed = open.decoder.push(&self.buffer[..read], |part| match part {
            Part::Begins(at) => {
                *before = at;
                for (reading, at) in streams.iter_mut().zip(at) {
                    reading.begins(at, lines);
                }
            }
            Part::Bytes(stream, time, bytes) => {
                let at = stream.index();
                streams[at].take(before[at], time, bytes, lines);
                before[at] += bytes.len() as u64;
            }
        });
        if let Err(error) = pushed {
            tracing::warn!("{} cannot be read further: {error}", open.segment.name());
            open.broken = true;
        }
        Ok(read > 0)
    }

    /// Gives what stands at the end without the line's end; what comes behind it is a [`Kind::Continued`].
    fn give_unended(&mut self, lines: &mut Vec<Line>) {
        for reading in &mut self.streams {
            let time = reading.time;
            reading.pieces.flush(|piece| lines.extend(line(&piece, time)));
        }
    }

    /// There is nothing more, as main is.
    fn end(&mut self, sight: &Sight, lines: &mut Vec<Line>) -> Found {
        match sight {
            Sight::Nothing => Found::Idle,
            Sight::Runs => Found::Live,
            Sight::Ended { attempt, written, .. } => {
                // A start of which nothing at all could be kept.
                if *attempt > self.attempt {
                    self.start(*attempt, lines);
                    self.open = None;
                }
                for stream in Stream::BOTH {
                    let reading = &mut self.streams[stream.index()];
                    reading.end(lines);
                    // What could not be kept at the very end.
                    if let Some(written) = written.filter(|_| *attempt == self.attempt) {
                        reading.begins(written[stream.index()], lines);
                    }
                }
                Found::All
            }
        }
    }

    /// Removes segments of which all is kept.
    pub(super) fn remove(&mut self, kept: &Position) {
        while let Some((segment, ends)) = self.read.front() {
            let all = kept.streams.iter().zip(ends).all(|(at, end)| at.taken >= *end);
            if kept.attempt < segment.attempt || (kept.attempt == segment.attempt && !all) {
                return;
            }
            if let Err(error) = fs::remove_file(self.folder.join(segment.name()))
                && error.kind() != ErrorKind::NotFound
            {
                // plx-entry removes the oldest when there are too many.
                tracing::debug!("remove {}: {error}", segment.name());
            }
            self.read.pop_front();
        }
    }
}

impl Reading {
    /// Another segment, so many bytes after main's start.
    fn begins(&mut self, at: u64, lines: &mut Vec<Line>) {
        let Some(missing) = at.checked_sub(self.seen).filter(|missing| *missing > 0) else { return };
        self.end(lines);
        let text = format!(
            "{missing} bytes of main's output are missing here: they were more than is kept, or the volume was full"
        );
        lines.push(Line { time: self.time, text, kind: Kind::Note });
        self.seen = at;
    }

    fn take(&mut self, before: u64, nanoseconds: i64, bytes: &[u8], lines: &mut Vec<Line>) {
        let known = self.seen.saturating_sub(before);
        let Some(new) = usize::try_from(known).ok().and_then(|known| bytes.get(known..)) else { return };
        self.seen += new.len() as u64;
        let time = chrono::DateTime::from_timestamp_nanos(nanoseconds).fixed_offset();
        self.time = Some(time);
        self.pieces.push(new, |piece| lines.extend(line(&piece, Some(time))));
    }

    /// Its last line has its end.
    fn end(&mut self, lines: &mut Vec<Line>) {
        let time = self.time;
        if self.pieces.stands() != (0, false) {
            self.pieces.end(|piece| lines.extend(line(&piece, time)));
        }
    }
}

/// As of a log from the kubelet: without space at its end, and none when nothing is left.
fn line(piece: &Piece, time: Option<Time>) -> Option<Line> {
    let text = String::from_utf8_lossy(&piece.bytes).trim_end().to_owned();
    let kind = if piece.continued { Kind::Continued } else { Kind::Text };
    (!text.is_empty()).then_some(Line { time, text, kind })
}

/// Gives all lines as they come, until nobody takes them.
pub(super) async fn follow(
    mut reader: Reader,
    container: &str,
    sink: mpsc::Sender<Taken>,
    progress: watch::Sender<Progress>,
    kept: watch::Receiver<BTreeMap<String, Stands>>,
    mut wishes: watch::Receiver<Wishes>,
) {
    let (container, name): (Arc<str>, _) = (container.into(), format!("{UID}/{container}"));
    let (mut failing, mut asked) = (false, 0);
    let mut lines = Vec::new();
    loop {
        if let Some(Stands::Folder(position)) = kept.borrow().get(&name) {
            reader.remove(position);
        }
        let before = reader.position();
        let stepped = spawn_blocking(move || {
            let found = reader.step(&mut lines);
            (reader, lines, found)
        });
        let found;
        (reader, lines, found) = match stepped.await {
            Ok(stepped) => stepped,
            Err(error) => return tracing::error!("main's log is collected no more: {error}"),
        };
        let position = reader.position();
        if !lines.is_empty() || position != before {
            let lines = std::mem::take(&mut lines);
            let taken = Taken { container: Arc::clone(&container), lines, stands: Stands::Folder(position) };
            if sink.send(taken).await.is_err() {
                return;
            }
        }
        let found = found.unwrap_or_else(|error| {
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!("main's log cannot be read, trying on: {}: {error}", reader.folder.display());
            }
            Found::Live
        });
        let is = match found {
            Found::More => Progress::Behind,
            Found::Idle => Progress::Idle,
            Found::Live => Progress::Live,
            Found::All => Progress::Done,
        };
        progress.send_if_modified(|was| std::mem::replace(was, is) != is);
        if found == Found::More {
            failing = false;
            continue;
        }
        let Wishes { hurried, unended } = *wishes.borrow_and_update();
        if std::mem::replace(&mut asked, unended) != unended {
            reader.give_unended(&mut lines);
            continue;
        }
        tokio::select! {
            () = sleep(if hurried { HURRIED } else { LOOK }) => {}
            Ok(()) = wishes.changed() => {}
        }
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
