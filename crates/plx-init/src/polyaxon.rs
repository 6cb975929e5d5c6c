//! The name `polyaxon`, as the pod specs of Polyaxon 2.18 call it (`polyaxon/_cli/services/initializer.py`).

use crate::jobs::{fswatch, path};
use clap::{Parser, Subcommand};
use plx_runtime::{Failure, ProcessEnv, Report, Stop};

/// The init container of a Polyaxon run.
#[derive(Debug, Parser)]
#[command(name = "polyaxon", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Accepted for compatibility: log level debug is set with POLYAXON_LOG_LEVEL.
    #[arg(short, long, hide = true)]
    verbose: bool,
    /// Accepted for compatibility.
    #[arg(long, hide = true)]
    show_context: bool,
    /// No call to the tracking API: this version makes none.
    #[arg(long, hide = true)]
    offline: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings inputs into the pod.
    #[command(subcommand)]
    Initializer(Initializer),
}

#[derive(Debug, Subcommand)]
enum Initializer {
    /// Fetches one path of a connection.
    Path(path::PathArgs),
    /// Fetches one path of an S3 connection.
    S3(path::PathArgs),
    /// Fetches one path of a GCS connection.
    Gcs(path::PathArgs),
    /// Fetches one path of an Azure connection.
    Wasb(path::PathArgs),
    /// Records a folder in `.fs`.
    Fswatch(fswatch::FswatchArgs),
}

impl Cli {
    pub(crate) async fn run(self, env: ProcessEnv, stop: Stop) -> Result<Report, Failure> {
        let Command::Initializer(command) = self.command;
        Ok(match command {
            Initializer::Path(args) => path::run(args, &env, &stop).await?,
            Initializer::S3(args) => path::run(args.of_kind("s3"), &env, &stop).await?,
            Initializer::Gcs(args) => path::run(args.of_kind("gcs"), &env, &stop).await?,
            Initializer::Wasb(args) => path::run(args.of_kind("wasb"), &env, &stop).await?,
            Initializer::Fswatch(args) => fswatch::run(&args, &env)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parses(args: &[&str], want: bool) {
        let all = ["polyaxon"].iter().chain(args);
        assert_eq!(Cli::try_parse_from(all).is_ok(), want, "{args:?}");
    }

    #[test]
    fn options_in_both_forms_and_global_ones_first() {
        parses(
            &["-v", "initializer", "path", "--connection-name=a", "--path-from", "s3://b", "--path-to=/x"],
            true,
        );
        parses(
            &[
                "initializer",
                "path",
                "--connection-name=a",
                "--connection-kind=s3",
                "--path-from=s3://b/R",
                "--path-to=/x",
                "--sync-fw",
                "--check-path",
                "--is-file",
                "--raise-errors",
            ],
            true,
        );
        parses(
            &["--offline", "initializer", "s3", "--connection-name=a", "--path-from=s3://b", "--path-to=/x"],
            true,
        );
        parses(&["initializer", "fswatch", "--path=/x"], true);
        parses(&["initializer", "path", "--nope"], false);
        parses(&["bake"], false);
    }
}
