//! `file`: a file from its content (`polyaxon/_cli/services/initializer.py`, `polyaxon/_init/file.py`).

use crate::jobs::generated;
use crate::{InitError, say};
use clap::Args;
use plx_contract::Env;
use plx_contract::file::FileContext;
use plx_contract::mode::chmod;
use plx_runtime::Report;
use std::path::PathBuf;

/// Options of `initializer file`.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// What to write: `{"content":"…","filename":"script.sh","chmod":"+x","kind":"…"}` as JSON or YAML, or a file that
    /// holds it.
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) file_context: String,
    /// The folder to write to.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) filepath: PathBuf,
    /// A second folder, which gets a copy under the file's last name.
    #[arg(long, value_name = "DIR")]
    pub(crate) copy_path: Option<PathBuf>,
    /// Records the file as an input of the run.
    #[arg(long)]
    pub(crate) track: bool,
}

/// Writes the file.
///
/// # Errors
/// When the context is wrong, its name leads outside of the folder, or the file cannot be written. Nothing is written
/// then.
pub async fn run(args: &FileArgs, env: &impl Env) -> Result<Report, InitError> {
    let context = FileContext::parse(&generated::context("--file-context", &args.file_context)?)
        .map_err(|error| InitError::Context { what: "file context", source: error })?;
    let (new, umask) = generated::new_mode();
    let mode = match &context.chmod {
        None => new,
        Some(mode) => chmod(new, mode, umask).ok_or_else(|| InitError::Argument {
            flag: "chmod",
            reason: format!("`{mode}` is no mode, neither octal nor symbolic"),
        })?,
    };
    let written = generated::write(
        &args.filepath,
        &context.filename,
        context.content.as_bytes(),
        mode,
        args.copy_path.as_deref(),
    )?;
    written.track(args.track, context.kind(), &context.lineage_hash(), env).await;
    let message = format!("File is initialized, path: `{}`", written.last().display());
    say::line(&message);
    Ok(Report { message, ..Report::done() })
}
