//! Help, version and misuse of a command line.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a command-line program prints before it runs"
)]

use std::process::ExitCode;

/// Prints help and version as they are, with 0, and misuse with `code`.
pub fn usage(error: &clap::Error, code: u8) -> ExitCode {
    let shown = error.render();
    if error.use_stderr() {
        eprint!("{shown}");
        ExitCode::from(code)
    } else {
        print!("{shown}");
        ExitCode::SUCCESS
    }
}
