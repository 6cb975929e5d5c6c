//! Waiting until a file holds still.
//!
//! The status before and after a read is the same when nothing was written in between, but also when a write came within
//! the same tick of the clock that file systems take their times from. And a file that is rewritten in place is empty, or
//! half there, and at rest from one write to the next. So a file is read only when its last change is some time ago.
//! What is still inside of one write, or of one truncation, is waited for ([`status`]).

use crate::TransferError;
use crate::download::blocking;
use crate::upload::now_ns;
use plx_contract::Stat;
use std::fs::File;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// More than the ticks of any kernel, and more than a writer takes from one write to the next: one whose CPU time is used
/// up stands still until the next of the scheduler's periods, of 100 ms each.
const STILL: Duration = Duration::from_millis(100);
/// Looks at a file that grows.
const LOOKS: u32 = 10;

/// The status of an open file, with no write or truncation of it half done; its position is the beginning afterwards.
///
/// A write takes its time before it copies a byte, and ext4 gives a file that is truncated its new size before its new
/// time: a writer that the scheduler, or a busy disk, stops in there leaves a torn file with an old status for as
/// long as it likes. To look for data waits for the lock that both hold (ext4, btrfs, tmpfs; on XFS the read itself does).
pub(crate) fn status(mut file: &File) -> io::Result<Stat> {
    // Whatever it answers, it has waited: an empty file has no data, and other file systems do not know the question.
    rustix::fs::seek(file, rustix::fs::SeekFrom::Data(0)).ok();
    file.rewind()?;
    Ok(Stat::of(&file.metadata()?))
}

/// The status of an open file in between its reads, for a first difference: whatever is still inside of a write is seen
/// at the end. Its position stays.
pub(crate) fn glance(file: &File) -> io::Result<Stat> {
    Ok(Stat::of(&file.metadata()?))
}

/// How a file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It holds still, in this state.
    Still(Stat),
    /// A small file that only ever grows: a log that somebody writes without a pause. What is there of it is as good as
    /// it gets, and to wait for its end would lose it all with the machine.
    Grows(Stat),
    /// The beginning of a large log, as far as this version of it, with its hash: see [`crate::grows`].
    Prefix(Stat, u64),
    /// It is being rewritten: nobody can say which version would be read.
    Changes,
}

impl Held {
    /// The size of the version.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Still(stat) | Self::Grows(stat) | Self::Prefix(stat, _) => stat.size,
            Self::Changes => 0,
        }
    }

    /// The version that may be taken from the file while it is in the state `now`: none when it is another one by now.
    /// What stood in a file that only grew stands there still.
    pub(crate) fn of(self, now: &Stat) -> Option<Stat> {
        match self {
            Self::Still(stat) => stat.same_version(now).then_some(stat),
            Self::Grows(seen) | Self::Prefix(seen, _) => {
                let is_it = (seen.dev, seen.ino) == (now.dev, now.ino) && now.size >= seen.size;
                is_it.then_some(seen)
            }
            Self::Changes => None,
        }
    }
}

/// Waits until the file has not changed for a while; `first` is its status of just now.
pub(crate) async fn hold_still(
    file: &Arc<File>,
    first: Stat,
    is_small: bool,
    path: &Path,
    stop: &CancellationToken,
) -> Result<Held, TransferError> {
    if is_old(&first) {
        return Ok(Held::Still(first));
    }
    let mut last = first;
    for _ in 0..LOOKS {
        tokio::select! {
            () = tokio::time::sleep(STILL) => {}
            () = stop.cancelled() => {
                return Err(TransferError::Stopped { at: path.display().to_string(), last: None });
            }
        }
        let now = look(Arc::clone(file), path.to_owned()).await?;
        // By our own clock and not by that of the file's server, which may be another.
        if now.same_version(&last) {
            return Ok(Held::Still(now));
        }
        if !is_small || now.size <= last.size {
            return Ok(Held::Changes);
        }
        last = now;
    }
    Ok(Held::Grows(last))
}

pub(crate) async fn look(file: Arc<File>, path: PathBuf) -> Result<Stat, TransferError> {
    blocking(move || status(&file).map_err(|error| TransferError::disk("read", &path, error))).await
}

/// True when the last change is longer ago than that, by the wall clock.
fn is_old(stat: &Stat) -> bool {
    let still = i64::try_from(STILL.as_nanos()).unwrap_or(i64::MAX);
    now_ns().saturating_sub(stat.ctime_ns) > still
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn stat(file: &File) -> Stat {
        Stat::of(&file.metadata().unwrap())
    }

    async fn held(file: &Arc<File>, is_small: bool, each: impl Fn() + Send + 'static) -> Held {
        let (stop, done) = (CancellationToken::new(), CancellationToken::new());
        let (writing, (begun, first)) = (done.clone(), tokio::sync::oneshot::channel());
        let writer = std::thread::spawn(move || {
            each();
            begun.send(()).unwrap();
            while !writing.is_cancelled() {
                each();
                std::thread::yield_now();
            }
        });
        first.await.unwrap();
        let held = hold_still(file, stat(file), is_small, Path::new("f"), &stop).await.unwrap();
        done.cancel();
        writer.join().unwrap();
        held
    }

    fn opened() -> (tempfile::NamedTempFile, Arc<File>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"here").unwrap();
        let opened = Arc::new(file.reopen().unwrap());
        (file, opened)
    }

    #[tokio::test]
    async fn a_file_that_is_left_alone_holds_still_and_one_that_is_rewritten_does_not() {
        let (file, opened) = opened();
        assert_eq!(held(&opened, true, || ()).await, Held::Still(stat(&opened)));
        let path = file.path().to_owned();
        assert_eq!(held(&opened, true, move || std::fs::write(&path, "more").unwrap()).await, Held::Changes);
    }

    #[tokio::test]
    async fn a_small_file_that_only_grows_is_a_log() {
        for (is_small, is_log) in [(true, true), (false, false)] {
            let (file, opened) = opened();
            let log = File::options().append(true).open(file.path()).unwrap();
            let held = held(&opened, is_small, move || (&log).write_all(b"line\n").unwrap()).await;
            assert_eq!(
                (matches!(held, Held::Grows(_)), held == Held::Changes),
                (is_log, !is_log),
                "{held:?}"
            );
        }
    }
}
