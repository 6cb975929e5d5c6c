//! The init containers: the login, the tools, the default one, one per entry with a handler, plain containers last.

use super::Renderer;
use super::built::{About, Built};
use super::script::Wanted;
use super::service::Service;
use super::supply::{Supply, Take};
use super::{built, names};
use crate::words;
use plx_contract::connection::Connection;
use plx_contract::init::{Artifacts, Handler, Init, Subpath};
use plx_contract::operation;
use plx_contract::script::{self, Step};
use plx_runtime::Failure;
use serde_json::Value;

mod generated;

/// An entry, checked.
pub(super) struct Entry<'a> {
    pub(super) entry: &'a Init,
    pub(super) index: usize,
    pub(super) handler: Handler,
}

impl Entry<'_> {
    /// The folder of its own, when it names one. The artifacts folder is not one of its own.
    pub(super) fn path(&self, artifacts: &str) -> Option<&str> {
        let path = self.entry.path.as_deref()?;
        let path = path.strip_suffix('/').unwrap_or(path);
        (path != artifacts).then_some(path)
    }

    fn label(&self) -> String {
        format!("input {}", self.index + 1)
    }
}

impl Renderer<'_> {
    /// The entries with their handlers.
    pub(super) fn entries(&self) -> Result<Vec<Entry<'_>>, Failure> {
        let mut entries = Vec::new();
        for (index, entry) in self.run.init.iter().flatten().enumerate() {
            let number = index + 1;
            let place = ["init", &index.to_string()];
            let handler = entry.handler(|name| self.kind_of(name)).map_err(|error| {
                let mut failure = Failure::from(error);
                failure.message = format!("init entry {number}: {}", failure.message);
                self.within(&place, failure)
            })?;
            if let Some(name) = &entry.connection {
                self.catalog.find(name).map_err(|error| self.within(&place, error))?;
            }
            if let Some(path) = &entry.path {
                let odd = path.split('/').any(|part| matches!(part, "." | ".."));
                if !path.starts_with('/') || odd || path.trim_matches('/').is_empty() {
                    let message = format!("path `{path}` is not absolute, or the root, or holds `..`");
                    let place = ["init", &index.to_string(), "path"];
                    return Err(self.wrong(&place, message).with_next("give a folder such as /data"));
                }
            }
            entries.push(Entry { entry, index, handler });
        }
        Ok(entries)
    }

    /// All init containers, in order.
    pub(super) fn inits(&self) -> Result<Vec<Built>, Failure> {
        let mut inits = Vec::new();
        if self.plugins.auth {
            inits.push(self.login());
        }
        if self.plugins.tmux {
            inits.push(self.tools());
        }
        inits.extend(self.places_entry());
        if self.plugins.collects_artifacts {
            inits.push(self.default_init()?);
        }
        inits.extend(self.outputs_folder()?);
        let entries = self.entries()?;
        let is_plain =
            |entry: &&Entry| entry.handler == Handler::Container && entry.entry.connection.is_none();
        for entry in entries.iter().filter(|entry| !is_plain(entry)) {
            inits.push(self.handled(entry)?);
        }
        for entry in entries.iter().filter(is_plain) {
            inits.push(self.plain(entry)?);
        }
        Ok(inits)
    }

    fn handled(&self, entry: &Entry) -> Result<Built, Failure> {
        let built = match entry.handler {
            Handler::Artifacts | Handler::Paths => self.fetched(entry)?,
            Handler::Git => self.repository(entry)?,
            Handler::Dockerfile => self.dockerfile(entry)?,
            Handler::File => self.file(entry)?,
            Handler::Tensorboard => self.tensorboard(entry)?,
            Handler::LineageRef | Handler::ModelRef | Handler::ArtifactRef => self.reference(entry)?,
            Handler::Container => return self.connected(entry),
        };
        Ok(built.under(self.person(entry)?))
    }

    /// An init container of our image, without its words.
    pub(super) fn helper(&self, name: String) -> Built {
        let (image, pull_policy, resources) = self.init_image();
        Built { name, image: Some(image), pull_policy, resources, ..Built::default() }
    }

    fn login(&self) -> Built {
        Built {
            command: texts(&["polyaxon", "initializer", "auth"]),
            env: self.service(Service::Auth),
            mounts: vec![self.volumes.mount("configs", CONFIGS, Some(false))],
            about: About {
                what: "logs in to the tracking API".to_owned(),
                writes: vec![CONFIGS.to_owned()],
                ..About::default()
            },
            ..self.helper("polyaxon-init-auth".to_owned())
        }
    }

    fn tools(&self) -> Built {
        let script =
            "cp /usr/bin/tmux /opt/polyaxon/bin/tmux && printf '%s\\n' 'Polyaxon tmux tools initialized'";
        Built {
            command: texts(&["sh", "-c", script]),
            mounts: vec![self.volumes.mount("tools", TOOLS, Some(false))],
            about: About {
                what: "copies tmux for main".to_owned(),
                writes: vec![TOOLS.to_owned()],
                ..About::default()
            },
            ..self.helper("polyaxon-init-tools".to_owned())
        }
    }

    /// Makes the run's folders, and fetches what an earlier attempt of the same run stored.
    fn default_init(&self) -> Result<Built, Failure> {
        let run = self.layout.run(&self.run_instance.uuid).display().to_string();
        let mut steps = vec![Step::MakeFolder(run.clone()), Step::MakeFolder(self.outputs())];
        let uuid = self.run_instance.uuid.as_str();
        let artifacts =
            Artifacts { dirs: Some(vec![Subpath::Same(uuid.to_owned())]), ..Artifacts::default() };
        let mut about =
            About { what: "makes the run's folders".to_owned(), writes: vec![run], ..About::default() };
        if self.plugins.resumes {
            let to = self.artifacts();
            let wanted = Wanted {
                store: &self.store,
                to: &to,
                artifacts: Some(&artifacts),
                paths: None,
                resume: true,
            };
            steps.extend(wanted.steps()?);
            about.what = "makes the run's folders and fetches its earlier outputs".to_owned();
            about.reads = vec![format!("{}/{uuid}", self.store.store_path()?)];
            about.connections = vec![self.store.name.clone()];
        }
        let mut env = self.proxies.clone();
        if let Some(level) = &self.plugins.log_level {
            env.insert(0, built::var(plx_contract::env::LOG_LEVEL, level.as_str()));
        }
        let name = "polyaxon-init-artifacts-default".to_owned();
        let mount = self.volumes.mount("artifacts", &self.artifacts(), None);
        self.of_store(Built { env, mounts: vec![mount], about, ..self.helper(name) }, &self.store, &steps)
    }

    /// A container that runs steps on a store.
    fn of_store(&self, built: Built, store: &Connection, steps: &[Step]) -> Result<Built, Failure> {
        let Some(script) = script::write(steps) else {
            return Err(Failure::new(
                plx_contract::Class::Config,
                format!("{}: a path cannot be told from the script it would stand in", built.name),
            )
            .with_next("use paths without `;`"));
        };
        let supply = Supply::of(&[store], Take::Store, &self.volumes);
        Ok(Built {
            command: texts(&["/bin/sh", "-c"]),
            args: vec![script],
            env: [built.env, supply.secret_env, supply.map_env, supply.own_env].concat(),
            env_from: supply.env_from,
            mounts: [built.mounts, supply.mounts].concat(),
            ..built
        })
    }

    fn fetched(&self, entry: &Entry) -> Result<Built, Failure> {
        let place = ["init", &entry.index.to_string()];
        let name = entry.entry.connection.as_deref().unwrap_or(&self.store.name);
        let store = self.connection(name)?;
        let art = self.artifacts();
        let to = match entry.path(&art) {
            Some(path) => path.to_owned(),
            None if store.name == self.store.name || entry.entry.path.is_some() => art.clone(),
            None => format!("{art}/{name}"),
        };
        let wanted = Wanted {
            store,
            to: &to,
            artifacts: entry.entry.artifacts.as_ref(),
            paths: entry.entry.paths.as_deref(),
            resume: false,
        };
        let steps = wanted.steps().map_err(|failure| self.within(&place, failure))?;
        let mut about = About {
            what: format!("{}: fetches from {name}", entry.label()),
            connections: vec![name.to_owned()],
            ..About::default()
        };
        for step in &steps {
            if let Step::CopyFile(plx_contract::script::Copy { from, to, .. })
            | Step::CopyFolder(plx_contract::script::Copy { from, to, .. })
            | Step::Fetch(plx_contract::script::Fetch { from, to, .. }) = step
            {
                about.reads.push(from.clone());
                about.writes.push(to.clone());
            }
        }
        let built = Built {
            env: self.service(Service::Init),
            mounts: vec![self.context_mount(entry)],
            about,
            ..self.helper(self.name_of(entry, &format!("polyaxon-init-artifacts-{name}")))
        };
        self.of_store(built, store, &steps).map_err(|failure| self.within(&place, failure))
    }

    /// A person's own container with the credentials of a connection that has no handler.
    fn connected(&self, entry: &Entry) -> Result<Built, Failure> {
        let name = entry.entry.connection.as_deref().unwrap_or_default();
        let connection = self.connection(name)?;
        let Some(person) = self.person(entry)? else {
            return Err(self.wrong(&["init", &entry.index.to_string()], "no container"));
        };
        let own = if person.name.is_empty() {
            self.name_of(entry, &format!("polyaxon-init-custom-{name}"))
        } else {
            names::container(&person.name)
        };
        let supply = Supply::of(&[connection], Take::Secrets, &self.volumes);
        let mut mounts = vec![self.context_mount(entry)];
        mounts.extend(self.login_mount());
        let built = Built {
            name: own,
            env: [self.service(Service::Init), supply.secret_env, supply.own_env, supply.map_env].concat(),
            env_from: supply.env_from,
            mounts: [mounts, supply.mounts].concat(),
            about: About {
                what: format!("{}: your container", entry.label()),
                connections: vec![name.to_owned()],
                ..About::default()
            },
            ..Built::default()
        };
        let words = [person.command.clone(), person.args.clone()].concat();
        let mut built = built.under(Some(person));
        built.about.what = format!("{}: {}", built.about.what, words::quoted(&words));
        self.has_image(&built, entry)?;
        Ok(built)
    }

    /// A person's own container.
    fn plain(&self, entry: &Entry) -> Result<Built, Failure> {
        let Some(mut built) = self.person(entry)? else {
            return Err(self.wrong(&["init", &entry.index.to_string()], "no container"));
        };
        built.name =
            if built.name.is_empty() { self.name_of(entry, "init") } else { names::container(&built.name) };
        let words = [built.command.clone(), built.args.clone()].concat();
        built.about.what = format!("{}: your container: {}", entry.label(), words::quoted(&words));
        self.has_image(&built, entry)?;
        Ok(built)
    }

    fn has_image(&self, built: &Built, entry: &Entry) -> Result<(), Failure> {
        if built.image.as_ref().is_some_and(|image| !image.is_empty()) {
            return Ok(());
        }
        let place = ["init", &entry.index.to_string(), "container"];
        Err(self.wrong(&place, "the container has no image").with_next("give it an image"))
    }

    /// The container beside a handler.
    fn person(&self, entry: &Entry) -> Result<Option<Built>, Failure> {
        let Some(container) = entry.entry.container.as_ref().filter(|container| !container.is_null()) else {
            return Ok(None);
        };
        let container: operation::Container = serde_json::from_value(container.clone())
            .map_err(|error| self.wrong(&["init", &entry.index.to_string(), "container"], error))?;
        Ok(Some(Built::of(&container)))
    }

    /// `PREFIX-DIGITS`, the same at each rendering of the run.
    fn name_of(&self, entry: &Entry, prefix: &str) -> String {
        names::unique(prefix, &format!("{} init {}", self.run_instance, entry.index))
    }

    /// The folder that an entry writes to.
    pub(super) fn context_mount(&self, entry: &Entry) -> Value {
        let art = self.artifacts();
        match entry.path(&art) {
            Some(path) => self.volumes.mount(&format!("path {path}"), path, None),
            None => self.volumes.mount("artifacts", &art, None),
        }
    }

    pub(super) fn login_mount(&self) -> Option<Value> {
        self.plugins.auth.then(|| self.volumes.mount("configs", CONFIGS, Some(true)))
    }
}

/// Where the login is.
pub(super) const CONFIGS: &str = "/plx-context/.configs";
/// Where the tools are.
pub(super) const TOOLS: &str = "/opt/polyaxon/bin";

pub(super) fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
