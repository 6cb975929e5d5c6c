//! A container as a process group of this machine.

use crate::collect::{SharedLog, Show, Stream, pump};
use crate::plan::{Container, Program};
use crate::roles::Role;
use plx_contract::Class;
use plx_runtime::Failure;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long the last words of a container that has ended are waited for. Only a process that left its group can hold
/// its streams open longer.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a container is watched.
#[derive(Debug)]
pub struct Watch {
    /// How its stdout is shown.
    pub out: Show,
    /// How its stderr is shown.
    pub err: Show,
    /// Where its lines are kept.
    pub log: Option<SharedLog>,
}

/// A container that runs. Dropped while it does, its group is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    group: Pid,
    /// It is run by a program that hands signals on.
    wrapped: bool,
    streams: Vec<Stream>,
    ended: bool,
}

/// Starts a container in a process group of its own: Ctrl-C of a terminal reaches plx-pod alone, which passes it on.
///
/// # Errors
/// When the program cannot be started; the failure's class tells [`Class::NotFound`] from the rest.
pub fn start(container: &Container, own_binary: &Path, watch: &Watch) -> Result<Running, Failure> {
    let words = container.program.words();
    let (program, args) = words.split_first().expect("a program has a name");
    let mut command = match &container.program {
        Program::Own(..) => {
            let mut command = Command::new(own_binary);
            command.arg0(program);
            command
        }
        // `Command` looks a name up in the child's PATH, as an image's runtime does.
        Program::Person(_) => Command::new(program),
    };
    command.args(args).env_clear().envs(&container.vars).stdin(Stdio::null()).process_group(0);
    if let Some(dir) = &container.dir {
        command.current_dir(dir);
    }
    let bug = |what: &str, error: std::io::Error| Failure::new(Class::Bug, format!("{what}: {error}"));
    let (out, out_end) = std::io::pipe().map_err(|error| bug("make a pipe", error))?;
    let (err, err_end) = std::io::pipe().map_err(|error| bug("make a pipe", error))?;
    command.stdout(out_end).stderr(err_end);
    let child = command.spawn().map_err(|error| {
        let class = match error.kind() {
            std::io::ErrorKind::NotFound => Class::NotFound,
            _ => Class::Config,
        };
        let dir = container.dir.as_ref().map_or_else(String::new, |dir| format!(" in {}", dir.display()));
        Failure::new(class, format!("start `{program}`{dir}: {error}"))
    })?;
    drop(command); // our copies of the pipes' other ends
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let group = group.expect("a child that was not waited for has an id");
    let wrapped = matches!(container.program, Program::Own(Role::Entry, _));
    let mut running = Running { child, group, wrapped, streams: Vec::new(), ended: false };
    let keep = || watch.log.clone().map(|log| (log, container.name.clone()));
    for pumped in [pump(out, watch.out, keep()), pump(err, watch.err, keep())] {
        running.streams.push(pumped.map_err(|error| bug("start a thread", error))?);
    }
    Ok(running)
}

impl Running {
    /// Waits for its end. May be given up and called again.
    ///
    /// # Errors
    /// When the system lost the child.
    pub async fn wait(&mut self) -> Result<Ended, Failure> {
        let status = self.child.wait().await;
        let status =
            status.map_err(|error| Failure::new(Class::Bug, format!("wait for a child: {error}")))?;
        self.ended = true;
        Ok(Ended::of(status))
    }

    /// Sends a signal to its whole group, of a wrapped main as in a pod to process 1 alone: main would have it twice. What is
    /// gone has nothing to be told.
    pub fn signal(&self, signal: Signal) {
        let alone = self.wrapped && signal != Signal::KILL;
        let sent =
            if alone { kill_process(self.group, signal) } else { kill_process_group(self.group, signal) };
        if let Err(error) = sent {
            tracing::debug!("signal {signal:?} to group {}: {error}", self.group.as_raw_nonzero());
        }
    }

    /// After its end: kills what it left running and waits for the rest of its streams.
    pub async fn clean_up(mut self) {
        self.signal(Signal::KILL);
        for stream in std::mem::take(&mut self.streams) {
            let Stream { mut ended, showing } = stream;
            // Closed without a message is the stream's end. Whoever reads our output may take their time, as with any
            // pipe: what was printed is not thrown away because a pager stands still.
            while timeout(LAST_WORDS, &mut ended).await.is_err() {
                if showing.load(Ordering::Relaxed) {
                    continue;
                }
                tracing::warn!(
                    "a process left its group and holds the container's output open: it is not read further"
                );
                break;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.signal(Signal::KILL);
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code, or 128 plus the signal's number.
    pub code: u8,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Ended {
    /// As the system says it.
    pub fn of(status: ExitStatus) -> Self {
        let signal = status.signal();
        let code = status.code().or(signal.map(|signal| 128 + signal)).unwrap_or(255);
        Self { code: u8::try_from(code & 0xff).expect("masked to a byte"), signal }
    }

    /// An end with an exit code.
    pub fn with_code(code: u8) -> Self {
        Self { code, signal: None }
    }

    /// True for exit code 0.
    pub fn is_success(self) -> bool {
        self.code == 0
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.signal {
            Some(signal) => write!(f, "signal {signal}"),
            None => write!(f, "exit {}", self.code),
        }
    }
}
