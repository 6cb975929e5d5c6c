//! `artifacts`: files, folders and paths of one connection.

use crate::jobs::fetch::{self, Fetched};
use crate::jobs::fswatch;
use crate::{InitError, say};
use indicatif::HumanBytes;
use plx_contract::connection::Catalog;
use plx_contract::env::SharedEnv;
use plx_contract::init::Subpath;
use plx_contract::{Layout, RelPath, env};
use plx_runtime::{DiskFiles, Report, Stop};
use plx_transfer::{Want, WantKind};
use std::path::PathBuf;

/// What is wanted of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inputs {
    /// Single objects.
    pub files: Vec<Subpath>,
    /// Everything below a prefix.
    pub dirs: Vec<Subpath>,
    /// Whichever of the two is there.
    pub lookups: Vec<Subpath>,
}

/// How it is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Objects at a time.
    pub workers: Option<usize>,
    /// Absent inputs pass.
    pub optional: bool,
    /// Only show the plan.
    pub dry_run: bool,
    /// An absent folder is a fresh run; what is fetched is recorded in `.fs`.
    pub resume: bool,
}

/// One call of `artifacts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The connection.
    pub connection: String,
    /// What is wanted of it.
    pub inputs: Inputs,
    /// Where to; `ART` for the default artifacts store, else `ART/NAME`.
    pub to: Option<PathBuf>,
    /// How.
    pub options: Options,
}

/// Fetches what a job asks for.
///
/// # Errors
/// When the connection cannot be used, an input is missing or refused, or the target cannot be written.
pub async fn run(job: &Job, env: &impl SharedEnv, stop: &Stop) -> Result<Report, InitError> {
    let catalog = Catalog::from_env(env)?;
    let connection = catalog.find(&job.connection)?;
    let opened = plx_store::open(connection, env, &DiskFiles)?;
    let layout = Layout::from_env(env);
    let target = job.to.clone().unwrap_or_else(|| match env.non_empty(env::ARTIFACTS_STORE_NAME) {
        Some(store) if store == connection.name => layout.artifacts(),
        _ => layout.artifacts().join(&connection.name),
    });
    let wants = wants(&job.inputs)?;
    let resumed = wants.first().map(|want| want.to.clone()).unwrap_or_default();
    let started = tokio::time::Instant::now();
    let _underway = fswatch::announce(job.options.resume, &layout);
    let fetched = fetch::fetch(&opened, wants, &target, &job.options, env, stop).await?;
    let (objects, bytes) = match fetched {
        Fetched::Shown => return Ok(Report::done()),
        Fetched::Nothing => {
            let message = format!("{}: nothing stored yet, a fresh run", connection.name);
            say::line(&message);
            return Ok(fetch::report(message, 0, 0));
        }
        Fetched::Placed { objects, bytes } => (objects, bytes),
    };
    if job.options.resume {
        fswatch::record(&resumed.beneath(&target), &layout)?;
    }
    let message = format!(
        "{}: {objects} objects, {} in {:.1} s from {opened} to {}",
        connection.name,
        HumanBytes(bytes),
        started.elapsed().as_secs_f64(),
        target.display()
    );
    say::line(&message);
    Ok(fetch::report(message, objects, bytes))
}

/// In Polyaxon's order: files, dirs, paths.
fn wants(inputs: &Inputs) -> Result<Vec<Want>, InitError> {
    let kinds = [
        (&inputs.files, WantKind::File),
        (&inputs.dirs, WantKind::Folder),
        (&inputs.lookups, WantKind::Lookup),
    ];
    let mut wants: Vec<Want> = Vec::new();
    for (paths, kind) in kinds {
        for path in paths {
            let want = Want { from: RelPath::parse(path.from())?, to: RelPath::parse(path.to())?, kind };
            // Two objects under one name: one of them would be missing, and nobody would say so.
            let clash = |other: &&Want| other.to == want.to && other.from != want.from;
            if kind == WantKind::File
                && let Some(other) = wants.iter().find(clash)
            {
                return Err(InitError::Argument {
                    flag: "--file",
                    reason: format!("`{}` and `{}` both want the name `{}`", other.from, want.from, want.to),
                });
            }
            wants.push(want);
        }
    }
    Ok(wants)
}
