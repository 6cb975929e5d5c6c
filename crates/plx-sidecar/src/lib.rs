//! Sends a run's outputs to the artifacts store: a pass at every sync interval while main runs, and everything that is
//! left at the end.
//!
//! A pass is scan, plan, apply, and a commit of only what landed ([`pass`]). The end is a state of its own
//! ([`supervise`]): SIGTERM starts its clock, main's absence starts the last pass, and the report says what did not
//! reach the store. Logs ([`logs`]), the spec of the run's pods ([`spec`]) and what main uses ([`resources`]) are collected
//! beside it, and are files to a pass like all others.

pub mod beside;
mod cli;
mod config;
mod error;
pub mod finish;
pub mod intervals;
pub mod logs;
pub mod main_container;
mod once;
pub mod pass;
pub mod peers;
pub mod pod_status;
pub mod resources;
pub mod spec;
pub mod summaries;
pub mod supervise;
mod unfinished;
mod wrapped;

pub use config::{Config, DEFAULT_GRACE, DEFAULT_LIFELESS, OnIncomplete};
pub use error::SidecarError;

use clap::Parser;
use plx_contract::Class;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program this process was started as.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let name = args.first().map(std::path::Path::new).and_then(std::path::Path::file_name);
    let as_polyaxon = name.is_some_and(|name| name == "polyaxon");
    let parsed = if as_polyaxon {
        cli::Polyaxon::try_parse_from(&args).map(cli::Polyaxon::into_args)
    } else {
        cli::Args::try_parse_from(&args)
    };
    match parsed {
        Ok(args) => plx_runtime::run("plx-sidecar", async move |env, stop| {
            let config = Config::load(&args, &env)?;
            Ok(supervise::run(config, &env, stop).await?)
        }),
        // Under the reference's name an unknown option is 2, as there.
        Err(error) => {
            plx_runtime::usage("plx-sidecar", &error, if as_polyaxon { 2 } else { Class::Usage.code() })
        }
    }
}
