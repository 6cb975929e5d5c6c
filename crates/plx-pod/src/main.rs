//! `plx-pod`, and under their names `plx-init` and `plx-sidecar`.

fn main() -> std::process::ExitCode {
    plx_pod::main()
}
