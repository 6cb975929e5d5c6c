//! `clean`: what a run left in a store, removed (`polyaxon/_cli/services/clean_artifacts.py`). What is gone is done.
//!
//! The reference logs each failure and ends with 0; here a path that could not be removed fails the job, so that its
//! Kubernetes Job tries again.

use crate::jobs::artifacts::Options;
use crate::jobs::fetch;
use crate::{InitError, say};
use clap::Args;
use plx_contract::connection::Catalog;
use plx_contract::env::SharedEnv;
use plx_runtime::{DiskFiles, Report, Stop};
use plx_transfer::clear;

/// Options of `clean-artifacts KIND`.
#[derive(Debug, Args)]
pub struct CleanArgs {
    /// Kind of the store: s3, gcs, wasb, volume-claim or host-path; for the message.
    #[arg(value_name = "KIND")]
    kind: Option<String>,
    /// The connection; looked up in the catalog.
    #[arg(long, value_name = "NAME")]
    connection_name: String,
    /// What to remove: the store path and what follows. May be given more than once.
    #[arg(long = "subpath", value_name = "PATH", required = true)]
    subpaths: Vec<String>,
    /// Each path is one object, not everything below it.
    #[arg(long)]
    is_file: bool,
}

/// Removes the paths.
///
/// # Errors
/// When the connection cannot be opened, a path is the whole store, or something could not be removed.
pub async fn run(args: &CleanArgs, env: &impl SharedEnv, stop: &Stop) -> Result<Report, InitError> {
    let catalog = Catalog::from_env(env)?;
    let connection = catalog.find(&args.connection_name)?;
    let kind = args.kind.clone().unwrap_or_else(|| connection.kind.to_string());
    let engine = fetch::engine(&Options::default(), env)?;
    let mut errors = Vec::new();
    for subpath in &args.subpaths {
        let (opened, path) = plx_store::open_at(connection, subpath, env, &DiskFiles)?;
        let failed = clear(&engine, &fetch::remote(&opened), &path, !args.is_file, &stop.asked).await;
        if failed.is_empty() {
            say::line(&format!("{kind} subpath was cleaned, subpath: `{subpath}`"));
        }
        errors.extend(failed);
    }
    InitError::transfer(errors)?;
    Ok(Report { message: format!("{} paths cleaned", args.subpaths.len()), ..Report::done() })
}
