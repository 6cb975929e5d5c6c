//! Copies main's streams, byte for byte and as they come.

use crate::{SharedLog, locked, say};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use plx_contract::wrapped::Stream;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// As much as a pipe holds.
const BUFFER: usize = 64 << 10;
/// After main's end, so long for whoever holds its streams open. Only a process that main left running can.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// So many times that, when our own output is slow to be taken.
const PATIENCE: u32 = 15;

/// The two streams, being copied.
pub(crate) struct Tee {
    ended: Receiver<()>,
    streams: usize,
    /// A copy waits until our own output is taken.
    busy: Vec<Arc<AtomicBool>>,
}

impl Tee {
    /// A thread for each stream: one that stands still must not hold up the other.
    pub(crate) fn start(pipes: Vec<(Stream, PipeReader)>, log: &SharedLog) -> Self {
        let (ends, ended) = channel();
        let mut tee = Self { ended, streams: pipes.len(), busy: Vec::new() };
        for (stream, pipe) in pipes {
            let busy = Arc::new(AtomicBool::new(false));
            tee.busy.push(Arc::clone(&busy));
            let copy = Copy { stream, log: Arc::clone(log), busy, ends: ends.clone() };
            thread::spawn(move || copy.run(pipe));
        }
        tee
    }

    /// Waits for the ends of both, within a bound.
    pub(crate) fn finish(mut self) {
        for _ in 0..PATIENCE {
            while self.streams > 0 && self.ended.recv_timeout(LAST_WORDS).is_ok() {
                self.streams -= 1;
            }
            if self.streams == 0 {
                return;
            }
            if !self.busy.iter().any(|busy| busy.load(Ordering::Relaxed)) {
                say(
                    "main has ended, and a process that it left running holds its output open: it is not read further",
                );
                return;
            }
        }
        say("main has ended, and nobody takes its last output");
    }
}

struct Copy {
    stream: Stream,
    log: SharedLog,
    busy: Arc<AtomicBool>,
    ends: Sender<()>,
}

impl Copy {
    fn run(self, mut from: PipeReader) {
        let mut buffer = vec![0; BUFFER];
        let mut shown = true;
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    say(&format!("main's output cannot be read: {error}"));
                    break;
                }
            };
            let bytes = &buffer[..read];
            // Kept before it is shown: whoever reads our output slowly does not hold up the sidecar.
            locked(&self.log).write(self.stream, bytes);
            if shown {
                self.busy.store(true, Ordering::Relaxed);
                shown = match self.stream {
                    Stream::Out => write_all(&mut Raw(io::stdout().as_fd()), bytes),
                    Stream::Err => write_all(&mut Raw(io::stderr().as_fd()), bytes),
                };
                self.busy.store(false, Ordering::Relaxed);
            }
        }
        // Who waits may have given up.
        self.ends.send(()).ok();
    }
}

/// A descriptor without a buffer of Rust's: what main wrote without a line's end is to be seen at once.
struct Raw<'a>(std::os::fd::BorrowedFd<'a>);

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes all; false when nobody reads it any more. Whoever shares our output may have made it one that does not wait.
fn write_all(to: &mut Raw<'_>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut wanted = [PollFd::new(to.0, PollFlags::POLLOUT)];
                if poll(&mut wanted, PollTimeout::NONE).is_err_and(|error| error != nix::errno::Errno::EINTR)
                {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}
