//! What containers print: shown as it comes, and kept line by line in the run's log file.

use crate::term;
use chrono::Utc;
use plx_contract::record::{LogLine, isoformat};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// A line longer than this is kept in pieces.
pub const LINE_LIMIT: usize = 1 << 20;

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes bytes; `each` gets every line that is whole now, without its line end.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.pieces(&mut each);
            each(&self.rest);
            self.rest.clear();
        }
        self.rest.extend_from_slice(bytes);
        self.pieces(&mut each);
    }

    /// The stream ended: what is left is a line too.
    pub fn end(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.rest.is_empty() {
            each(&self.rest);
            self.rest.clear();
        }
    }

    fn pieces(&mut self, each: &mut impl FnMut(&[u8])) {
        while self.rest.len() > LINE_LIMIT {
            // Not in the middle of a character: at most three bytes of one can stand before the cut.
            let in_character = |at: &usize| self.rest[*at] & 0b1100_0000 == 0b1000_0000;
            let cut = (LINE_LIMIT - 3..=LINE_LIMIT).rev().find(|at| !in_character(at)).unwrap_or(LINE_LIMIT);
            each(&self.rest[..cut]);
            self.rest.drain(..cut);
        }
    }
}

/// The run's log file, in Polyaxon's form. One write per line, appended, so that a reader sees whole lines only.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    pod: String,
    file: Option<File>,
    /// Records that wait until the file may be written: the default init may still fetch an earlier one.
    held: Option<Vec<String>>,
    failed: bool,
}

impl LogFile {
    /// A log that holds its records back until [`LogFile::release`].
    pub fn held(path: &Path, pod: &str) -> Self {
        Self { path: path.to_owned(), pod: pod.to_owned(), file: None, held: Some(Vec::new()), failed: false }
    }

    /// Adds one line as it was printed. Space at its end is dropped, and the line when nothing is left.
    pub fn line(&mut self, container: &str, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let value = text.trim_end();
        if value.is_empty() {
            return;
        }
        let at = isoformat(Utc::now());
        let line =
            LogLine { timestamp: &at, node: Some("local"), pod: &self.pod, container, value }.to_record();
        match &mut self.held {
            Some(held) => held.push(line),
            None => self.append(&line),
        }
    }

    /// Writes what was held back; every further line is written at once.
    pub fn release(&mut self) {
        for record in self.held.take().into_iter().flatten() {
            self.append(&record);
        }
    }

    fn append(&mut self, record: &str) {
        if let Err(error) = self.try_append(record)
            && !self.failed
        {
            // Said once; each further line is tried all the same, because a full disk need not stay full.
            self.failed = true;
            tracing::warn!("the run's log is incomplete: write {}: {error}", self.path.display());
        }
    }

    fn try_append(&mut self, record: &str) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                if let Some(parent) = self.path.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                self.file.insert(OpenOptions::new().create(true).append(true).open(&self.path)?)
            }
        };
        let whole = file.metadata()?.len();
        file.write_all(record.as_bytes()).or_else(|error| {
            // Whole lines only: Polyaxon's reader gives up on a file with a broken one.
            file.set_len(whole)?;
            Err(error)
        })
    }
}

/// How a stream is shown.
#[derive(Debug, Clone, Copy)]
pub enum Show {
    /// As it is, on our stdout.
    Out,
    /// As it is, on our stderr.
    Err,
    /// Line by line with a prefix, on our stderr.
    Prefixed(&'static str),
    /// Not at all.
    Hidden,
}

/// Where lines are kept, shared by the streams of a pod.
pub type SharedLog = Arc<Mutex<LogFile>>;

/// A stream that is being read.
#[derive(Debug)]
pub struct Stream {
    /// Closes with the stream.
    pub ended: oneshot::Receiver<()>,
    /// True while the reader waits for our own output to take what it read.
    pub showing: Arc<AtomicBool>,
}

/// Reads a stream to its end on a thread of its own. The receiver ends with the stream.
///
/// A thread and not a task: a terminal that stands still must stop the container, as a pipe does, and nothing else.
pub fn pump(
    mut from: impl Read + Send + 'static,
    show: Show,
    keep: Option<(SharedLog, String)>,
) -> std::io::Result<Stream> {
    let (done, ended) = oneshot::channel::<()>();
    let showing = Arc::new(AtomicBool::new(false));
    let stream = Stream { ended, showing: Arc::clone(&showing) };
    std::thread::Builder::new().name("lines".to_owned()).spawn(move || {
        let _done = done; // dropped at the end, which the receiver sees
        let mut shown = true;
        let mut lines = Lines::default();
        let mut buffer = vec![0; 64 * 1024];
        let take = |line: &[u8], shown: &mut bool| {
            if let Some((log, container)) = &keep {
                log.lock().unwrap_or_else(PoisonError::into_inner).line(container, line);
            }
            if let (Show::Prefixed(prefix), true) = (show, *shown) {
                let line = [prefix.as_bytes(), line, b"\n"].concat();
                *shown = term::write_all(&mut std::io::stderr().lock(), &line);
            }
        };
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let bytes = &buffer[..read];
            // Kept before it is shown: a reader that stands still may hold up the terminal, not the log.
            lines.push(bytes, |line| take(line, &mut shown));
            showing.store(true, Ordering::Relaxed);
            match show {
                Show::Out if shown => shown = term::write_all(&mut std::io::stdout().lock(), bytes),
                Show::Err if shown => shown = term::write_all(&mut std::io::stderr().lock(), bytes),
                _ => {}
            }
            showing.store(false, Ordering::Relaxed);
        }
        lines.end(|line| take(line, &mut shown));
    })?;
    Ok(stream)
}
