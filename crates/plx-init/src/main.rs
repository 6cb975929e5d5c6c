//! `plx-init`, and the name `polyaxon` in the init image.

fn main() -> std::process::ExitCode {
    plx_init::main()
}
