//! `entry`: places the program that runs main where main's container finds it, in pods that may not ask Kubernetes.

use crate::InitError;
use clap::Args;
use plx_contract::layout::TEMP_PREFIX;
use plx_contract::wrapped::PROGRAM;
use plx_runtime::Report;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Options of `entry`.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// The folder: of the volume that init, main and sidecar share.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The program; default: plx-entry beside this one.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Places the program.
///
/// # Errors
/// When this image does not have it, or the folder cannot be written.
pub fn run(args: &PlaceArgs) -> Result<Report, InitError> {
    let failed = |source| InitError::Place { to: args.to.clone(), source };
    let from = match &args.from {
        Some(from) => from.clone(),
        None => std::env::current_exe().map_err(failed)?.with_file_name(PROGRAM),
    };
    if !from.is_file() {
        return Err(InitError::NoProgram { path: from });
    }
    let to = args.to.join(PROGRAM);
    let bytes = place(&from, &args.to, &to).map_err(failed)?;
    let message = format!("{} is placed", to.display());
    crate::say::line(&message);
    Ok(Report { message, details: vec![("bytes", bytes.into())], ..Report::done() })
}

/// Under its name only when it is whole.
fn place(from: &Path, folder: &Path, to: &Path) -> io::Result<u64> {
    fs::create_dir_all(folder)?;
    // Whatever the umask: main and sidecar may be other users, and write here.
    fs::set_permissions(folder, Permissions::from_mode(0o777))?;
    let part = folder.join(format!("{TEMP_PREFIX}{PROGRAM}"));
    let bytes = fs::copy(from, &part)?;
    fs::set_permissions(&part, Permissions::from_mode(0o755))?;
    fs::rename(&part, to)?;
    Ok(bytes)
}
