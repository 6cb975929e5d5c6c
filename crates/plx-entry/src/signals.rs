//! Signals, one after the other, as something to read.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SignalFd, siginfo};

/// What the program itself did wrong; the system does not wait for anybody to read these.
const FAULTS: [Signal; 6] =
    [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGTRAP, Signal::SIGSYS];

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A child has changed.
    Child,
    /// It is main's.
    Signal(Signal),
    /// Nothing for main.
    Nothing,
}

/// All signals that can be caught, held back.
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// Holds signals back from now on. None where the system does not allow it: then they do
    /// what they do to any program, and it is said.
    pub(crate) fn block() -> Option<Self> {
        let mut all = SigSet::all();
        FAULTS.into_iter().for_each(|fault| all.remove(fault));
        let made = all.thread_block().and_then(|()| SignalFd::new(&all));
        made.map(Self).map_err(|error| crate::say(&format!("signals are not handed on: {error}"))).ok()
    }

    /// Waits for one; none when there can be no more.
    pub(crate) fn next(&self) -> Option<Event> {
        loop {
            match self.0.read_signal() {
                Ok(Some(info)) => return Some(event(&info)),
                Ok(None) | Err(Errno::EINTR) => {}
                Err(error) => {
                    crate::say(&format!("signals are handed on no more: {error}"));
                    return None;
                }
            }
        }
    }
}

fn event(info: &siginfo) -> Event {
    let Some(signal) = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok())
    else {
        // A real-time signal: no safe call sends one.
        return Event::Nothing;
    };
    match signal {
        Signal::SIGCHLD => Event::Child,
        // The terminal sends to all processes of its group, and so has main.
        _ if info.ssi_code == nix::libc::SI_KERNEL => Event::Nothing,
        // Of our own making: a stdout that nobody reads.
        _ if info.ssi_pid == std::process::id() => Event::Nothing,
        signal => Event::Signal(signal),
    }
}
