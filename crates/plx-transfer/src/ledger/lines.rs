//! The ledger's file.

use crate::TransferError;
use plx_contract::Stat;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// The form of the lines.
const VERSION: u32 = 1;
/// A file of this length is begun anew as soon as nothing is in flight.
const LONG: u64 = 64 << 10;

/// dev, inode, size, mtime, ctime, mode.
type Numbers = (u64, u64, u64, i64, i64, u32);

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    store: String,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum Line {
    Intend {
        n: u64,
        key: String,
        stat: Numbers,
        part: u64,
        began: i64,
    },
    /// With the key, so that it can be aborted although its intent is missing.
    Open {
        n: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        id: String,
    },
    Part {
        n: u64,
        index: usize,
        id: String,
    },
    Completing {
        n: u64,
        stood: Option<String>,
    },
    Over {
        n: u64,
    },
}

pub(super) fn numbers(stat: &Stat) -> Numbers {
    (stat.dev, stat.ino, stat.size, stat.mtime_ns, stat.ctime_ns, stat.mode)
}

pub(super) fn stat((dev, ino, size, mtime_ns, ctime_ns, mode): Numbers) -> Stat {
    Stat { dev, ino, size, mtime_ns, ctime_ns, mode }
}

/// A line as it stands in the file; none of ours fails.
pub(super) fn encode(value: &impl Serialize) -> Option<Vec<u8>> {
    let mut text = serde_json::to_vec(value).ok()?;
    text.push(b'\n');
    Some(text)
}

/// The open file.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: File,
    header: Vec<u8>,
    /// Length of the whole lines. Beyond it is what a failed write left.
    good: u64,
    inherited: bool,
    /// A failure was told; there will be more of them.
    told: bool,
}

impl Lines {
    /// Opens the file and hands on its lines, up to the first that is torn.
    pub fn open(
        path: &Path,
        store: &str,
        mut take: impl FnMut(Line) -> Result<(), String>,
    ) -> Result<(Self, Option<String>), TransferError> {
        let failed = |doing| move |error| TransferError::disk(doing, path, error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
        }
        let mut note = None;
        let mut found = None;
        match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("read")(error)),
            Ok(file) => match read(file, store, &mut take).map_err(failed("read"))? {
                Read::Nothing => {}
                Read::Good(good) => found = Some(good),
                Read::Other(why) => {
                    let kept = set_aside(path).map_err(failed("set aside"))?;
                    note = Some(format!(
                        "uploads in flight: {why}; {} is kept as {}, and what it names is left alone",
                        path.display(),
                        kept.display()
                    ));
                }
            },
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed("write"))?;
        let header = encode(&Header { version: VERSION, store: store.to_owned() }).unwrap_or_default();
        let good = match found {
            Some(good) => good,
            None => file
                .set_len(0)
                .and_then(|()| file.write_all(&header))
                .map(|()| header.len() as u64)
                .map_err(failed("write"))?,
        };
        file.set_len(good).map_err(failed("write"))?;
        let inherited = found.is_some();
        Ok((Self { path: path.to_owned(), file, header, good, inherited, told: false }, note))
    }

    /// True when a former process left it.
    pub fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// Adds a line. One that cannot be written is missing, which costs a request or a part more after a kill.
    pub fn append(&mut self, text: Option<Vec<u8>>, is_idle: bool) {
        let result = if is_idle && self.good > LONG {
            self.file.set_len(0).and_then(|()| {
                self.good = 0;
                self.add(&[])
            })
        } else {
            text.map_or(Ok(()), |text| self.add(&text))
        };
        if let Err(error) = result
            && !std::mem::replace(&mut self.told, true)
        {
            let path = self.path.display();
            tracing::warn!("write {path}: {error}; after a kill large uploads may begin anew");
        }
    }

    fn add(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.set_len(self.good)?;
        if self.good == 0 {
            // It could not be written when the file was begun anew; without it nothing behind it can be read.
            self.file.write_all(&self.header)?;
            self.good = self.header.len() as u64;
        }
        self.file.write_all(text)?;
        self.good += text.len() as u64;
        Ok(())
    }

    /// Removes the file.
    pub fn remove(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            // The next process reads it, and finds nothing to do.
            tracing::debug!("remove {}: {error}", self.path.display());
        }
    }
}

enum Read {
    /// There was not even a whole header.
    Nothing,
    /// So many bytes are whole lines.
    Good(u64),
    /// It is not ours to use.
    Other(String),
}

fn read(file: File, store: &str, take: &mut impl FnMut(Line) -> Result<(), String>) -> io::Result<Read> {
    let mut reader = BufReader::new(file);
    let mut text = Vec::new();
    reader.read_until(b'\n', &mut text)?;
    if !text.ends_with(b"\n") {
        return Ok(Read::Nothing);
    }
    match serde_json::from_slice::<Header>(&text) {
        Ok(header) if header.version != VERSION => {
            return Ok(Read::Other(format!("the file has version {}, wanted {VERSION}", header.version)));
        }
        Ok(header) if header.store != store => {
            return Ok(Read::Other(format!("the file is about {}, not {store}", header.store)));
        }
        Ok(_) => {}
        Err(error) => return Ok(Read::Other(format!("the file cannot be understood ({error})"))),
    }
    let mut good = text.len() as u64;
    loop {
        text.clear();
        reader.read_until(b'\n', &mut text)?;
        if !text.ends_with(b"\n") {
            return Ok(Read::Good(good));
        }
        // What follows a line that cannot be understood is not known to be whole either.
        let taken =
            serde_json::from_slice::<Line>(&text).map_err(|error| error.to_string()).and_then(&mut *take);
        if let Err(why) = taken {
            tracing::debug!("a line of the uploads in flight is left out: {why}");
            return Ok(Read::Good(good));
        }
        good += text.len() as u64;
    }
}

fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".bad");
    let kept = path.with_file_name(name);
    std::fs::rename(path, &kept)?;
    Ok(kept)
}

#[cfg(test)]
impl Lines {
    /// Has every write fail, as on a full disk.
    pub fn fill_disk(&mut self) {
        self.file = OpenOptions::new().append(true).open("/dev/full").expect("linux");
    }

    /// As when the disk was full the moment the file was begun anew.
    pub fn lose_header(&mut self) {
        self.file.set_len(0).expect("shrinks");
        self.good = 0;
    }
}
