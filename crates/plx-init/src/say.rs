//! The only place that prints: results to stdout, usage to stderr.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a command-line program says on success and on misuse"
)]

use std::process::ExitCode;

/// One line of result.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// Help and version as they are, with 0; misuse with `code`.
pub(crate) fn usage(error: &clap::Error, code: u8) -> ExitCode {
    let shown = error.render();
    if error.use_stderr() {
        eprint!("{shown}");
        ExitCode::from(code)
    } else {
        print!("{shown}");
        ExitCode::SUCCESS
    }
}
