//! Large logs that somebody writes without a pause.
//!
//! Such a file never holds still, so that no version of it would be stored before main ends. What stood in it for a while
//! can be stored: a beginning of it, as [`Held::Prefix`]. Large files that are being written look alike from outside, and half
//! of a checkpoint under its final name is worse than none: only what was watched for a minute is a log, that only grew, no
//! faster than people read, is text (without a zero byte, which archives, databases and arrays all have), and whose beginning
//! is byte for byte the same before and after it was sent. It is sent again when it has grown by a quarter, so that no more than
//! five times its length is ever sent.

use crate::TransferError;
use crate::download::blocking;
use crate::still::{Held, status};
use plx_contract::{RelPath, Stat};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::Xxh3;

/// So long a file is watched before anything of it is stored.
const WATCHED: Duration = Duration::from_secs(60);
/// A log grows by no more than this in a second, on average; a checkpoint or a dump of a table does.
const FASTEST: u64 = 1 << 20;
/// It is sent again when it has grown by one part in so many.
const GROWN: u64 = 4;
/// What nobody has looked at for so long is gone.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Of each file that is looked at, and many may be at once.
const CHUNK: usize = 64 << 10;

/// The large files of one store that did not hold still.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    held: Mutex<HashMap<RelPath, Watched>>,
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    dev: u64,
    ino: u64,
    first: (Instant, u64),
    last: (Instant, u64),
    /// As much as was there once, and its hash.
    mark: Option<(Stat, u64)>,
    /// It was shorter than before, or is no text.
    is_none: bool,
    /// So much of it was stored.
    stored: u64,
    /// What was stored last is a beginning of it.
    is_stored_in_part: bool,
}

/// What a look at a file that does not hold still is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing, for now.
    Wait,
    /// To remember what is there: it has to be there the next time as well.
    Mark,
    /// To send what was there the last time, if it is there still.
    Send(Stat, u64),
}

impl Logs {
    /// A large file was found in this state.
    pub(crate) fn saw(&self, key: &RelPath, stat: &Stat) -> Look {
        let (now, mut held) = (Instant::now(), self.held());
        if !held.contains_key(key) {
            held.retain(|_, watched| watched.last.0.elapsed() < FORGOTTEN);
        }
        let begun = Watched {
            dev: stat.dev,
            ino: stat.ino,
            first: (now, stat.size),
            last: (now, stat.size),
            mark: None,
            is_none: false,
            stored: 0,
            is_stored_in_part: false,
        };
        let watched = held.entry(key.clone()).or_insert(begun);
        if (watched.dev, watched.ino) != (stat.dev, stat.ino) || stat.size < watched.last.1 {
            // Who begins a file anew writes another version of it: of that one nothing is stored before it is whole.
            *watched = Watched { is_none: true, ..begun };
        }
        watched.last = (now, stat.size);
        watched.is_stored_in_part = false;
        let (seconds, grown) =
            (watched.first.0.elapsed().as_secs(), stat.size.saturating_sub(watched.first.1));
        let is_log =
            !watched.is_none && seconds >= WATCHED.as_secs() && grown <= seconds.saturating_mul(FASTEST);
        match watched.mark {
            _ if !is_log => Look::Wait,
            Some((mark, hash)) if stat.size >= mark.size => Look::Send(mark, hash),
            _ if watched.stored > 0 && stat.size < watched.stored.saturating_add(watched.stored / GROWN) => {
                Look::Wait
            }
            _ => Look::Mark,
        }
    }

    /// It has this beginning, or none that is text.
    fn marked(&self, key: &RelPath, stat: Stat, hash: Option<u64>) {
        if let Some(watched) = self.held().get_mut(key) {
            watched.mark = hash.map(|hash| (stat, hash));
            watched.is_none |= hash.is_none();
        }
    }

    /// It was sent: whole, or a beginning of it.
    pub(crate) fn stored(&self, key: &RelPath, size: u64, is_part: bool) {
        if let Some(watched) = self.held().get_mut(key) {
            watched.mark = None;
            watched.stored = size;
            watched.is_stored_in_part = is_part;
            // A version that is whole is one to go on from.
            watched.is_none &= is_part;
        }
    }

    /// What was marked did not stay as it was: it is no log.
    pub(crate) fn changed(&self, key: &RelPath) {
        if let Some(watched) = self.held().get_mut(key) {
            (watched.mark, watched.is_none) = (None, true);
        }
    }

    /// Whether only a beginning of it was stored, since it was seen last.
    pub(crate) fn is_stored_in_part(&self, key: &RelPath) -> bool {
        self.held().get(key).is_some_and(|watched| watched.is_stored_in_part)
    }

    /// What of a file that does not hold still may be sent now; none in most cases.
    pub(crate) async fn prefix(
        &self,
        key: &RelPath,
        file: &Arc<File>,
        path: &Path,
        stop: &CancellationToken,
    ) -> Result<Option<Held>, TransferError> {
        let (of, at) = (Arc::clone(file), path.to_owned());
        let now =
            blocking(move || status(&of).map_err(|error| TransferError::disk("read", &at, error))).await?;
        match self.saw(key, &now) {
            Look::Wait => Ok(None),
            Look::Mark => {
                let hash = hash(file, now.size, path, stop).await?;
                self.marked(key, now, hash);
                Ok(None)
            }
            Look::Send(stat, wanted) if hash(file, stat.size, path, stop).await? == Some(wanted) => {
                Ok(Some(Held::Prefix(stat, wanted)))
            }
            Look::Send(..) => {
                self.changed(key);
                Ok(None)
            }
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<RelPath, Watched>> {
        self.held.lock().expect("no code panics while it holds the logs")
    }
}

/// Whether what was held is still there. Of a log that is asked once more, in full.
pub(crate) async fn stays(
    held: Held,
    file: &Arc<File>,
    path: &Path,
    stop: &CancellationToken,
) -> Result<bool, TransferError> {
    match held {
        Held::Prefix(stat, wanted) => Ok(hash(file, stat.size, path, stop).await? == Some(wanted)),
        _ => Ok(true),
    }
}

async fn hash(
    file: &Arc<File>,
    size: u64,
    path: &Path,
    stop: &CancellationToken,
) -> Result<Option<u64>, TransferError> {
    let (file, path, stop) = (Arc::clone(file), path.to_owned(), stop.clone());
    blocking(move || hash_of(&file, size, &path, &stop)).await
}

/// The hash of so much of a file; none when it is shorter, or no text.
pub(crate) fn hash_of(
    file: &File,
    size: u64,
    path: &Path,
    stop: &CancellationToken,
) -> Result<Option<u64>, TransferError> {
    let (mut hasher, mut chunk, mut at) = (Xxh3::new(), vec![0; CHUNK], 0);
    while at < size {
        if stop.is_cancelled() {
            return Err(TransferError::Stopped { at: path.display().to_string(), last: None });
        }
        let most = usize::try_from(size - at).unwrap_or(CHUNK).min(CHUNK);
        let read = file.read_at(&mut chunk[..most], at);
        let read = match read {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| TransferError::disk("read", path, error))?,
        };
        if read == 0 || chunk[..read].contains(&0) {
            return Ok(None);
        }
        hasher.update(&chunk[..read]);
        at += read as u64;
    }
    Ok(Some(hasher.digest()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn key() -> RelPath {
        RelPath::parse("log").unwrap()
    }

    fn stat(size: u64) -> Stat {
        Stat { dev: 1, ino: 1, size, mtime_ns: 1, ctime_ns: 1, mode: 0o100_644 }
    }

    async fn later(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_only_grew_for_a_minute_is_marked_and_sent_at_the_next_look_and_then_when_it_has_grown() {
        let logs = Logs::default();
        for seconds in 0..6 {
            assert_eq!(logs.saw(&key(), &stat(10 * MIB + seconds)), Look::Wait);
            later(10).await;
        }
        assert_eq!(logs.saw(&key(), &stat(11 * MIB)), Look::Mark);
        logs.marked(&key(), stat(11 * MIB), Some(7));
        later(10).await;
        assert_eq!(logs.saw(&key(), &stat(12 * MIB)), Look::Send(stat(11 * MIB), 7));
        logs.stored(&key(), 11 * MIB, true);
        assert!(logs.is_stored_in_part(&key()));
        later(10).await;
        assert_eq!(logs.saw(&key(), &stat(13 * MIB)), Look::Wait);
        assert!(!logs.is_stored_in_part(&key()));
        assert_eq!(logs.saw(&key(), &stat(14 * MIB)), Look::Mark, "by a quarter");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_anew_or_grows_fast_or_changed_is_no_log() {
        let watched = async |first: Stat, second: Stat| {
            let logs = Logs::default();
            logs.saw(&key(), &first);
            later(60).await;
            logs.saw(&key(), &second);
            later(60).await;
            (logs.saw(&key(), &Stat { size: second.size + 1, ..second }), logs)
        };
        assert_eq!(watched(stat(10), stat(20)).await.0, Look::Mark);
        assert_eq!(watched(stat(20), stat(10)).await.0, Look::Wait, "it was shorter");
        assert_eq!(watched(stat(10), Stat { ino: 2, ..stat(20) }).await.0, Look::Wait, "another file");
        assert_eq!(watched(stat(10), stat(200 * MIB)).await.0, Look::Wait, "a checkpoint");
        let (_, logs) = watched(stat(10), stat(20)).await;
        logs.changed(&key());
        assert_eq!(logs.saw(&key(), &stat(30)), Look::Wait);
        logs.stored(&key(), 30, false);
        assert_eq!(logs.saw(&key(), &stat(40)), Look::Mark, "it was whole, and goes on");
    }

    #[tokio::test(start_paused = true)]
    async fn files_that_nobody_asks_for_any_more_are_forgotten() {
        let logs = Logs::default();
        for number in 0..100 {
            logs.saw(&RelPath::parse(&number.to_string()).unwrap(), &stat(1));
        }
        later(3601).await;
        logs.saw(&key(), &stat(1));
        assert_eq!(logs.held().len(), 1);
    }

    #[test]
    fn the_hash_is_that_of_the_beginning_and_only_text_has_one() {
        let (file, stop) = (tempfile::NamedTempFile::new().unwrap(), CancellationToken::new());
        let hashed = |size| hash_of(file.as_file(), size, file.path(), &stop).unwrap();
        std::fs::write(file.path(), "line\n".repeat(100_000)).unwrap();
        let hash = hashed(300_000).expect("text");
        std::fs::write(file.path(), "line\n".repeat(100_001)).unwrap();
        assert_eq!(hashed(300_000), Some(hash));
        assert_eq!(hashed(600_000), None, "it is not as long");
        let mut other = "line\n".repeat(100_000).into_bytes();
        other[150_000] = b'x';
        std::fs::write(file.path(), &other).unwrap();
        assert_ne!(hashed(300_000).expect("text"), hash);
        other[150_000] = 0;
        std::fs::write(file.path(), &other).unwrap();
        assert_eq!(hashed(300_000), None, "no text");
    }

    /// A log of text, and what appends to it.
    fn log() -> (tempfile::NamedTempFile, Arc<File>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a line\n".repeat(1000)).unwrap();
        let opened = Arc::new(file.reopen().unwrap());
        (file, opened)
    }

    fn append(file: &tempfile::NamedTempFile, text: &str) {
        use std::io::Write;
        File::options().append(true).open(file.path()).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_log_what_stood_there_at_the_look_before_is_given_and_of_what_is_rewritten_in_place_nothing()
    {
        for in_place in [false, true] {
            let (logs, (file, opened), stop) = (Logs::default(), log(), CancellationToken::new());
            let mut given = Vec::new();
            for _ in 0..20 {
                append(&file, "another line\n");
                if in_place {
                    // A counter in its header: text, and as long as before.
                    let counter = format!("{:06}", given.len());
                    File::options()
                        .write(true)
                        .open(file.path())
                        .unwrap()
                        .write_all_at(counter.as_bytes(), 0)
                        .unwrap();
                }
                given.push(logs.prefix(&key(), &opened, file.path(), &stop).await.unwrap());
                later(10).await;
            }
            let first = given.iter().position(Option::is_some);
            assert_eq!(first, (!in_place).then_some(7), "{given:?}");
            if let Some(Some(held)) = first.map(|first| given[first]) {
                assert_eq!(held.size(), 7000 + 7 * 13, "as of the look before");
                assert!(stays(held, &opened, file.path(), &stop).await.unwrap());
                File::options().write(true).open(file.path()).unwrap().write_all_at(b"A", 3).unwrap();
                assert!(
                    !stays(held, &opened, file.path(), &stop).await.unwrap(),
                    "it changed while it was sent"
                );
            }
        }
    }
}
