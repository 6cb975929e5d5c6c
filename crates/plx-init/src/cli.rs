//! The command line of `plx-init`.

use crate::InitError;
use crate::jobs::artifacts::{Inputs, Job, Options};
use crate::jobs::{
    artifacts, auth, clean, dockerfile, doctor, entry, file, fswatch, git, path, place, reference,
    tensorboard, wait,
};
use clap::{Args, Parser, Subcommand};
use plx_contract::init::{Artifacts, Subpath};
use plx_runtime::{Failure, ProcessEnv, Report, Stop};
use std::path::PathBuf;

/// Brings a run's inputs into its pod before main starts.
///
/// Connections come from POLYAXON_CONNECTIONS_CATALOG, credentials from each connection's secret or the environment.
/// Every failure has a class, which is the exit code: 64 usage, 65 unsafe data, 66 not found, 69 unavailable,
/// 73 cannot write, 75 not in time, 77 denied, 78 configuration.
#[derive(Debug, Parser)]
#[command(name = "plx-init", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetches files, folders or everything from a connection.
    #[command(after_help = ARTIFACTS_HELP)]
    Artifacts(ArtifactsArgs),
    /// Carries out one entry of an `init` section, as it is written in an operation file.
    #[command(after_help = RUN_HELP)]
    Run(entry::RunArgs),
    /// Resolves a reference to a model, an artifact or a run's lineage, and fetches what it stands for.
    Ref(reference::RefArgs),
    /// Gets a token for main, on behalf of the run.
    Auth(auth::AuthArgs),
    /// Clones a git repository at a revision.
    #[command(after_help = GIT_HELP)]
    Git(git::GitArgs),
    /// Writes a file from its content.
    File(file::FileArgs),
    /// Writes a Dockerfile from its context.
    Dockerfile(dockerfile::DockerfileArgs),
    /// Fetches the Tensorboard logs of runs, and writes a script that shows them.
    Tensorboard(tensorboard::TensorboardArgs),
    /// Fetches one path: what a store script of a pod spec calls.
    Path(path::PathArgs),
    /// Records a folder in the artifacts root's `.fs`, so that the sidecar does not store it again.
    Fswatch(fswatch::FswatchArgs),
    /// Places plx-entry, which runs main in pods that may not ask Kubernetes.
    Entry(place::PlaceArgs),
    /// Removes what a run left in a store.
    Clean(clean::CleanArgs),
    /// Waits until a run's resource is gone from the cluster.
    Wait(wait::WaitArgs),
    /// Tells whether connections work: credentials, endpoint, trust, region, clock, and every kind of request.
    #[command(after_help = DOCTOR_HELP)]
    Doctor(doctor::DoctorArgs),
}

const RUN_HELP: &str = "\
Exactly one handler: artifacts, paths, git, dockerfile, file, tensorboard, lineageRef, modelRef, artifactRef, or a connection alone, which picks its handler.

Examples:
    plx-init run '{\"connection\":\"datasets\",\"artifacts\":{\"dirs\":[\"images\"]},\"path\":\"/data\"}'
    plx-init run 'file: {filename: run.sh, chmod: +x, content: echo hello}'
    plx-init run entry.yaml";

const DOCTOR_HELP: &str = "\
It writes below a scratch prefix of the connection and deletes what it wrote; with --read-only it only looks. What it
prints names the source of each credential, never the credential.

Examples:
  One connection, then all of POLYAXON_CONNECTIONS_CATALOG:
    plx-init doctor --connection datasets
    plx-init doctor
  An input that may not be written to, for a program to read:
    plx-init doctor --connection datasets --read-only --json";

const GIT_HELP: &str = "\
Credentials come from POLYAXON_GIT_CREDENTIALS (user:token), POLYAXON_GIT_CREDENTIALS_STORE (a file) or POLYAXON_SSH_PATH
(a folder with a key, and `known_hosts` to pin the host). A revision that is not there is an error.

Examples:
  The default branch, to /plx-context/artifacts/repo:
    plx-init git --url https://git.example.com/org/repo
  A tag without its history, with submodules:
    plx-init git --url git@git.example.com:org/repo --revision v1.2 --flags '--depth 1 --recurse-submodules' --to /code";

const ARTIFACTS_HELP: &str = "\
Examples:
  A folder and a file of the connection `datasets`, to /plx-context/artifacts/datasets:
    plx-init artifacts --connection datasets --dir images/train --file labels.csv
  The same from another place to another place, seen first:
    plx-init artifacts --connection datasets --dir '[\"images/train\",\"train\"]' --to /data --dry-run
  As written in an operation file:
    plx-init artifacts --connection datasets --artifacts '{\"dirs\":[\"images\"],\"workers\":8}'
  Everything:
    plx-init artifacts --connection datasets --whole";

#[derive(Debug, Args)]
struct ArtifactsArgs {
    /// The connection to fetch from.
    #[arg(long, value_name = "NAME")]
    connection: String,
    /// One object. May be given more than once; `["from","to"]` gives it another name.
    #[arg(long = "file", value_name = "PATH", value_parser = subpath)]
    files: Vec<Subpath>,
    /// Everything below a folder or prefix. May be given more than once; `["from","to"]` moves it.
    #[arg(long = "dir", value_name = "PATH", value_parser = subpath)]
    dirs: Vec<Subpath>,
    /// An object or a folder, whichever is there. May be given more than once; `["from","to"]` moves it.
    #[arg(long = "path", value_name = "PATH", value_parser = subpath)]
    lookups: Vec<Subpath>,
    /// The `artifacts` section of an init entry, as JSON.
    #[arg(long, value_name = "JSON")]
    artifacts: Option<String>,
    /// The `paths` section of an init entry, as JSON.
    #[arg(long, value_name = "JSON")]
    paths: Option<String>,
    /// Everything in the connection; also the default when nothing is named.
    #[arg(long, conflicts_with_all = ["files", "dirs", "lookups"])]
    whole: bool,
    /// Where to; default /plx-context/artifacts/NAME.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// A resume: a folder that holds nothing yet is a fresh run, and what is fetched is recorded in `.fs`. Takes one
    /// folder.
    #[arg(long)]
    sync_fw: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// Options of every fetch.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CommonArgs {
    /// At most so many objects at a time.
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// Inputs that do not exist are left out. Denied ones still fail. Also PLX_OPTIONAL_INPUTS=true.
    #[arg(long)]
    pub optional: bool,
    /// Shows what would be fetched (objects, bytes, target, free disk) and fetches nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// A path, or a pair as JSON.
fn subpath(raw: &str) -> Result<Subpath, String> {
    if raw.starts_with('[')
        && let Ok((from, to)) = serde_json::from_str(raw)
    {
        return Ok(Subpath::Pair(from, to));
    }
    Ok(Subpath::Same(raw.to_owned()))
}

impl Cli {
    pub(crate) async fn run(self, env: ProcessEnv, stop: Stop) -> Result<Report, Failure> {
        Ok(match self.command {
            Command::Artifacts(args) => artifacts::run(&args.job()?, &env, &stop).await?,
            Command::Path(args) => path::run(args, &env, &stop).await?,
            Command::Fswatch(args) => fswatch::run(&args, &env)?,
            Command::Run(args) => entry::run(&args, &env, &stop).await?,
            Command::Ref(args) => reference::run(&args, &env, &stop).await?,
            Command::Auth(args) => auth::run(&args, &env, &stop).await?,
            Command::Git(args) => git::run(&args, &env, &stop).await?,
            Command::File(args) => file::run(&args, &env).await?,
            Command::Dockerfile(args) => dockerfile::run(&args, &env).await?,
            Command::Tensorboard(args) => tensorboard::run(&args, &env, &stop).await?,
            Command::Entry(args) => place::run(&args)?,
            Command::Clean(args) => clean::run(&args, &env, &stop).await?,
            Command::Wait(args) => wait::run(&args, &env, &stop).await?,
            Command::Doctor(args) => doctor::run(&args, &env, &stop).await?,
        })
    }
}

impl ArtifactsArgs {
    fn job(self) -> Result<Job, InitError> {
        let wrong =
            |flag| move |error: serde_json::Error| InitError::Argument { flag, reason: error.to_string() };
        let section: Artifacts = match &self.artifacts {
            Some(json) => serde_json::from_str(json).map_err(wrong("--artifacts"))?,
            None => Artifacts::default(),
        };
        let mut lookups: Vec<Subpath> = match &self.paths {
            Some(json) => serde_json::from_str(json).map_err(wrong("--paths"))?,
            None => Vec::new(),
        };
        let (mut files, mut dirs) = (section.files.unwrap_or_default(), section.dirs.unwrap_or_default());
        files.extend(self.files);
        dirs.extend(self.dirs);
        lookups.extend(self.lookups);
        let nothing = files.is_empty() && dirs.is_empty() && lookups.is_empty();
        if self.whole || nothing {
            dirs.push(Subpath::Same(String::new()));
        }
        if self.sync_fw && (dirs.len() != 1 || !files.is_empty() || !lookups.is_empty()) {
            return Err(InitError::Argument {
                flag: "--sync-fw",
                reason: "it takes exactly one folder".to_owned(),
            });
        }
        let options = Options {
            workers: self.common.workers.or(section.workers),
            optional: self.common.optional,
            dry_run: self.common.dry_run,
            resume: self.sync_fw,
        };
        Ok(Job { connection: self.connection, inputs: Inputs { files, dirs, lookups }, to: self.to, options })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(args: &[&str]) -> Result<Job, InitError> {
        let all = ["plx-init", "artifacts", "--connection", "c"].iter().chain(args);
        match Cli::try_parse_from(all).expect("parses").command {
            Command::Artifacts(args) => args.job(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sections_and_single_options_add_up() {
        let job = job(&[
            "--artifacts",
            r#"{"files":["a"],"dirs":[["b","c"]],"workers":4}"#,
            "--file",
            "[x].txt",
            "--dir=[\"d\",\"e\"]",
            "--paths",
            r#"["p",["q","r"]]"#,
        ])
        .expect("a job");
        let same = |path: &str| Subpath::Same(path.into());
        let pair = |from: &str, to: &str| Subpath::Pair(from.into(), to.into());
        assert_eq!(job.inputs.files, [same("a"), same("[x].txt")]);
        assert_eq!(job.inputs.dirs, [pair("b", "c"), pair("d", "e")]);
        assert_eq!(job.inputs.lookups, [same("p"), pair("q", "r")]);
        assert_eq!(job.options.workers, Some(4));
    }

    #[test]
    fn nothing_named_is_everything_and_a_resume_is_one_folder() {
        assert_eq!(job(&[]).expect("a job").inputs.dirs, [Subpath::Same(String::new())]);
        assert!(job(&["--sync-fw", "--dir", "a", "--dir", "b"]).is_err());
        assert!(job(&["--artifacts", "{\"filez\":[]}"]).is_err());
    }
}
