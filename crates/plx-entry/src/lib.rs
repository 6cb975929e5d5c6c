//! Runs main in pods that have no rights on the API of their cluster, where nobody else could tell the sidecar what main printed
//! and that it has ended.
//!
//! An init container places this program on the volume that main and sidecar share, and main's command is given to it. It
//! starts main as a container's runtime would (PATH, 127 for a program that is not there, 126 for one that cannot be run),
//! hands on every signal, copies stdout and stderr byte for byte to its own and to segments on the volume ([`log`]), reaps what
//! is orphaned when it is process 1, leaves the marker of main's end ([`folder`]) and ends with main's code.
//!
//! Nothing that happens to the volume harms main: it is said once what is missing.

mod args;
mod folder;
mod log;
mod main_process;
mod signals;
mod tee;

use args::Asked;
use folder::Folder;
use log::Log;
use main_process::Main;
use plx_contract::Class;
use signals::{Event, Signals};
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tee::Tee;

/// The log, shared by the threads that copy the two streams.
type SharedLog = Arc<Mutex<Log>>;

/// The name of this program, which is in front of what it says.
pub const NAME: &str = plx_contract::wrapped::PROGRAM;

/// The program.
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some((first, words)) = words.split_first()
        && (first == args::EXEC || first == args::LEAD)
    {
        return ExitCode::from(main_process::become_main(words, first == args::LEAD));
    }
    match args::parse(words) {
        Ok(asked) => ExitCode::from(run(&asked)),
        Err(why) => {
            say(&format!("error: {why}\nnext: {}", args::USAGE));
            ExitCode::from(Class::Usage.code())
        }
    }
}

fn run(asked: &Asked) -> u8 {
    // Before there is a thread: a signal that comes to any of them waits for this one.
    let signals = Signals::block();
    let folder = Folder::open(&asked.folder, asked.restarts);
    let log = asked.tee.then(|| {
        let log = Log::new(asked.folder.clone(), folder.attempt(), asked.keep);
        Arc::new(Mutex::new(log))
    });
    let code = match Main::start(&asked.words, log.as_ref()) {
        Ok((main, tee)) => until_end(&main, tee, signals.as_ref()),
        Err(error) => {
            say(&format!("no process for main: {error}"));
            main_process::CANNOT_RUN
        }
    };
    let written = log.as_ref().map(|log| locked(log).close());
    folder.leave(code, written);
    code
}

/// Hands on signals until main has ended, and copies what is left of its output.
fn until_end(main: &Main, tee: Option<Tee>, signals: Option<&Signals>) -> u8 {
    let code = loop {
        match signals.and_then(Signals::next) {
            Some(Event::Child) => {
                if let Some(code) = main.reap() {
                    break code;
                }
            }
            Some(Event::Signal(signal)) => main.signal(signal),
            Some(Event::Nothing) => {}
            None => break main.wait(),
        }
    };
    main.clean_up();
    if let Some(tee) = tee {
        tee.finish();
    }
    code
}

fn locked(log: &SharedLog) -> std::sync::MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says something beside main's own words. Where nobody reads it, nothing else can be done.
fn say(what: &str) {
    let line = format!("{NAME}: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).ok();
}
