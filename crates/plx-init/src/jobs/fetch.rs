//! Plan, show, apply: the part that every fetching job shares.

use crate::jobs::artifacts::Options;
use crate::{InitError, say};
use indicatif::HumanBytes;
use plx_contract::{Class, Env, env};
use plx_runtime::{DiskFiles, Report, Stop, memory_limit};
use plx_store::{Bucket, Opened};
use plx_transfer::{
    Budget, Engine, Patience, Plan, Remote, Settings, TransferError, Want, download, plan, show,
};
use serde_json::json;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

/// What a fetch came to.
pub(crate) enum Fetched {
    /// Everything that was wanted and is not optional is in place.
    Placed { objects: u64, bytes: u64 },
    /// A resume that found nothing: a fresh run.
    Nothing,
    /// A dry run: the plan was shown.
    Shown,
}

/// Fetches `wants` from an opened connection to below `target`.
pub(crate) async fn fetch(
    opened: &Opened,
    wants: Vec<Want>,
    target: &Path,
    options: &Options,
    env: &impl Env,
    stop: &Stop,
) -> Result<Fetched, InitError> {
    let engine = engine(options, env)?;
    let remote = remote(opened);
    let mut plan = plan(&engine, &remote, wants, &stop.asked).await;
    let optional = options.optional || env::boolean(env, env::OPTIONAL_INPUTS)?.unwrap_or(false);
    let is_absent = |error: &TransferError| matches!(error, TransferError::Absent { .. });
    if options.resume && plan.items.is_empty() && plan.missing.iter().all(is_absent) {
        return Ok(Fetched::Nothing);
    }
    if optional {
        let (absent, failed) = std::mem::take(&mut plan.missing).into_iter().partition(is_absent);
        plan.missing = failed;
        for error in absent {
            tracing::warn!("{error}: optional, left out");
        }
    }
    InitError::transfer(std::mem::take(&mut plan.missing))?;
    if options.dry_run {
        say::line(&picture(&plan, &remote, target));
        return Ok(Fetched::Shown);
    }
    let terminal = std::io::stderr().is_terminal();
    let work = download(&engine, &remote, plan, target, &stop.asked);
    let outcome = show("fetch", engine.progress().as_ref(), terminal, work).await;
    InitError::transfer(outcome.failed)?;
    Ok(Fetched::Placed { objects: outcome.objects, bytes: outcome.bytes })
}

pub(crate) fn engine(options: &Options, env: &impl Env) -> Result<Engine, InitError> {
    let patience = env::number(env, env::RETRY_SECONDS)?
        .map_or(Patience::INPUTS, |seconds| Patience::INPUTS.lasting(Duration::from_secs(seconds)));
    let budget = match env::number(env, env::BUFFER_BYTES)? {
        Some(bytes) => Budget::new(bytes),
        None => Budget::for_limit(memory_limit(&DiskFiles)),
    };
    Ok(Engine::new(Settings { workers: options.workers.unwrap_or(Settings::WORKERS), budget, patience }))
}

pub(crate) fn remote(opened: &Opened) -> Remote {
    match opened.clone() {
        Opened::Bucket(Bucket { store, parts, prefix, place, .. }) => {
            Remote::bucket(store, parts, prefix, place)
        }
        Opened::Volume(volume) => Remote::volume(volume.root),
    }
}

fn picture(plan: &Plan, remote: &Remote, target: &Path) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["from", "objects", "bytes", "to"]);
    for item in &plan.items {
        table.add_row([
            remote.at(&item.want.from),
            item.objects.to_string(),
            HumanBytes(item.bytes).to_string(),
            item.want.to.beneath(target).display().to_string(),
        ]);
    }
    let free = free_below(target).map_or_else(|| "unknown".to_owned(), |free| HumanBytes(free).to_string());
    format!(
        "{table}\n{} objects, {} in all; {free} free at {}",
        plan.objects(),
        HumanBytes(plan.bytes()),
        target.display()
    )
}

/// Free bytes of the file system that a folder is on, or will be on.
pub(crate) fn free_below(target: &Path) -> Option<u64> {
    let there = target.ancestors().find(|path| path.exists())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The report of a fetch that did its job.
pub(crate) fn report(message: String, objects: u64, bytes: u64) -> Report {
    Report {
        class: Class::Done,
        exit: None,
        message,
        next: None,
        details: vec![("objects", json!(objects)), ("bytes", json!(bytes))],
    }
}
