//! The name `polyaxon`, as the pod specs of Polyaxon 2.18 call it (`polyaxon/_cli/services/initializer.py`).

use crate::jobs::{auth, clean, dockerfile, file, fswatch, git, path, tensorboard, wait};
use clap::{Parser, Subcommand};
use plx_contract::Env;
use plx_runtime::{Failure, ProcessEnv, Report, Stop};
use std::ffi::OsString;

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
    /// No call to the tracking API.
    #[arg(long)]
    offline: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings inputs into the pod.
    #[command(subcommand)]
    Initializer(Initializer),
    /// Dockerfiles.
    #[command(subcommand)]
    Docker(Docker),
    /// Removes what a run left in a store.
    CleanArtifacts(clean::CleanArgs),
    /// Waits until a run's resource is gone from the cluster.
    Wait(wait::WaitArgs),
}

#[derive(Debug, Subcommand)]
enum Docker {
    /// Writes a Dockerfile from its context.
    Generate(dockerfile::DockerfileArgs),
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
    /// Clones a git repository at a revision.
    Git(git::GitArgs),
    /// Gets a token for main, on behalf of the run.
    Auth(auth::AuthArgs),
    /// Writes a file from its content.
    File(file::FileArgs),
    /// Fetches the Tensorboard logs of runs, and writes a script that shows them.
    Tensorboard(tensorboard::TensorboardArgs),
    /// Records a folder in `.fs`.
    Fswatch(fswatch::FswatchArgs),
}

/// The process's environment, and what the global options say beside it.
#[derive(Clone)]
struct Settings {
    process: ProcessEnv,
    offline: bool,
}

impl Env for Settings {
    fn get(&self, key: &str) -> Option<String> {
        if self.offline && key == plx_track::keys::IS_OFFLINE {
            return Some("true".to_owned());
        }
        self.process.get(key)
    }
}

impl Cli {
    /// Click takes long options behind one dash too; two of them are called in the field.
    pub(crate) fn from_args(args: &[OsString]) -> Result<Self, clap::Error> {
        let long = args.iter().map(|arg| {
            let Some(text) = arg.to_str() else { return arg.clone() };
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            };
            let name = match name {
                "-sp" => "--subpath",
                "-uid" => "--uuids",
                _ => return arg.clone(),
            };
            value.map_or_else(|| name.into(), |value| format!("{name}={value}").into())
        });
        Self::try_parse_from(long)
    }

    pub(crate) async fn run(self, env: ProcessEnv, stop: Stop) -> Result<Report, Failure> {
        let env = Settings { process: env, offline: self.offline };
        let command = match self.command {
            Command::Initializer(command) => command,
            Command::CleanArtifacts(args) => return Ok(clean::run(&args, &env, &stop).await?),
            Command::Wait(args) => return wait::run(&args, &env, &stop).await,
            Command::Docker(Docker::Generate(args)) => return Ok(dockerfile::run(&args, &env).await?),
        };
        Ok(match command {
            Initializer::Auth(args) => auth::run(&args, &env, &stop).await?,
            Initializer::Git(args) => git::run(&args, &env, &stop).await?,
            Initializer::File(args) => file::run(&args, &env).await?,
            Initializer::Tensorboard(args) => tensorboard::run(&args, &env, &stop).await?,
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
        let all: Vec<OsString> = ["polyaxon"].iter().chain(args).map(OsString::from).collect();
        assert_eq!(Cli::from_args(&all).is_ok(), want, "{args:?}");
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
        let clean = ["clean-artifacts", "volume-claim", "--connection-name", "c"];
        parses(&[&clean[..], &["-sp=/s/A", "-sp", "/s/B", "--subpath=/s/C"]].concat(), true);
        parses(&clean, false);
        let logs = ["initializer", "tensorboard", "--context-from=/s", "--context-to=/x"];
        parses(&[&logs[..], &["-uid", "a,b", "--port=1"]].concat(), true);
        parses(&["docker", "generate", "--build-context={}", "--destination=/x", "--track"], true);
        parses(&["initializer", "file", "--file-context={}", "--filepath=/x", "--copy-path=/y"], true);
    }
}
