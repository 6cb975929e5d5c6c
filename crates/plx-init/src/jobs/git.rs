//! `git`: a repository at a revision (`polyaxon/_cli/services/initializer.py`, `polyaxon/_init/git.py`).

use crate::{InitError, say};
use clap::Args;
use indicatif::HumanBytes;
use plx_contract::connection::{Catalog, Connection, Schema};
use plx_contract::env::SharedEnv;
use plx_contract::lineage::{Artifact, Status};
use plx_contract::{Class, Env, Layout};
use plx_git::{Access, Cloned, GitError, Job, Received};
use plx_runtime::{DiskFiles, Report, Stop};
use plx_track::Tracker;
use plx_transfer::{Shown, show};
use serde_json::json;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What the platform shows of a run whose code is not there; the words are the reference's.
const NOT_CLONED: &str =
    "Error cloning git repo. Please check the git init container's logs for more details.";
const NOT_A_URL: &str = "Error parsing git url. Please check the git init container's logs for more details.";

/// Options of `initializer git`.
#[derive(Debug, Clone, Args)]
pub struct GitArgs {
    /// The folder that the clone becomes; default /plx-context/artifacts/NAME, with the name of the connection or of the
    /// repository.
    #[arg(long, visible_alias = "to", value_name = "DIR")]
    pub(crate) repo_path: Option<PathBuf>,
    /// The repository: https, http, ssh, git, file, user@host:path or a path; default that of the connection.
    #[arg(long, value_name = "URL", allow_hyphen_values = true)]
    pub(crate) url: Option<String>,
    /// Branch, tag, commit (also short), refs/…, HEAD~n; default that of the connection, else the default branch.
    #[arg(long, value_name = "REV", allow_hyphen_values = true)]
    pub(crate) revision: Option<String>,
    /// The connection that the repository belongs to.
    #[arg(long, value_name = "NAME")]
    pub(crate) connection: Option<String>,
    /// Options of `git clone`: a JSON list, a comma list, or as on a command line.
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    pub(crate) flags: Option<String>,
    /// Shows what would be cloned, and clones nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Clones the repository, and tells the platform of it.
///
/// # Errors
/// As [`plx_git::clone`]. The run gets a warning status then.
pub async fn run(args: &GitArgs, env: &impl SharedEnv, stop: &Stop) -> Result<Report, InitError> {
    let job = job(args, env)?;
    if args.dry_run {
        let revision = job.revision.as_deref().unwrap_or("the default branch");
        say::line(&format!(
            "{} at {revision} would be cloned to {}",
            plx_git::shown(&job.url)?,
            job.target.display()
        ));
        return Ok(Report::done());
    }
    let tracker = Tracker::start(env, &DiskFiles);
    let target = job.target.clone();
    let received = Arc::new(Received::default());
    let started = Instant::now();
    let done = cloned(job, env, stop, &received).await;
    match &done {
        Ok(done) => tracker.artifacts(vec![Artifact::code(
            &done.commit,
            &done.branch,
            &done.code_url,
            args.connection.as_deref(),
        )]),
        Err(error) => tracker.status(Status {
            kind: "warning",
            reason: "GitInitializer".to_owned(),
            message: if matches!(error, GitError::Address(_)) { NOT_A_URL } else { NOT_CLONED }.to_owned(),
        }),
    }
    tracker.finish().await;
    let done = done?;
    told(&done, &received, started.elapsed());
    let message = format!("Git Repo is initialized, path: `{}`", target.display());
    say::line(&message);
    Ok(Report {
        class: Class::Done,
        exit: None,
        message,
        next: None,
        details: vec![
            ("commit", json!(done.commit)),
            ("branch", json!(done.branch)),
            ("bytes", json!(received.bytes())),
        ],
    })
}

async fn cloned(job: Job, env: &impl Env, stop: &Stop, received: &Arc<Received>) -> Result<Cloned, GitError> {
    let access = Access::read(env, &DiskFiles)?;
    let work = plx_git::clone(job, access, &DiskFiles, Arc::clone(received), stop.asked.clone());
    show("clone", &Coming(Arc::clone(received)), std::io::stderr().is_terminal(), work).await
}

fn told(done: &Cloned, received: &Received, took: Duration) {
    let on =
        if done.branch == "HEAD" { "on no branch".to_owned() } else { format!("branch {}", done.branch) };
    if done.kept {
        tracing::info!("{}: the clone of {} that is there is kept, {on}", done.at, done.commit);
        return;
    }
    let bytes = HumanBytes(received.bytes());
    tracing::info!("{}: {} {on}, {bytes} received in {:.1} s", done.at, done.commit, took.as_secs_f64());
}

struct Coming(Arc<Received>);

impl Shown for Coming {
    fn part(&self) -> (u64, u64) {
        self.0.part()
    }

    fn line(&self, took: Duration) -> String {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for people"
        )]
        let rate = (self.0.bytes() as f64 / took.as_secs_f64().max(0.001)) as u64;
        format!("{}, {} received, {}/s", self.0.stage(), HumanBytes(self.0.bytes()), HumanBytes(rate))
    }
}

/// What the flags say, and the connection where they are silent.
fn job(args: &GitArgs, env: &impl Env) -> Result<Job, InitError> {
    let of_connection = match (&args.url, &args.connection) {
        (None, Some(name)) => Some(of(Catalog::from_env(env)?.find(name)?)?),
        _ => None,
    };
    let (url, revision, flags) = match (&args.url, of_connection) {
        (Some(url), _) => (url.clone(), None, None),
        (None, Some(given)) => given,
        (None, None) => {
            let reason = "there is neither a url nor a connection that has one".to_owned();
            return Err(InitError::Argument { flag: "--url", reason });
        }
    };
    let target = match &args.repo_path {
        Some(path) => path.clone(),
        None => Layout::from_env(env).artifacts().join(folder_name(args.connection.as_deref(), &url)?),
    };
    let revision = args.revision.clone().or(revision);
    Ok(Job { url, revision, flags: args.flags.clone().or(flags), target })
}

/// The name of the clone's folder: that of the connection, or of the repository.
pub(super) fn folder_name(connection: Option<&str>, url: &str) -> Result<String, InitError> {
    let name = connection.map(str::to_owned).or_else(|| plx_git::repository_name(url));
    let is_one =
        |name: &String| !name.is_empty() && !matches!(name.as_str(), "." | "..") && !name.contains('/');
    name.filter(is_one).ok_or_else(|| InitError::Argument {
        flag: "--repo-path",
        reason: "neither the connection nor the url has a name for a folder: give one".to_owned(),
    })
}

type Given = (String, Option<String>, Option<String>);

/// Url, revision and flags of a connection.
pub(super) fn of(connection: &Connection) -> Result<Given, InitError> {
    match connection.schema() {
        Schema::Git { url, revision, flags } => {
            Ok((url, revision, (!flags.is_empty()).then(|| json!(flags).to_string())))
        }
        _ => Err(InitError::Argument {
            flag: "--connection",
            reason: format!(
                "`{}` is a {} connection and has no url",
                connection.name,
                connection.kind.as_str()
            ),
        }),
    }
}
