//! `path`: one path from where to where, with the options of the reference's `initializer path`.
//!
//! The reference exits 0 whatever happens unless `--raise-errors` is given, and the scripts in the field never give it.
//! Here a missing or refused input always fails; only a resume (`--sync-fw`) may find nothing.

use crate::jobs::artifacts::Options;
use crate::jobs::fetch::{self, Fetched};
use crate::jobs::fswatch;
use crate::{InitError, cli::CommonArgs, say};
use clap::Args;
use plx_contract::connection::Catalog;
use plx_contract::env::SharedEnv;
use plx_contract::{Layout, RelPath};
use plx_runtime::{DiskFiles, Report, Stop};
use plx_transfer::{Want, WantKind};
use std::path::{Path, PathBuf};

/// Options of `initializer path|s3|gcs|wasb`.
#[derive(Debug, Args)]
pub struct PathArgs {
    /// The connection; looked up in the catalog.
    #[arg(long, value_name = "NAME")]
    connection_name: Option<String>,
    /// Its kind, for the message.
    #[arg(long, value_name = "KIND")]
    connection_kind: Option<String>,
    /// Where from: the store path and what follows.
    #[arg(long, value_name = "PATH")]
    path_from: Option<String>,
    /// Where to, on this machine.
    #[arg(long, value_name = "PATH")]
    path_to: Option<PathBuf>,
    /// The source is one object; the target is its full name.
    #[arg(long)]
    is_file: bool,
    /// The source is whichever of object and folder is there.
    #[arg(long)]
    check_path: bool,
    /// Accepted for compatibility: errors are always raised.
    #[arg(long)]
    raise_errors: bool,
    /// A resume: an absent source is a fresh run; what is fetched is recorded in `.fs`.
    #[arg(long)]
    sync_fw: bool,
    #[command(flatten)]
    common: CommonArgs,
}

impl PathArgs {
    /// The same for a command that names its kind itself.
    #[must_use]
    pub fn of_kind(self, kind: &str) -> Self {
        Self { connection_kind: Some(kind.to_owned()), ..self }
    }
}

/// Fetches one path.
///
/// # Errors
/// As [`crate::jobs::artifacts::run`].
pub async fn run(args: PathArgs, env: &impl SharedEnv, stop: &Stop) -> Result<Report, InitError> {
    let missing = |flag| InitError::Argument { flag, reason: "it is needed".to_owned() };
    let catalog = Catalog::from_env(env)?;
    let connection = catalog.find(args.connection_name.as_deref().ok_or(missing("--connection-name"))?)?;
    let path_from = args.path_from.as_deref().ok_or(missing("--path-from"))?;
    let path_to = args.path_to.as_deref().ok_or(missing("--path-to"))?;
    let (opened, from) = plx_store::open_at(connection, path_from, env, &DiskFiles)?;
    let options = Options {
        workers: args.common.workers,
        optional: args.common.optional,
        dry_run: args.common.dry_run,
        resume: args.sync_fw,
    };
    let kind = match (args.is_file, args.check_path) {
        (true, _) => WantKind::File,
        (false, true) => WantKind::Lookup,
        (false, false) => WantKind::Folder,
    };
    // A folder is the target itself; an object's target is its name, in a folder that is the target.
    let (target, to) = match kind {
        WantKind::Folder => (path_to.to_owned(), RelPath::root()),
        WantKind::File | WantKind::Lookup => split(path_to)?,
    };
    let want = Want { from, to, kind };
    let kind = args.connection_kind.unwrap_or_else(|| connection.kind.to_string());
    let layout = Layout::from_env(env);
    let _underway = fswatch::announce(args.sync_fw, &layout);
    match fetch::fetch(&opened, vec![want], &target, &options, env, stop).await? {
        Fetched::Shown => Ok(Report::done()),
        Fetched::Nothing => {
            // As the reference leaves it: an empty folder for main to write into.
            plx_transfer::Place::open(path_to)
                .map_err(|error| InitError::Transfer { errors: vec![error] })?;
            let message = format!("{kind} path holds nothing yet, a fresh run: `{path_from}`");
            say::line(&message);
            Ok(fetch::report(message, 0, 0))
        }
        Fetched::Placed { objects, bytes } => {
            if args.sync_fw {
                fswatch::record(path_to, &layout)?;
            }
            let message = format!("{kind} path is initialized, path: `{}`", path_to.display());
            say::line(&message);
            Ok(fetch::report(message, objects, bytes))
        }
    }
}

fn split(path: &Path) -> Result<(PathBuf, RelPath), InitError> {
    let name = path.file_name().and_then(|name| name.to_str());
    match (path.parent(), name) {
        (Some(parent), Some(name)) => Ok((parent.to_owned(), RelPath::parse(name)?)),
        _ => Err(InitError::Argument {
            flag: "--path-to",
            reason: format!("`{}` names no file", path.display()),
        }),
    }
}
