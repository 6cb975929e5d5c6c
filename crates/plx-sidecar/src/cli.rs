//! The command line: Polyaxon's options, and ours.

use crate::OnIncomplete;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Sends a run's outputs to the artifacts store while main runs, and the rest at the end.
///
/// The run, the pod and the store come from POLYAXON_RUN_INSTANCE, POLYAXON_K8S_POD_ID, POLYAXON_ARTIFACTS_STORE_NAME
/// and POLYAXON_CONNECTIONS_CATALOG, as in a pod of Polyaxon.
#[derive(Debug, Clone, Parser)]
#[command(name = "plx-sidecar", version, after_help = EXAMPLES)]
pub struct Args {
    /// Name of the main container: main is gone when the pod's status says that it ended for good.
    #[arg(long, default_value = "polyaxon-main", value_name = "NAME")]
    pub container_id: String,
    /// Seconds between two looks at the pod where it cannot be watched, at least 1; passes are never closer than this.
    #[arg(long, default_value_t = 2, value_name = "SECONDS", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(..=A_YEAR))]
    pub sleep_interval: i64,
    /// Seconds between the starts of two passes; -1: only at the end.
    #[arg(long, default_value_t = -1, value_name = "SECONDS", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(..=A_YEAR))]
    pub sync_interval: i64,
    /// Main is gone when this process is.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub main_pid: Option<i32>,
    /// Main is gone when this file exists: {"exit_code":N}.
    #[arg(long, value_name = "FILE")]
    pub main_marker: Option<PathBuf>,
    /// Main is run by plx-entry, which leaves its output and its end in this folder: nothing is asked of Kubernetes.
    #[arg(long, value_name = "DIR")]
    pub wrapped_main: Option<PathBuf>,
    /// Seconds between SIGTERM and SIGKILL; default: PLX_GRACE_SECONDS, what the pod says, or 30.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=A_YEAR as u64))]
    pub grace_period: Option<u64>,
    /// Seconds the last pass may take after main ended by itself; default 1800, or PLX_FINISH_SECONDS.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=A_YEAR as u64))]
    pub finish_timeout: Option<u64>,
    /// Seconds that count as main's end when nothing says that it lives, nobody can tell its end, and no file changes; 0: never;
    /// default 86400, or PLX_LIFELESS_SECONDS.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=A_YEAR as u64))]
    pub lifeless_timeout: Option<u64>,
    /// What an end with something left unstored means: `report` exits 0, `fail` exits 75.
    #[arg(long, value_enum, default_value = "report")]
    pub on_incomplete: OnIncomplete,
    /// Collects the logs of all containers of the pod from Kubernetes, or main's from --wrapped-main, into plxlogs/POD.jsonl.
    #[arg(long)]
    pub monitor_logs: bool,
    /// Collects the spec of the run's pods and what happened to them, from Kubernetes into outputs/spec.json.
    #[arg(long)]
    pub monitor_spec: bool,
    /// Accepted for compatibility: failures are retried as long as there is time.
    #[arg(long, hide = true)]
    pub max_retries: Option<u32>,
}

/// Longer than any run; clocks that are further away than they can count would panic.
const A_YEAR: i64 = 31_536_000;

const EXAMPLES: &str = "\
Examples:
  A pass every 10 seconds, until the process 4711 is gone:
    plx-sidecar --sync-interval 10 --main-pid 4711
  Only at the end, and a failure when something could not be stored:
    plx-sidecar --sync-interval=-1 --main-marker /plx-context/main-exit.json --on-incomplete fail";

/// `polyaxon sidecar …`
#[derive(Debug, Parser)]
#[command(name = "polyaxon", version, arg_required_else_help = true)]
pub struct Polyaxon {
    #[arg(short, long, hide = true)]
    verbose: bool,
    #[arg(long, hide = true)]
    offline: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends a run's outputs to the artifacts store.
    Sidecar(Args),
}

impl Polyaxon {
    /// The options of the one command there is.
    pub fn into_args(self) -> Args {
        let Command::Sidecar(args) = self.command;
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_the_converter_parse() {
        let args = Polyaxon::try_parse_from([
            "polyaxon",
            "sidecar",
            "--container-id=polyaxon-main",
            "--sleep-interval=10",
            "--sync-interval=-1",
            "--monitor-logs",
            "--monitor-spec",
        ])
        .expect("parses")
        .into_args();
        assert_eq!(
            (args.sleep_interval, args.sync_interval, args.monitor_logs && args.monitor_spec),
            (10, -1, true)
        );
        assert!(Args::try_parse_from(["plx-sidecar", "--sync-interval", "-1"]).is_ok());
        assert!(Args::try_parse_from(["plx-sidecar", "--nope"]).is_err());
    }
}
