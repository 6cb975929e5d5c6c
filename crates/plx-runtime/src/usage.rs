//! Help, version and misuse of a command line.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a command-line program prints before it runs"
)]

use crate::{ProcessEnv, Report};
use plx_contract::Class;
use std::process::ExitCode;

/// Prints help and version as they are, with 0; misuse with `code` and a report of it.
pub fn usage(program: &str, error: &clap::Error, code: u8) -> ExitCode {
    let shown = error.render();
    if error.use_stderr() {
        eprint!("{shown}");
        let first = shown.to_string().lines().next().unwrap_or_default().to_owned();
        let report = Report {
            class: Class::Usage,
            exit: Some(code),
            message: first.trim_start_matches("error: ").to_owned(),
            next: Some("see --help".to_owned()),
            details: Vec::new(),
        };
        report.write(program, &ProcessEnv);
        ExitCode::from(code)
    } else {
        print!("{shown}");
        ExitCode::SUCCESS
    }
}
