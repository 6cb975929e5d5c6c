//! Main, and what stands beside it by the user's wish.

use super::Renderer;
use super::built::{About, Built, is_given, var};
use super::init::{CONFIGS, TOOLS};
use super::service::Service;
use super::supply::{Supply, Take};
use super::{names, pod};
use crate::settings::MAIN;
use crate::words;
use plx_contract::env;
use plx_contract::operation::Container;
use plx_runtime::Failure;
use serde_json::{Value, json};

impl Renderer<'_> {
    /// The main container.
    pub(super) fn main(&self) -> Result<Built, Failure> {
        let Some(container) = &self.run.container else {
            return Err(self
                .wrong(&[], "run has no container")
                .with_next("give it a container with an image"));
        };
        let person = Built::of(container);
        if person.image.as_ref().is_none_or(String::is_empty) {
            return Err(self
                .wrong(&["container"], "the container has no image")
                .with_next("give it an image: the cluster has no other program to run"));
        }
        let mut built = self.runner(MAIN.to_owned(), true, person.resources.as_ref())?;
        let words = [person.command.clone(), person.args.clone()].concat();
        built.ports = self.ports()?;
        if self.plugins.collects_artifacts {
            built.about.writes.push(self.outputs());
        }
        built.about.what =
            if words.is_empty() { "what its image starts".to_owned() } else { words::quoted(&words) };
        self.persist(&mut built);
        self.wrapped(built.under(Some(person)))
    }

    /// The user's sidecars.
    pub(super) fn sidecars(&self) -> Result<Vec<Built>, Failure> {
        let alone = self.plugins.sidecar.no_connections.unwrap_or(false);
        let listed = self.run.rest.get("sidecars").filter(|one| is_given(one));
        let containers: Vec<Container> = listed
            .map(|listed| serde_json::from_value(listed.clone()))
            .transpose()
            .map_err(|error| self.wrong(&["sidecars"], error))?
            .unwrap_or_default();
        let mut sidecars = Vec::new();
        for (index, container) in containers.iter().enumerate() {
            let person = Built::of(container);
            let place = ["sidecars", &index.to_string()];
            if person.image.as_ref().is_none_or(String::is_empty) {
                return Err(self.wrong(&place, "the container has no image").with_next("give it an image"));
            }
            let name = if person.name.is_empty() {
                names::unique("sidecar", &format!("{} sidecar {index}", self.run_instance))
            } else {
                names::container(&person.name)
            };
            let words = words::quoted(&[person.command.clone(), person.args.clone()].concat());
            let mut built = if alone {
                Built { name, ..Built::default() }
            } else {
                self.runner(name, false, person.resources.as_ref())?
            };
            built.about.what = format!("your sidecar: {words}");
            sidecars.push(built.under(Some(person)));
        }
        Ok(sidecars)
    }

    /// What main and the user's sidecars get. `inputs`: also the folders of the init entries.
    fn runner(&self, name: String, inputs: bool, resources: Option<&Value>) -> Result<Built, Failure> {
        let plugins = &self.plugins;
        let used = self.used();
        let requested = pod::requested(&self.catalog, &self.store);
        let supply = Supply::with_requested(&requested, &used, Take::All, &self.volumes);
        let mut about = About { connections: self.used.clone(), ..About::default() };

        let mut mounts: Vec<Value> = self.login_mount().into_iter().collect();
        if plugins.docker {
            mounts.push(self.volumes.mount("docker", DOCKER, None));
        }
        if plugins.shm {
            mounts.push(self.volumes.mount("shm", SHM, None));
        }
        if plugins.tmux && inputs {
            mounts.push(self.volumes.mount("tools", TOOLS, Some(true)));
        }
        let art = self.artifacts();
        if plugins.collects_artifacts {
            mounts.push(self.volumes.mount("artifacts", &art, Some(false)));
            about.reads.push(art.clone());
        }
        if inputs {
            let mut seen = if plugins.collects_artifacts { vec![art.clone()] } else { Vec::new() };
            for entry in self.entries()?.iter().filter(|entry| entry.has_folder()) {
                let path = entry.path(&art).unwrap_or(&art).to_owned();
                if !seen.contains(&path) {
                    mounts.push(self.context_mount(entry));
                    about.reads.push(path.clone());
                    seen.push(path);
                }
            }
        }
        mounts.extend(supply.mounts);
        if plugins.auth {
            about.reads.push(CONFIGS.to_owned());
        }

        let mut vars = self.service(Service::Runner);
        if plugins.collects_artifacts {
            vars.push(var(env::COLLECT_ARTIFACTS, "true"));
        }
        if plugins.collects_resources {
            vars.push(var(env::COLLECT_RESOURCES, "true"));
        }
        vars.push(var(env::ARTIFACTS_STORE_NAME, self.store.name.as_str()));
        vars.extend(supply.own_env);
        vars.extend(self.inputs.iter().cloned());
        vars.extend(supply.secret_env);
        vars.extend(supply.map_env);
        if !wants_gpu(resources) {
            vars.push(var("NVIDIA_VISIBLE_DEVICES", "none"));
        }
        Ok(Built { name, env: vars, env_from: supply.env_from, mounts, about, ..Built::default() })
    }

    /// The ports of a service.
    fn ports(&self) -> Result<Vec<Value>, Failure> {
        let Some(ports) = self.run.rest.get("ports").filter(|ports| is_given(ports)) else {
            return Ok(Vec::new());
        };
        let wrong =
            || self.wrong(&["ports"], "ports is no list of numbers").with_next("write it as `ports: [8888]`");
        let ports = ports.as_array().ok_or_else(wrong)?;
        let number = |port: &Value| {
            let number = port.as_u64().or_else(|| port.as_str()?.trim().parse().ok());
            number
                .filter(|number| (1..=65535).contains(number))
                .map(|number| json!({ "containerPort": number }))
        };
        ports.iter().map(|port| number(port).ok_or_else(wrong)).collect()
    }
}

pub(super) const DOCKER: &str = "/var/run/docker.sock";
const SHM: &str = "/dev/shm";

/// Whether a container asks for a GPU, by whichever name.
fn wants_gpu(resources: Option<&Value>) -> bool {
    let asks = |amount: &Value| {
        let number = amount.as_f64().or_else(|| amount.as_str()?.trim().parse().ok());
        number.is_none_or(|number: f64| number > 0.0) && !amount.is_null()
    };
    let amounts = ["requests", "limits"].map(|key| resources.and_then(|one| one.get(key)?.as_object()));
    amounts.into_iter().flatten().flatten().any(|(key, amount)| key.contains("gpu") && asks(amount))
}
