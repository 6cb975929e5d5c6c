//! The init containers of a pod: the default one, then one per entry, plain containers last.

use super::{Container, Planner, Program, set, within, wrong};
use crate::document::note_container;
use crate::environment;
use crate::roles::Role;
use crate::settings::utf8;
use plx_contract::Env;
use plx_contract::connection::Connection;
use plx_contract::init::{Artifacts, Handler, Init, Subpath};
use plx_contract::operation;
use plx_runtime::Failure;
use serde_json::{Value, json};
use std::path::{Component, Path};

impl<'a, E: Env> Planner<'a, E> {
    pub(super) fn inits(&mut self) -> Result<Vec<Container>, Failure> {
        let entries = self.loaded.operation.run.init.as_deref().unwrap_or_default();
        let mut handlers = Vec::new();
        let mut built_in = Vec::new();
        let mut plain = Vec::new();
        if self.collects && self.loaded.operation.plugins.resumes() {
            handlers.push(self.default_init()?);
        }
        for (index, entry) in entries.iter().enumerate() {
            let number = index + 1;
            let index = index.to_string();
            let path = [self.loaded.run_path, &["init", index.as_str()]].concat();
            let place = format!("{}: init entry {number}", self.loaded.source.at(&path));
            let handler = entry
                .handler(|name| self.stores.kind_of(name))
                .map_err(|error| within(&place, error.into()))?;
            // A command beside a connection alone: here its author's program runs in place of the handler's.
            let own = entry.container.as_ref().is_some_and(has_command) && !names_handler(entry);
            let handler = if own { Handler::Container } else { handler };
            // The paths of all entries are known before the words of main, of files and of plain containers are rewritten.
            let target = entry.path.as_deref().map(|path| self.target(&place, path)).transpose()?;
            match handler {
                Handler::Container => plain.push((entry, number, place, index)),
                _ => built_in.push((entry, handler, number, place, index, target)),
            }
        }
        // Mounts come after the entries' own paths, which are below the pod's folder whatever else is mounted there.
        self.map.extend(&self.stores.mounts);
        if let Some(local) = &self.local {
            self.map.extend(&local.mounts);
        }
        for (entry, handler, number, place, index, target) in built_in {
            let path = [self.loaded.run_path, &["init", index.as_str()]].concat();
            handlers.push(match handler {
                Handler::Artifacts | Handler::Paths => {
                    self.artifacts(entry, number, &place, &path, target)?
                }
                _ => self.generated(entry, handler, number, &place, target)?,
            });
        }
        for (entry, number, place, index) in plain {
            let path = [self.loaded.run_path, &["init", index.as_str(), "container"]].concat();
            handlers.push(self.plain(entry, number, &place, &path)?);
        }
        Ok(handlers)
    }

    /// Fetches what an earlier attempt of the same run stored.
    fn default_init(&self) -> Result<Container, Failure> {
        let store = self.stores.store();
        let dirs = json!({"dirs": [self.settings.uuid().as_str()]});
        let args = words(&[
            "artifacts",
            "--connection",
            &store.name,
            "--to",
            &utf8(&self.layout.artifacts())?,
            "--artifacts",
            &dirs.to_string(),
            "--sync-fw",
        ]);
        let mut vars = self.own_vars(&[store]);
        self.common(&mut vars)?;
        let name = "polyaxon-init-artifacts-default".to_owned();
        let report = self.report(&name, &mut vars)?;
        let program = Program::Own(Role::Init, self.init_args(args));
        Ok(Container { name, label: "earlier outputs".to_owned(), program, vars, dir: None, report })
    }

    fn artifacts(
        &self,
        entry: &Init,
        number: usize,
        place: &str,
        path: &[&str],
        target: Option<String>,
    ) -> Result<Container, Failure> {
        let name = entry.connection.as_deref().unwrap_or(&self.stores.store);
        let connection = self.stores.catalog.find(name).map_err(|error| within(place, error.into()))?;
        connection.store_path().map_err(|error| within(place, error.into()))?;
        let art = self.layout.artifacts();
        let to = match target {
            Some(target) => target,
            None if connection.name == self.stores.store => utf8(&art)?,
            None => utf8(&art.join(&connection.name))?,
        };
        let mut args = words(&["artifacts", "--connection", &connection.name, "--to", &to]);
        args.extend(self.selection(entry, place)?);
        let mut vars = self.own_vars(&[connection]);
        if let Some(container) = self.container_of(entry, &[path, &["container"]].concat())? {
            if container.command.is_some() || container.args.is_some() {
                let message = "a command of its own in place of a built-in handler's is not run here";
                return Err(
                    wrong(place, message).with_next("remove the command, or make it a plain container")
                );
            }
            // Of two values the built-in one stays, as in the platform.
            let built_in = vars.clone();
            self.container_env(&container, &[path, &["container"]].concat(), &mut vars)?;
            vars.extend(built_in);
        }
        self.service(&mut vars)?;
        let full = container_name(&format!("polyaxon-init-artifacts-{}", connection.name));
        let report = self.report(&full, &mut vars)?;
        Ok(Container {
            name: full,
            label: format!("input {number}: {}", connection.name),
            program: Program::Own(Role::Init, self.init_args(args)),
            vars,
            dir: None,
            report,
        })
    }

    /// A repository, a file, a Dockerfile, Tensorboard logs or a reference: the entry as it is written, carried out by `plx-init run`.
    fn generated(
        &self,
        entry: &Init,
        handler: Handler,
        number: usize,
        place: &str,
        target: Option<String>,
    ) -> Result<Container, Failure> {
        let mut value = match handler {
            Handler::File => entry.file.clone().unwrap_or_default(),
            Handler::Dockerfile => entry.dockerfile.clone().unwrap_or_default(),
            Handler::Git => entry.git.clone().unwrap_or(json!({})),
            Handler::LineageRef => json!(entry.lineage_ref),
            Handler::ModelRef => json!(entry.model_ref),
            Handler::ArtifactRef => json!(entry.artifact_ref),
            _ => entry.tensorboard.clone().unwrap_or_default(),
        };
        self.rewrite(&format!("{place}: {}", handler.name()), &mut value)?;
        let mut whole = json!({ handler.name(): value });
        let mut used = Vec::new();
        // A repository has a connection only when it names one.
        let unconnected = match handler {
            Handler::File | Handler::Dockerfile => true,
            Handler::Git => entry.connection.is_none(),
            _ => false,
        };
        if !unconnected {
            let name = entry.connection.as_deref().unwrap_or(&self.stores.store);
            used.push(self.stores.catalog.find(name).map_err(|error| within(place, error.into()))?);
            whole["connection"] = json!(name);
        }
        if handler == Handler::Git && unconnected && whole["git"]["url"].as_str().is_none_or(str::is_empty) {
            return Err(wrong(place, "`git` has neither a url nor a connection that has one")
                .with_next("give it a url, or name a connection of kind git"));
        }
        let by_reference = matches!(handler, Handler::LineageRef | Handler::ModelRef | Handler::ArtifactRef);
        match target {
            Some(target) => whole["path"] = json!(target),
            // A reference knows its own place, and so does a repository.
            None if by_reference || handler == Handler::Git => {}
            None => whole["path"] = json!(utf8(&self.layout.artifacts())?),
        }
        let mut vars = self.own_vars(&used);
        set(&mut vars, plx_contract::env::ARTIFACTS_STORE_NAME, &self.stores.store);
        self.service(&mut vars)?;
        let name = container_name(&format!("polyaxon-init-{}", handler.name()));
        let report = self.report(&name, &mut vars)?;
        let args = self.init_args(vec!["run".to_owned(), whole.to_string()]);
        let program = Program::Own(Role::Init, args);
        let label = format!("input {number}: {}", handler.name());
        Ok(Container { name, label, program, vars, dir: None, report })
    }

    /// Every text of a value as this machine needs it.
    fn rewrite(&self, what: &str, value: &mut Value) -> Result<(), Failure> {
        match value {
            Value::String(text) => *text = self.text(what, text)?,
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.rewrite(what, item))?,
            Value::Object(map) => map.values_mut().try_for_each(|item| self.rewrite(what, item))?,
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Ok(())
    }

    /// What an entry takes from its store, as flags of `plx-init artifacts`.
    fn selection(&self, entry: &Init, place: &str) -> Result<Vec<String>, Failure> {
        let rendered = |list: &Option<Vec<Subpath>>| -> Result<Option<Vec<Subpath>>, Failure> {
            let Some(list) = list.as_ref().filter(|list| !list.is_empty()) else { return Ok(None) };
            list.iter().map(|one| self.subpath(place, one)).collect::<Result<_, _>>().map(Some)
        };
        let given = entry.artifacts.clone().unwrap_or_default();
        let artifacts = Artifacts {
            files: rendered(&given.files)?,
            dirs: rendered(&given.dirs)?,
            workers: given.workers,
        };
        let paths = rendered(&entry.paths)?;
        let some = artifacts.files.is_some() || artifacts.dirs.is_some();
        let mut args = Vec::new();
        if some {
            args.extend(["--artifacts".to_owned(), to_json(&artifacts)]);
        }
        if let Some(paths) = &paths {
            args.extend(["--paths".to_owned(), to_json(paths)]);
        }
        if !some && paths.is_none() {
            args.push("--whole".to_owned());
        }
        if let (false, Some(workers)) = (some, artifacts.workers) {
            args.extend(["--workers".to_owned(), workers.to_string()]);
        }
        Ok(args)
    }

    fn subpath(&self, place: &str, subpath: &Subpath) -> Result<Subpath, Failure> {
        let render = |text: &str| self.context.render(place, text);
        Ok(match subpath {
            Subpath::Same(path) => Subpath::Same(render(path)?),
            Subpath::Pair(from, to) => Subpath::Pair(render(from)?, render(to)?),
        })
    }

    /// The target of an entry that names one: below the context root as it is, anything else below `POD/paths`.
    fn target(&mut self, place: &str, raw: &str) -> Result<String, Failure> {
        let path = self.text(&format!("{place}: path"), raw)?;
        let path = path.trim_end_matches('/');
        let as_path = Path::new(path);
        let odd = as_path.components().any(|part| matches!(part, Component::ParentDir | Component::CurDir));
        if !as_path.is_absolute() || odd {
            return Err(wrong(place, format!("path `{raw}` is not absolute, or the root, or holds `..`"))
                .with_next("give a folder such as /data"));
        }
        if as_path.starts_with(self.layout.root()) {
            return Ok(path.to_owned());
        }
        let local = self.layout.root().join("paths").join(path.trim_start_matches('/'));
        let text = utf8(&local)?;
        self.map.add(path, text.clone());
        self.folders.push(local);
        Ok(text)
    }

    /// A person's own init container.
    fn plain(
        &mut self,
        entry: &Init,
        number: usize,
        place: &str,
        path: &[&str],
    ) -> Result<Container, Failure> {
        let Some(container) = self.container_of(entry, path)? else {
            return Err(wrong(place, "no container"));
        };
        note_container(&container, &mut self.notes);
        let connection = entry.connection.as_deref().map(|name| self.stores.catalog.find(name)).transpose();
        let used: Vec<&Connection> =
            connection.map_err(|error| within(place, error.into()))?.into_iter().collect();
        let mut vars = environment::base(self.caller, &self.settings.env_pass);
        environment::person(&mut vars, self.caller);
        let words = self.person(&container, path, &mut vars)?;
        environment::connections(&mut vars, self.caller, &used);
        self.service(&mut vars)?;
        let name = container.name.clone().unwrap_or_else(|| {
            let connection = entry.connection.as_ref().map_or_else(String::new, |name| format!("-{name}"));
            container_name(&format!("polyaxon-init-custom{connection}"))
        });
        let dir = self.dir(&container, path)?;
        let label = format!("input {number}: {name}");
        Ok(Container { name, label, program: Program::Person(words), vars, dir, report: None })
    }

    fn container_of(&self, entry: &Init, path: &[&str]) -> Result<Option<operation::Container>, Failure> {
        let parse = |value: &Value| serde_json::from_value(value.clone());
        entry.container.as_ref().map(parse).transpose().map_err(|error| self.loaded.source.wrong(path, error))
    }

    fn own_vars(&self, used: &[&Connection]) -> environment::Vars {
        let mut vars = environment::base(self.caller, &self.settings.env_pass);
        environment::own(&mut vars, self.caller);
        environment::connections(&mut vars, self.caller, used);
        set(&mut vars, plx_contract::env::NO_API, "true");
        vars
    }

    fn init_args(&self, mut args: Vec<String>) -> Vec<String> {
        if self.settings.dry_run {
            args.push("--dry-run".to_owned());
        }
        args
    }
}

fn has_command(container: &Value) -> bool {
    ["command", "args"].iter().any(|key| container.get(key).is_some_and(|value| !value.is_null()))
}

/// Whether an entry says more than its connection and a container.
fn names_handler(entry: &Init) -> bool {
    let rest = Init { connection: None, ..entry.clone() };
    !matches!(rest.handler(|_| None), Ok(Handler::Container))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("paths and numbers always serialise")
}

/// A name as Polyaxon makes it: DNS-safe, at most 52 characters, then ten random digits.
fn container_name(wanted: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = wanted.chars().map(safe).take(52).collect();
    format!("{name}-{:010x}", fastrand::u64(..1 << 40))
}
