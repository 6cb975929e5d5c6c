//! `plx-entry`.

fn main() -> std::process::ExitCode {
    plx_entry::main()
}
