//! The only place that prints: results, to stdout.

#![expect(clippy::print_stdout, reason = "what a command-line program says on success")]

/// One line of result.
pub(crate) fn line(text: &str) {
    println!("{text}");
}
