//! `fswatch`: records what is in a folder as stored.

use crate::InitError;
use clap::Args;
use plx_contract::{Env, Layout};
use plx_journal::{FsFile, Root, Underway};
use plx_runtime::Report;
use std::path::{Path, PathBuf};

/// Options of `initializer fswatch`.
#[derive(Debug, Args)]
pub struct FswatchArgs {
    /// The folder.
    #[arg(long, value_name = "DIR")]
    path: PathBuf,
}

/// Records the folder in the artifacts root's `.fs`. A folder that is not there is an empty record.
///
/// # Errors
/// When the record cannot be written.
pub fn run(args: &FswatchArgs, env: &impl Env) -> Result<Report, InitError> {
    record(&args.path, &Layout::from_env(env))?;
    Ok(Report::done())
}

pub(crate) fn record(folder: &Path, layout: &Layout) -> Result<(), InitError> {
    FsFile::record(&Root::of(folder)).save(&layout.fs_file())?;
    Ok(())
}

/// Tells a sidecar that runs already that a record will come of what is being fetched, until what is returned is dropped.
/// Where that cannot be told, the sidecar may send some of it once more.
pub(crate) fn announce(resume: bool, layout: &Layout) -> Option<Underway> {
    let begun = resume.then(|| Underway::begin(&layout.fs_file()))?;
    begun.inspect_err(|error| tracing::debug!("tell of {}: {error}", layout.fs_file().display())).ok()
}
