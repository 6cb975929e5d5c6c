//! The journal's file: JSON lines, appended; made small by rewriting.

use crate::error::JournalError;
use crate::hand_over::replace;
use crate::journal::StoredAs;
use plx_contract::Stat;
use plx_contract::layout;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Name of the file in the pod's folder.
pub(crate) const NAME: &str = "journal.jsonl";

/// The form of the lines. A file of another version is set aside.
const VERSION: u32 = 1;

/// A rewrite is worth it when this many lines beyond twice the live entries are in the file.
const SLACK: usize = 1000;

/// `stat` as a list: dev, inode, size, mtime, ctime, mode.
type Numbers = (u64, u64, u64, i64, i64, u32);

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Line {
    /// This state of the file is in the store.
    Put {
        key: String,
        base: PathBuf,
        stat: Numbers,
        root: Option<u64>,
        settled: bool,
        repeats: u8,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stored: Option<StoredAs>,
    },
    /// `.fs` says that it is in the store.
    Had { key: String, base: PathBuf, mtime_us: i64, foreign: bool },
    /// It is no longer in the store.
    Rm { key: String },
    /// This folder was made in the store.
    Dir { key: String, base: PathBuf },
    /// It was removed there.
    Rmdir { key: String },
    /// A hand-over was taken, or may not be taken any more.
    Handed,
}

/// `stat` as it stands in a line.
pub(crate) fn numbers(stat: &Stat) -> Numbers {
    (stat.dev, stat.ino, stat.size, stat.mtime_ns, stat.ctime_ns, stat.mode)
}

/// `stat` from a line.
pub(crate) fn stat((dev, ino, size, mtime_ns, ctime_ns, mode): Numbers) -> Stat {
    Stat { dev, ino, size, mtime_ns, ctime_ns, mode }
}

/// What stood at the journal's path.
pub(crate) enum Found {
    /// Nothing, or an empty file.
    Nothing,
    /// A journal; every whole line was handed on.
    Log(Log),
    /// Something else; what was handed on must be forgotten.
    Bad(String),
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// Length of the whole lines. Beyond it is what a failed write left.
    good: u64,
    lines: usize,
    /// A failed write may have left something beyond `good`.
    torn: bool,
    /// The file lacks a line that the memory has.
    behind: bool,
}

impl Log {
    /// Reads the journal in `dir` line by line. A last line without its end was cut by a crash, and goes.
    pub(crate) fn open(
        dir: &Path,
        mut take: impl FnMut(Line) -> Result<(), String>,
    ) -> Result<Found, JournalError> {
        let path = dir.join(NAME);
        let read_error = |source| JournalError::Read { path: dir.join(NAME), source };
        let file = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(source) => return Err(read_error(source)),
        };
        let mut reader = BufReader::new(file);
        let (mut good, mut number, mut line) = (0, 0, Vec::new());
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).map_err(read_error)?;
            if !line.ends_with(b"\n") {
                let torn = length > 0;
                if number == 0 {
                    return Ok(if torn {
                        Found::Bad("its first line is cut".to_owned())
                    } else {
                        Found::Nothing
                    });
                }
                let file = reader.into_inner();
                let mut log = Self { path, file, good, lines: number - 1, torn, behind: false };
                drop(log.cut()); // when that fails, the next append tries again
                return Ok(Found::Log(log));
            }
            let taken = if number == 0 { header(&line) } else { body(&line).and_then(&mut take) };
            number += 1;
            if let Err(why) = taken {
                return Ok(Found::Bad(format!("line {number}: {why}")));
            }
            good += length as u64;
        }
    }

    /// A new journal with these lines, in one step.
    pub(crate) fn create(dir: &Path, lines: impl Iterator<Item = Line>) -> Result<Self, JournalError> {
        let path = dir.join(NAME);
        Self::write_whole(&path, lines).map_err(|source| JournalError::Write { path, source })
    }

    fn write_whole(path: &Path, lines: impl Iterator<Item = Line>) -> io::Result<Self> {
        let temp = path.with_file_name(format!("{}{NAME}", layout::TEMP_PREFIX));
        let (mut good, mut count) = (0, 0);
        replace(&temp, path, |out| {
            let header = encode(&Header { version: VERSION })?;
            out.write_all(&header)?;
            good += header.len() as u64;
            for line in lines {
                let text = encode(&line)?;
                out.write_all(&text)?;
                good += text.len() as u64;
                count += 1;
            }
            Ok(())
        })?;
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { path: path.to_owned(), file, good, lines: count, torn: false, behind: false })
    }

    /// Adds a line. After an error the file still ends with a whole line, or is made to before the next one.
    pub(crate) fn append(&mut self, line: &Line) -> Result<(), JournalError> {
        let result = self.try_append(line);
        if result.is_err() {
            self.behind = true;
        }
        result.map_err(|source| self.write_error(source))
    }

    fn try_append(&mut self, line: &Line) -> io::Result<()> {
        self.cut()?;
        let text = encode(line)?;
        if let Err(error) = self.file.write_all(&text) {
            self.torn = true;
            drop(self.cut()); // when even that fails, the next append tries again
            return Err(error);
        }
        self.good += text.len() as u64;
        self.lines += 1;
        Ok(())
    }

    /// Cuts off what a failed write left.
    fn cut(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.good)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Makes everything durable; rewrites the file when it lacks something, or holds too much.
    pub(crate) fn flush(
        &mut self,
        live: usize,
        lines: impl Iterator<Item = Line>,
    ) -> Result<(), JournalError> {
        if self.behind || self.lines > 2 * live + SLACK {
            *self = Self::write_whole(&self.path, lines).map_err(|source| self.write_error(source))?;
            return Ok(());
        }
        self.file.sync_data().map_err(|source| self.write_error(source))
    }

    fn write_error(&self, source: io::Error) -> JournalError {
        JournalError::Write { path: self.path.clone(), source }
    }

    /// Lines after the header.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> usize {
        self.lines
    }

    /// Leaves half a line, as a write that failed and could not be taken back.
    #[cfg(test)]
    pub(crate) fn tear(&mut self, half: &[u8]) {
        self.file.write_all(half).expect("writes");
        self.torn = true;
    }

    /// Has every write fail, as on a full disk.
    #[cfg(test)]
    pub(crate) fn fill_disk(&mut self) {
        self.file = OpenOptions::new().append(true).open("/dev/full").expect("linux");
    }
}

/// Moves a journal that cannot be used out of the way, keeping it for whoever wants to look.
pub(crate) fn set_aside(dir: &Path) -> Result<PathBuf, JournalError> {
    let path = dir.join(NAME);
    let names = (1..10).map(|n| if n == 1 { format!("{NAME}.bad") } else { format!("{NAME}.bad.{n}") });
    let last = dir.join(format!("{NAME}.bad.9"));
    let free = names.map(|name| dir.join(name)).find(|to| !to.exists()).unwrap_or(last);
    fs::rename(&path, &free).map_err(|source| JournalError::Write { path, source })?;
    Ok(free)
}

fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    Ok(text)
}

fn header(line: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<Header>(line) {
        Ok(Header { version: VERSION }) => Ok(()),
        Ok(Header { version }) => Err(format!("version {version}, wanted {VERSION}")),
        Err(error) => Err(error.to_string()),
    }
}

fn body(line: &[u8]) -> Result<Line, String> {
    serde_json::from_slice(line).map_err(|error| error.to_string())
}
