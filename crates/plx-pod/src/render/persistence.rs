//! Volumes of data and outputs as in older documents: what main gets of them.

use super::Renderer;
use super::built::{About, Built, from_secret, var};
use super::volumes;
use plx_contract::env;
use plx_contract::persistence::{Chosen, Persistence, Place, Source};
use plx_contract::script::{self, Step};
use plx_runtime::Failure;
use serde_json::{Value, json};

/// Polyaxon's name for the table of which bucket is opened with which variable.
const ACCESS_KEYS: &str = "POLYSTORES_RUN_STORES_ACCESS_KEYS";

impl Renderer<'_> {
    /// What this run gets, when the deployment or the run speaks of it.
    pub(super) fn choose(&self, configured: Option<&Persistence>) -> Result<Option<Chosen>, Failure> {
        crate::persistence::choose(&self.run, configured, &self.loaded.source, self.loaded.run_path)
    }

    pub(super) fn add_persistence(&mut self) {
        let Some(chosen) = &self.chosen else { return };
        for (section, name, place) in places(chosen) {
            if let Place::Mount { source, read_only, .. } = place {
                let source = match source {
                    Source::HostPath(path) => {
                        json!({"hostPath": {"path": path, "type": "DirectoryOrCreate"}})
                    }
                    Source::Claim(claim) => volumes::claim(claim, read_only.then_some(true)),
                };
                self.volumes.add(&format!("{section} {name}"), name, source);
            }
        }
    }

    fn persistent_mount(&self, section: &str, name: &str, place: &Place) -> Option<Value> {
        let Place::Mount { path, read_only, .. } = place else { return None };
        Some(self.volumes.mount(&format!("{section} {name}"), path, read_only.then_some(true)))
    }

    /// The variables and mounts of main.
    pub(super) fn persist(&self, main: &mut Built) {
        let Some(chosen) = &self.chosen else {
            let outputs = self.context.render("run_outputs_path", "{{ run_outputs_path }}");
            main.env.push(var(env::RUN_OUTPUTS_PATH, outputs.unwrap_or_else(|_| self.outputs())));
            return;
        };
        main.env.push(var(env::RUN_DATA_PATHS, chosen.data_paths()));
        let outputs = chosen.outputs_path(self.run_instance);
        main.about.writes.push(outputs.clone());
        main.env.push(var(env::RUN_OUTPUTS_PATH, outputs));
        main.env.extend(chosen.access_keys().map(|keys| var(ACCESS_KEYS, keys)));
        for (section, name, place) in places(chosen) {
            main.mounts.extend(self.persistent_mount(section, name, place));
            if section == "data" {
                main.about.reads.push(place.root().to_owned());
            }
            if let Place::Bucket { secret: Some((secret, key)), .. } = place {
                main.env.push(from_secret(key, secret, key));
            }
        }
    }

    /// Makes the run's folder on its outputs volume: main would find none.
    pub(super) fn outputs_folder(&self) -> Result<Option<Built>, Failure> {
        let Some(chosen) = &self.chosen else { return Ok(None) };
        let (name, place) = &chosen.outputs;
        let Some(mount) = self.persistent_mount("outputs", name, place) else { return Ok(None) };
        let folder = chosen.outputs_path(self.run_instance);
        let script = script::write(&[Step::MakeFolder(folder.clone())])
            .ok_or_else(|| self.wrong(&["environment"], format!("no script can make the folder {folder}")))?;
        Ok(Some(Built {
            command: super::init::texts(&["/bin/sh", "-c"]),
            args: vec![script],
            mounts: vec![mount],
            about: About {
                what: format!("makes the run's folder on {name}"),
                writes: vec![folder],
                ..About::default()
            },
            ..self.helper("polyaxon-init-outputs".to_owned())
        }))
    }
}

fn places(chosen: &Chosen) -> impl Iterator<Item = (&'static str, &str, &Place)> {
    let data = chosen.data.iter().map(|(name, place)| ("data", name.as_str(), place));
    let (name, place) = &chosen.outputs;
    data.chain([("outputs", name.as_str(), place)])
}
