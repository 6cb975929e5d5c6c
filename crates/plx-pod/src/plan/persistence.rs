//! Volumes of data and outputs as in older documents, as folders of this machine.

use super::{Planner, set};
use crate::environment::Vars;
use crate::localize::PathMap;
use crate::persistence;
use crate::settings::utf8;
use plx_contract::persistence::{Chosen, Persistence, Place, Source};
use plx_contract::{Class, Env, env};
use plx_runtime::Failure;

/// Polyaxon's name for the table of which bucket is opened with which variable.
const ACCESS_KEYS: &str = "POLYSTORES_RUN_STORES_ACCESS_KEYS";

/// What a run gets here: the mounts' paths are this machine's.
#[derive(Debug, Clone)]
pub(super) struct Local {
    pub(super) chosen: Chosen,
    /// From the paths in the pod to those here.
    pub(super) mounts: PathMap,
}

impl<E: Env> Planner<'_, E> {
    /// What this run gets, when the connections file or the run speaks of it.
    pub(super) fn persistence(&mut self) -> Result<Option<Local>, Failure> {
        let (loaded, configured) = (self.loaded, self.stores.persistence.as_ref());
        let run = &loaded.operation.run;
        let Some(mut chosen) = persistence::choose(run, configured, &loaded.source, loaded.run_path)? else {
            return Ok(None);
        };
        let mut mounts = PathMap::default();
        let named = names_data(run.rest.get("environment"));
        let absent = |section: fn(&Persistence) -> bool| configured.is_none_or(section);
        let (own_data, own_outputs) = (absent(|all| all.data.is_none()), absent(|all| all.outputs.is_none()));
        let mut data = Vec::new();
        for (name, place) in std::mem::take(&mut chosen.data) {
            match self.here(&name, &place, own_data, &mut mounts) {
                Ok(place) => data.push((name, place)),
                Err(failure) if named => return Err(failure),
                Err(failure) => self.notes.push(format!("{}: left out", failure.message)),
            }
        }
        chosen.data = data;
        let (name, place) = chosen.outputs.clone();
        chosen.outputs.1 = self.here(&name, &place, own_outputs, &mut mounts)?;
        if matches!(chosen.outputs.1, Place::Mount { .. }) {
            self.folders.push(chosen.outputs_path(&self.settings.instance).into());
        }
        Ok(Some(Local { chosen, mounts }))
    }

    /// A volume as this machine reaches it. One that is there by default is below the work dir.
    fn here(
        &self,
        name: &str,
        place: &Place,
        by_default: bool,
        mounts: &mut PathMap,
    ) -> Result<Place, Failure> {
        let Place::Mount { path, source, read_only } = place else { return Ok(place.clone()) };
        let local = match source {
            Source::HostPath(_) if by_default => utf8(&self.settings.work_dir.join(name))?,
            Source::HostPath(host) => host.trim_end_matches('/').to_owned(),
            Source::Claim(claim) => {
                let message = format!("volume `{name}` is the claim `{claim}`, which needs a cluster");
                return Err(Failure::new(Class::Config, message)
                    .with_next("give it a hostPath in the connections file, or name other volumes"));
            }
        };
        mounts.add(path.clone(), local.clone());
        Ok(Place::Mount { path: local.clone(), source: Source::HostPath(local), read_only: *read_only })
    }

    /// The variables of main.
    pub(super) fn persist(&mut self, local: &Local, vars: &mut Vars) {
        let chosen = &local.chosen;
        set(vars, env::RUN_DATA_PATHS, chosen.data_paths());
        set(vars, env::RUN_OUTPUTS_PATH, chosen.outputs_path(&self.settings.instance));
        if let Some(keys) = chosen.access_keys() {
            set(vars, ACCESS_KEYS, keys);
        }
        for (name, place) in chosen.places() {
            let Place::Bucket { secret: Some((_, key)), .. } = place else { continue };
            match self.caller.get(key) {
                Some(value) => set(vars, key, value),
                None => {
                    let note =
                        format!("volume `{name}`: set {key} in the environment of plx-pod if main needs it");
                    if !self.notes.contains(&note) {
                        self.notes.push(note);
                    }
                }
            }
        }
    }
}

/// Whether the run names its data, and so cannot do without.
fn names_data(environment: Option<&serde_json::Value>) -> bool {
    let given =
        |pointer: &str| environment.and_then(|one| one.pointer(pointer)).is_some_and(|one| !one.is_null());
    ["/persistence/data", "/data_refs", "/dataRefs"].into_iter().any(given)
}
