//! The command line.

use clap::Parser;
use clap::error::ErrorKind;
use plx_contract::Class;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the pod of a Polyaxon operation on this machine, or renders it for a cluster.
#[derive(Debug, Parser)]
#[command(name = "plx-pod", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What is asked for.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Fetch the inputs, run main, store its outputs and logs
    #[command(after_help = EXAMPLES)]
    Run(Box<RunArgs>),
    /// Print the pod or Job that a cluster would run, as YAML for `kubectl apply`
    #[command(after_help = RENDER_EXAMPLES)]
    Render(Box<RenderArgs>),
    /// Show that pod for people: containers in order, what each reads and writes, connections, secrets, main's environment
    Explain(Box<ExplainArgs>),
}

const RENDER_EXAMPLES: &str = "\
Examples:
  On a cluster, with a deployment's stores and images:
    plx-pod render train.yaml -c deployment.yaml | kubectl apply -f -
  In a namespace where pods may not ask Kubernetes:
    plx-pod render train.yaml -c deployment.yaml --wrap-main | kubectl apply -f -
  As a Job, of a run that can be resumed:
    plx-pod render train.yaml -c deployment.yaml --as job --run-uuid 6fb8dd0c7e2c4d5c9a3a1b1f0e9d8c7b

Exit code: 0; 64 wrong command line, 66 no such file, 78 a document or configuration that cannot be rendered.";

const EXAMPLES: &str = "\
Examples:
  A folder as the store, no account, no network (inputs and outputs in .plx/store):
    plx-pod run train.yaml
  Another folder:
    plx-pod run train.yaml --store /data/store
  A bucket, here of MinIO; the keys come from the environment:
    AWS_ACCESS_KEY_ID=minio AWS_SECRET_ACCESS_KEY=minio123 \\
      plx-pod run train.yaml --store s3://bucket/prefix --endpoint http://127.0.0.1:9000
  Several connections, with one of them as the store:
    plx-pod run train.yaml --connections connections.yaml
  Resume: the outputs of the earlier run are fetched first:
    plx-pod run train.yaml --run-uuid 6fb8dd0c7e2c4d5c9a3a1b1f0e9d8c7b
  From stdin; main gets a variable of this shell:
    generate | plx-pod run - --env-pass WANDB_MODE
  Only show what would run, and what init would fetch:
    plx-pod run train.yaml --dry-run

Exit code: main's own (128+N when signal N ended it). Main succeeded and outputs are missing in the store: 75.
An init container failed: its class: 65 unsafe data, 66 no such input, 69 unavailable, 73 cannot write, 77 denied,
78 configuration. Wrong command line: 64.";

/// `plx-pod run`.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// The operation or component, YAML or JSON, version 1.1; `-` reads stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The artifacts store: a folder, s3://BUCKET[/PREFIX], gs://BUCKET[/PREFIX] or
    /// wasbs://CONTAINER@ACCOUNT.blob.core.windows.net[/PREFIX], with credentials from the environment
    /// [default: the folder store in the work dir]
    #[arg(long, value_name = "DIR|URL")]
    pub store: Option<String>,
    /// Endpoint of the bucket given with --store, for MinIO and friends
    #[arg(long, value_name = "URL", requires = "store")]
    pub endpoint: Option<String>,
    /// Region of the bucket given with --store
    #[arg(long, value_name = "REGION", requires = "store")]
    pub region: Option<String>,
    /// Connections, YAML or JSON: {artifactsStore: {name, kind, schema}, connections: [...]}
    #[arg(long, value_name = "FILE")]
    pub connections: Option<PathBuf>,
    /// The run; give an earlier one to resume it [default: a random one]
    #[arg(long, value_name = "UUID")]
    pub run_uuid: Option<String>,
    /// Owner and project of the run
    #[arg(long, value_name = "OWNER/PROJECT", default_value = "local/local")]
    pub project: String,
    /// Folder of the default store and of the pods' folders
    #[arg(long, value_name = "DIR", default_value = plx_contract::layout::OWN_STATE)]
    pub work_dir: PathBuf,
    /// Hand this variable of the caller to every container; may be given again
    #[arg(long, value_name = "NAME")]
    pub env_pass: Vec<String>,
    /// Seconds between two passes of the sidecar; -1: only at the end [default: the file's, else 10]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub sync_interval: Option<i64>,
    /// Seconds between two looks of the sidecar [default: the file's, else 10]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub sleep_interval: Option<i64>,
    /// Seconds from Ctrl-C or SIGTERM to SIGKILL; a second Ctrl-C kills main now
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub grace_period: u64,
    /// Seconds the last pass may take after main ended by itself [default: the sidecar's]
    #[arg(long, value_name = "SECONDS")]
    pub finish_timeout: Option<u64>,
    /// The sidecar as a native one: it is started before all init containers, and told to end when main has ended, as by
    /// Kubernetes 1.29 and newer
    #[arg(long)]
    pub native_sidecar: bool,
    /// Keep the pod's folder after a complete run
    #[arg(long)]
    pub keep: bool,
    /// Show what would run, and what init would fetch; start nothing else
    #[arg(long)]
    pub dry_run: bool,
    /// Main is run by plx-entry, as in a pod that may not ask Kubernetes: the sidecar takes its logs and its end from there
    #[arg(long)]
    pub wrap_main: bool,
    /// Show the sidecar's log too, not only its warnings
    #[arg(short, long)]
    pub verbose: bool,
}

/// What a run is rendered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum As {
    /// A Pod.
    #[default]
    Pod,
    /// A Job.
    Job,
}

/// `plx-pod render`.
#[derive(Debug, Clone, clap::Args)]
pub struct RenderArgs {
    /// The operation or component, YAML or JSON, version 1.1; `-` reads stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The deployment: artifacts store, connections, images, API; see docs/render.md [default: a folder of the node as
    /// the store, no API]
    #[arg(short, long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,
    /// A Pod, or a Job
    #[arg(long = "as", value_name = "KIND", value_enum, default_value_t = As::Pod)]
    pub form: As,
    /// The run; give an earlier one to resume it [default: a random one]
    #[arg(long, value_name = "UUID")]
    pub run_uuid: Option<String>,
    /// Owner and project of the run
    #[arg(long, value_name = "OWNER/PROJECT", default_value = "local/local")]
    pub project: String,
    /// Name of the run [default: the file's, else the UUID]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Namespace of the pod [default: the configuration's]
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// URL of the tracking API, as seen from the pod [default: the configuration's, else none]
    #[arg(long, value_name = "URL")]
    pub host: Option<String>,
    /// The sidecar as an init container that is restarted always (Kubernetes 1.29 and newer)
    #[arg(long)]
    pub native_sidecar: bool,
    /// For pods that have no rights on the API of their cluster: main is run by plx-entry, from which the sidecar has main's logs
    /// and its end
    #[arg(long)]
    pub wrap_main: bool,
}

/// How a pod is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Lines for a terminal.
    Text,
    /// A drawing.
    Svg,
    /// A page with the drawing.
    Html,
}

/// `plx-pod explain`.
#[derive(Debug, Clone, clap::Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    #[allow(missing_docs, reason = "the words are those of render")]
    pub render: RenderArgs,
    /// How it is shown [default: by the end of --output's name, else text]
    #[arg(long, value_name = "FORM", value_enum)]
    pub format: Option<Form>,
    /// Write it to a file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl ExplainArgs {
    /// How it is shown.
    pub fn form(&self) -> Form {
        let end = self.output.as_deref().and_then(|path| path.extension()?.to_str());
        self.format.unwrap_or(match end {
            Some("svg") => Form::Svg,
            Some("html" | "htm") => Form::Html,
            _ => Form::Text,
        })
    }
}

/// Parses the command line.
///
/// # Errors
/// The exit code, when nothing is to be run: help, version, a wrong command line. The words are printed.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, ExitCode> {
    Cli::try_parse_from(args).map(|cli| cli.command).map_err(|error| {
        if let Err(error) = error.print() {
            tracing::debug!("print the help: {error}");
        }
        ExitCode::from(exit_code(error.kind()))
    })
}

/// clap's 2 is 64 here, as in `sysexits.h`.
pub fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Class::Done.code(),
        _ => Class::Usage.code(),
    }
}

impl RunArgs {
    /// The arguments of `plx-pod run`, for tests and for programs that have words already.
    ///
    /// # Errors
    /// clap's.
    pub fn from_words(words: &[&str]) -> Result<Self, clap::Error> {
        let all = ["plx-pod", "run"].into_iter().chain(words.iter().copied());
        match Cli::try_parse_from(all)?.command {
            Command::Run(args) => Ok(*args),
            _ => Err(clap::Error::new(ErrorKind::InvalidSubcommand)),
        }
    }
}

impl RenderArgs {
    /// The arguments of `plx-pod render`, as above.
    ///
    /// # Errors
    /// clap's.
    pub fn from_words(words: &[&str]) -> Result<Self, clap::Error> {
        let all = ["plx-pod", "render"].into_iter().chain(words.iter().copied());
        match Cli::try_parse_from(all)?.command {
            Command::Render(args) => Ok(*args),
            _ => Err(clap::Error::new(ErrorKind::InvalidSubcommand)),
        }
    }
}
