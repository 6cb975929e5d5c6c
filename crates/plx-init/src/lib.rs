//! Brings a run's inputs into its pod before main starts.
//!
//! One program under several names: `plx-init artifacts …` with options of its own, and `polyaxon initializer …` with those
//! of Polyaxon 2.18, which pod specs in the field call. Both end in the same [`jobs`]. As `sh` and `bash` it runs the
//! store scripts of those pod specs itself and hands everything else to busybox.

mod cli;
mod error;
pub mod jobs;
mod polyaxon;
mod say;
mod shell;

pub use error::InitError;

use clap::Parser;
use plx_contract::Class;
use plx_runtime::{Failure, ProcessEnv, Report, Stop};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program this process was started as.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let name = args.first().map(std::path::Path::new).and_then(std::path::Path::file_name);
    if name.is_some_and(|name| name == "sh" || name == "bash") {
        return shell::main(&args);
    }
    if name.is_some_and(|name| name == "polyaxon") {
        return match polyaxon::Cli::from_args(&args) {
            Ok(cli) => run(move |env, stop| cli.run(env, stop)),
            // As in the reference: 2 on an unknown option.
            Err(error) => plx_runtime::usage("plx-init", &error, 2),
        };
    }
    match cli::Cli::try_parse_from(&args) {
        Ok(cli) => run(move |env, stop| cli.run(env, stop)),
        Err(error) => plx_runtime::usage("plx-init", &error, Class::Usage.code()),
    }
}

fn run<F: Future<Output = Result<Report, Failure>>>(job: impl FnOnce(ProcessEnv, Stop) -> F) -> ExitCode {
    plx_runtime::run("plx-init", async move |env, stop| job(env, stop).await)
}
