//! `dockerfile`: a Dockerfile from its context (`polyaxon/_cli/services/docker.py`, `generate`).

use crate::jobs::generated;
use crate::{InitError, say};
use clap::Args;
use plx_contract::Env;
use plx_contract::dockerfile::Dockerfile;
use plx_runtime::Report;
use plx_transfer::TransferError;
use std::io;
use std::path::PathBuf;

/// Options of `docker generate`.
#[derive(Debug, Args)]
pub struct DockerfileArgs {
    /// What to build from: `{"image":"python:3.12","run":["pip install x"],…}` as JSON or YAML, or a file that holds it.
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) build_context: String,
    /// The folder to write to; it must be there.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) destination: PathBuf,
    /// A second folder, which gets a copy under the file's last name.
    #[arg(long, value_name = "DIR")]
    pub(crate) copy_path: Option<PathBuf>,
    /// Records the file as an input of the run.
    #[arg(long)]
    pub(crate) track: bool,
}

/// Writes the Dockerfile.
///
/// # Errors
/// When the context is wrong, its name leads outside of the folder, the folder is missing, or the file cannot be
/// written. Nothing is written then.
pub async fn run(args: &DockerfileArgs, env: &impl Env) -> Result<Report, InitError> {
    let dockerfile = Dockerfile::parse(&generated::context("--build-context", &args.build_context)?)
        .map_err(|error| InitError::Context { what: "build context", source: error })?;
    if !args.destination.is_dir() {
        let error = TransferError::disk("find folder", &args.destination, io::ErrorKind::NotFound.into());
        return Err(InitError::Transfer { errors: vec![error] });
    }
    let written = generated::write(
        &args.destination,
        dockerfile.filename(),
        dockerfile.render().as_bytes(),
        generated::new_mode().0,
        args.copy_path.as_deref(),
    )?;
    written.track(args.track, "dockerfile", &dockerfile.lineage_hash(), env).await;
    let message = format!("Dockerfile was generated, path: `{}`", written.path.display());
    say::line(&message);
    Ok(Report { message, ..Report::done() })
}
