//! Main as a child.
//!
//! As process 1 of a container we stand where main would stand. So main has a process group of its own there, as its runtime
//! would have given it: `kill 0` in main does not come back through us, and a signal to process 1 is main's, and only main's.
//! With main all that it has left running ends, as the kernel does it when a process 1 ends. Elsewhere (a pod whose processes are
//! shared, `plx-pod run`) main stays in our group, so that whoever ends that ends main too.

use crate::tee::Tee;
use crate::{SharedLog, say};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{self, Pid};
use plx_contract::wrapped::Stream;
use rustix::process::{WaitOptions, WaitStatus, wait};
use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A program that is not there; as a shell says it.
const NOT_FOUND: u8 = 127;
/// One that is there and cannot be run.
pub(crate) const CANNOT_RUN: u8 = 126;
/// This very program, even where its file has been removed.
const OURSELVES: &str = "/proc/self/exe";

/// Main, running.
pub(crate) struct Main {
    pid: Pid,
    /// We are process 1.
    first: bool,
}

impl Main {
    /// Starts main; its streams are copied where there is a log, and are ours where there is none.
    ///
    /// It is started by [`become_main`]: a child begins with the signals held back that its parent holds back, and only
    /// the child itself can change that without losing one.
    ///
    /// # Errors
    /// When there can be no process.
    pub(crate) fn start(words: &[OsString], log: Option<&SharedLog>) -> io::Result<(Self, Option<Tee>)> {
        let first = std::process::id() == 1;
        let mut command = Command::new(OURSELVES);
        command.arg0(crate::NAME).arg(if first { crate::args::LEAD } else { crate::args::EXEC }).args(words);
        let mut pipes = Vec::new();
        if log.is_some() {
            for stream in Stream::BOTH {
                let (read, write) = io::pipe()?;
                match stream {
                    Stream::Out => command.stdout(write),
                    Stream::Err => command.stderr(write),
                };
                pipes.push((stream, read));
            }
        }
        #[allow(clippy::zombie_processes, reason = "`reap` waits for all children")]
        let child = command.spawn()?;
        drop(command); // our copies of the pipes' other ends
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let tee = log.map(|log| Tee::start(pipes, log));
        Ok((Self { pid, first }, tee))
    }

    /// Hands on a signal, to main alone, as a runtime does. A main that has just ended needs none.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Err(error) = kill(self.pid, signal)
            && error != nix::errno::Errno::ESRCH
        {
            say(&format!("{signal} cannot be handed on: {error}"));
        }
    }

    /// Takes leave of all children that have ended; main's exit code when it is among them.
    pub(crate) fn reap(&self) -> Option<u8> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            ended = ended.or(self.code(pid.as_raw_pid(), status));
        }
        ended
    }

    /// Waits for main's end, without signals.
    pub(crate) fn wait(&self) -> u8 {
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) => {
                    if let Some(code) = self.code(pid.as_raw_pid(), status) {
                        return code;
                    }
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    say(&format!("main cannot be waited for: {error}"));
                    return u8::MAX;
                }
            }
        }
    }

    fn code(&self, pid: i32, status: WaitStatus) -> Option<u8> {
        if pid != self.pid.as_raw() {
            return None;
        }
        let code = status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal))?;
        u8::try_from(code & 0xff).ok()
    }

    /// Ends what main left, where the kernel would have done it at main's end.
    pub(crate) fn clean_up(&self) {
        // No process is left to be ended: that is no failure.
        if self.first
            && let Err(error) = kill(Pid::from_raw(-1), Signal::SIGKILL)
            && error != nix::errno::Errno::ESRCH
        {
            say(&format!("what main left running cannot be ended: {error}"));
        }
    }
}

/// Makes main of this process; the exit code when that cannot be. `lead`: in a process group of its own.
pub(crate) fn become_main(words: &[OsString], lead: bool) -> u8 {
    let Some((program, args)) = words.split_first() else { return CANNOT_RUN };
    if lead && let Err(error) = lead_a_group() {
        say(&format!("main has no process group of its own: {error}"));
    }
    if let Err(error) = SigSet::empty().thread_set_mask() {
        say(&format!("main begins with signals held back: {error}"));
    }
    // Looked up in our PATH, which is the container's.
    let error = Command::new(program).args(args).exec();
    say(&format!("start `{}`: {error}", program.to_string_lossy()));
    if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN }
}

/// The terminal becomes the group's too, or main might not read from it.
fn lead_a_group() -> nix::Result<()> {
    let stdin = io::stdin();
    let before = unistd::getpgrp();
    unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    if stdin.is_terminal() && unistd::tcgetpgrp(&stdin) == Ok(before) {
        // Signals are held back here: the one that keeps others from taking a terminal, too.
        unistd::tcsetpgrp(&stdin, unistd::getpgrp())?;
    }
    Ok(())
}
