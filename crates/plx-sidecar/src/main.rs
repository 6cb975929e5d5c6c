//! `plx-sidecar`, and the name `polyaxon` in the sidecar image.

fn main() -> std::process::ExitCode {
    plx_sidecar::main()
}
