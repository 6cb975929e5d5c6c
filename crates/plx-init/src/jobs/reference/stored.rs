//! Resolving with what Polyaxon's client writes when it works offline (`polyaxon/_contexts/paths.py`).
//!
//! | file, below the store path | what it is | written by |
//! | --- | --- | --- |
//! | `R/lineages.plx.json`, `runs/R/lineages.plx.json` | the run's artifacts, as a list | `RunClient.persist_run`, `push_offline_run` |
//! | `models/V/version.plx.json`, `artifacts/V/version.plx.json` | a version with its artifacts | `ProjectClient.pull_version` |
//!
//! `runs/`, `models/` and `artifacts/` are the folders of Polyaxon's offline root; a run that was pushed stands without
//! `runs/`.

use super::found::{self, Found, Looked};
use super::online::{no_artifacts, run_of};
use super::{RefArgs, RefError, Reference};
use crate::InitError;
use crate::jobs::{artifacts, fetch};
use plx_contract::connection::Connection;
use plx_contract::env::SharedEnv;
use plx_contract::layout::OWN_STATE;
use plx_contract::run::{RunInstance, RunUuid};
use plx_contract::{Layout, RelPath};
use plx_runtime::{DiskFiles, Stop};
use plx_track::{Recorded, Version, VersionKind};
use plx_transfer::{Engine, Remote, TransferError, Want, WantKind, download, plan};
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The store, and where its small files are put to be read.
struct Shelf<'a> {
    engine: Engine,
    remote: Remote,
    scratch: PathBuf,
    stop: &'a Stop,
}

pub(super) async fn find(
    store: &Connection,
    reference: &Reference,
    own: Option<&RunInstance>,
    args: &RefArgs,
    env: &impl SharedEnv,
    stop: &Stop,
    looked: Looked,
) -> Result<Found, RefError> {
    let opened = plx_store::open(store, env, &DiskFiles)?;
    let options = artifacts::Options { workers: args.common.workers, ..artifacts::Options::default() };
    let target = args.to.clone().unwrap_or_else(|| Layout::from_env(env).artifacts());
    let own_state = target.join(OWN_STATE);
    let scratch = own_state.join(format!("ref-{}", std::process::id()));
    let shelf = Shelf {
        engine: fetch::engine(&options, env)?,
        remote: fetch::remote(&opened),
        scratch: scratch.clone(),
        stop,
    };
    let found = match reference {
        Reference::Lineage { run, name, .. } => shelf.lineage(reference, run, name, looked).await,
        Reference::Version { kind, owner, project, version } => {
            let owner = owner.as_deref().or(own.map(|own| own.owner.as_str()));
            let project = project.as_deref().or(own.map(|own| own.project.as_str()));
            shelf.version(reference, *kind, owner, project, version, looked).await
        }
    };
    clean_up(&scratch, &own_state);
    found
}

/// Left behind, they would only take some bytes in a folder that no scan reads: worth a warning, and no more.
fn clean_up(scratch: &Path, own_state: &Path) {
    let not_removed = |folder: &Path, error: &io::Error| {
        let folder = folder.display();
        tracing::warn!("{folder} is not removed: {error}; nothing reads it any more: remove it by hand");
    };
    match std::fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != ErrorKind::NotFound => not_removed(scratch, &error),
        _ => {}
    }
    // It is ours alone only when nothing else of ours is in it.
    match std::fs::remove_dir(own_state) {
        Err(error) if ![ErrorKind::NotFound, ErrorKind::DirectoryNotEmpty].contains(&error.kind()) => {
            not_removed(own_state, &error);
        }
        _ => {}
    }
}

impl Shelf<'_> {
    async fn lineage(
        &self,
        reference: &Reference,
        run: &RunUuid,
        name: &str,
        mut looked: Looked,
    ) -> Result<Found, RefError> {
        match self.recorded(run, &[name.to_owned()], &mut looked).await? {
            Some((base, place, artifacts)) => {
                let paths = found::paths(reference, &place, base, run, &artifacts)?;
                Ok(Found { connection: None, paths })
            }
            None => Err(looked.failed()),
        }
    }

    /// The artifacts of a run that have one of these names, what lies before the run's folder, and the file.
    async fn recorded(
        &self,
        run: &RunUuid,
        names: &[String],
        looked: &mut Looked,
    ) -> Result<Option<(&'static str, String, Vec<Recorded>)>, RefError> {
        for base in ["", "runs"] {
            let path = RelPath::parse(&format!("{base}/{run}/lineages.plx.json")).map_err(InitError::from)?;
            let place = self.remote.at(&path);
            let Some(mut all) = self.json::<Vec<Recorded>>(&path).await? else {
                looked.at(place, "not there");
                continue;
            };
            let missing = names.iter().find(|name| !all.iter().any(|artifact| artifact.name == **name));
            if let Some(missing) = missing {
                looked.at(place, &format!("has no `{missing}`"));
                continue;
            }
            all.retain(|artifact| names.contains(&artifact.name));
            return Ok(Some((base, place, all)));
        }
        Ok(None)
    }

    async fn version(
        &self,
        reference: &Reference,
        kind: VersionKind,
        owner: Option<&str>,
        project: Option<&str>,
        name: &str,
        mut looked: Looked,
    ) -> Result<Found, RefError> {
        let path = RelPath::parse(&format!("{}s/{name}/version.plx.json", kind.as_str()));
        let path = path.map_err(InitError::from)?;
        let place = self.remote.at(&path);
        let Some(version) = self.json::<Version>(&path).await? else {
            looked.at(place, "not there");
            return Err(looked.failed());
        };
        // The folder has no project in its name: the file says of which it is.
        let other = |wanted: Option<&str>, is: Option<&str>| wanted.zip(is).is_some_and(|(a, b)| a != b);
        if other(project, version.project.as_deref()) || other(owner, version.owner.as_deref()) {
            let of = [version.owner.as_deref(), version.project.as_deref()];
            let of: Vec<&str> = of.into_iter().flatten().collect();
            looked.at(place, &format!("is a version of {}", of.join("/")));
            return Err(looked.failed());
        }
        let run = run_of(reference, &place, &version)?;
        let connection = version.connection().map(str::to_owned);
        let (base, artifacts) = match (version.recorded(), version.names()) {
            ([], []) => return Err(no_artifacts(reference, &place)),
            ([], names) => match self.recorded(&run, names, &mut looked).await? {
                Some((base, _, artifacts)) => (base, artifacts),
                None => return Err(looked.failed()),
            },
            (artifacts, _) => ("", artifacts.to_vec()),
        };
        let paths = found::paths(reference, &place, base, &run, &artifacts)?;
        Ok(Found { connection, paths })
    }

    /// A small file as JSON; none when it is not there.
    async fn json<T: DeserializeOwned>(&self, path: &RelPath) -> Result<Option<T>, RefError> {
        let want = Want { from: path.clone(), to: path.clone(), kind: WantKind::File };
        let mut plan = plan(&self.engine, &self.remote, vec![want], &self.stop.asked).await;
        let missing = std::mem::take(&mut plan.missing);
        if !missing.is_empty() && missing.iter().all(|error| matches!(error, TransferError::Absent { .. })) {
            return Ok(None);
        }
        InitError::transfer(missing)?;
        let outcome = download(&self.engine, &self.remote, plan, &self.scratch, &self.stop.asked).await;
        InitError::transfer(outcome.failed)?;
        let malformed = |why: String| RefError::Malformed { place: self.remote.at(path), why };
        let file = path.beneath(&self.scratch);
        let text = std::fs::read_to_string(&file).map_err(|error| malformed(error.to_string()))?;
        match serde_json::from_str(&text) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(malformed(format!("is not what Polyaxon's client writes: {error}"))),
        }
    }
}
