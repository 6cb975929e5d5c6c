//! `ref`: a run's artifact, a model version or an artifact version, by its name.
//!
//! With Polyaxon such references are resolved by the server alone (`haupt/orchestration/scheduler/resolver.py`). Here
//! `plx-init` asks the tracking API, or, where there is none or it does not answer, reads what Polyaxon's client leaves
//! in the artifacts store when it works offline. What is found is fetched like `paths`.

mod error;
mod found;
mod name;
mod online;
mod stored;

pub use error::RefError;
pub use name::Reference;

use crate::InitError;
use crate::cli::CommonArgs;
use crate::jobs::artifacts::{self, Inputs, Job, Options};
use clap::Args;
use found::{Found, Looked};
use plx_contract::connection::{Catalog, Connection, ConnectionError};
use plx_contract::env::SharedEnv;
use plx_contract::run;
use plx_contract::{Env, Layout, env};
use plx_runtime::{DiskFiles, Report, Stop};
use plx_track::{Api, Client, Settings};
use std::path::PathBuf;

/// Options of `ref`. Exactly one reference is given.
#[derive(Debug, Clone, Args)]
pub struct RefArgs {
    /// An artifact of a run, by the name it has in the run's lineage.
    #[arg(long, value_name = "RUN:NAME", group = "reference", required = true)]
    pub lineage_ref: Option<String>,
    /// A model version; without a project one of the run's own project.
    #[arg(long, value_name = "[[OWNER/]PROJECT:]VERSION", group = "reference", required = true)]
    pub model_ref: Option<String>,
    /// An artifact version; without a project one of the run's own project.
    #[arg(long, value_name = "[[OWNER/]PROJECT:]VERSION", group = "reference", required = true)]
    pub artifact_ref: Option<String>,
    /// The connection to fetch from; default that of the version, else the artifacts store.
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,
    /// Where to; default /plx-context/artifacts, and a folder NAME in it for another connection than the store.
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Options of every fetch.
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Resolves a reference and fetches what it stands for.
///
/// # Errors
/// When it is no reference, nothing is found by it, or as [`artifacts::run`].
pub async fn run(args: &RefArgs, env: &impl SharedEnv, stop: &Stop) -> Result<Report, RefError> {
    let reference = match (&args.lineage_ref, &args.model_ref, &args.artifact_ref) {
        (Some(raw), None, None) => Reference::lineage(raw)?,
        (None, Some(raw), None) => Reference::model(raw)?,
        (None, None, Some(raw)) => Reference::artifact(raw)?,
        _ => return Err(RefError::NotOne),
    };
    let found = tokio::select! {
        found = resolve(&reference, args, env, stop) => found?,
        () = stop.asked.cancelled() => return Err(RefError::Stopped { reference: reference.to_string() }),
    };
    let job = job(args, found, env)?;
    tracing::info!("{reference}: {:?} of {}", job.inputs.lookups, job.connection);
    Ok(artifacts::run(&job, env, stop).await?)
}

async fn resolve(
    reference: &Reference,
    args: &RefArgs,
    env: &impl SharedEnv,
    stop: &Stop,
) -> Result<Found, RefError> {
    let mut looked = Looked::new(reference);
    // A run of no platform may still name its references in full.
    let own = env.non_empty(env::RUN_INSTANCE).map(|_| run::from_env(env)).transpose()?;
    match Settings::read(env, &DiskFiles)? {
        Api::On(settings) => {
            let client = Client::new(settings)?;
            match online::find(&client, reference, own.as_ref()).await {
                Ok(found) => return Ok(found),
                Err(RefError::Track(error)) if error.is_silence() => looked.silent(error),
                // Files of a run lie in the store whoever asks for them.
                Err(RefError::OwnProject { .. }) => looked.nobody(),
                Err(error) => return Err(error),
            }
        }
        Api::Off(by) => looked.off(by),
    }
    let catalog = Catalog::from_env(env)?;
    let Some(store) = store(args.connection.as_deref(), &catalog, env)? else {
        looked.no_store();
        return Err(looked.failed());
    };
    stored::find(store, reference, own.as_ref(), args, env, stop, looked).await
}

/// The connection that files of runs lie in: the one that was asked for, the artifacts store, or the only store.
fn store<'a>(
    asked: Option<&str>,
    catalog: &'a Catalog,
    env: &impl Env,
) -> Result<Option<&'a Connection>, ConnectionError> {
    if let Some(name) = asked.map(str::to_owned).or_else(|| env.non_empty(env::ARTIFACTS_STORE_NAME)) {
        return catalog.find(&name).map(Some);
    }
    let mut stores = catalog.connections.iter().filter(|connection| connection.kind.is_artifacts());
    Ok(match (stores.next(), stores.next()) {
        (only, None) => only,
        _ => None,
    })
}

fn job(args: &RefArgs, found: Found, env: &impl Env) -> Result<Job, RefError> {
    let catalog = Catalog::from_env(env)?;
    let named = args.connection.as_deref().or(found.connection.as_deref());
    let (connection, to) = match named {
        Some(name) => (catalog.find(name)?, args.to.clone()),
        None => {
            let store = store(None, &catalog, env)?.ok_or(RefError::NoStore)?;
            // As the platform does it: what lies in the artifacts store keeps its place below the artifacts root.
            (store, Some(args.to.clone().unwrap_or_else(|| Layout::from_env(env).artifacts())))
        }
    };
    Ok(Job {
        connection: connection.name.clone(),
        inputs: Inputs { lookups: found.paths, ..Inputs::default() },
        to,
        options: Options {
            workers: args.common.workers,
            optional: args.common.optional,
            dry_run: args.common.dry_run,
            resume: false,
        },
    })
}

impl From<InitError> for RefError {
    fn from(error: InitError) -> Self {
        Self::Fetch(Box::new(error))
    }
}

#[cfg(test)]
#[path = "reference/tests.rs"]
mod tests;
