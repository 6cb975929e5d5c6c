//! Entries that make something: a repository, a Dockerfile, a file, a Tensorboard, what a reference stands for.

use super::super::Renderer;
use super::super::built::{About, Built, var};
use super::super::service::Service;
use super::super::supply::{Supply, Take};
use super::{Entry, texts};
use plx_contract::connection::{Connection, Kind, Schema};
use plx_contract::dockerfile::Dockerfile;
use plx_contract::env;
use plx_contract::file::FileContext;
use plx_contract::init::Handler;
use plx_runtime::Failure;
use serde_json::{Map, Value, json};

impl Renderer<'_> {
    /// The folder of an entry: its own, or the artifacts folder.
    fn folder(&self, entry: &Entry) -> String {
        let art = self.artifacts();
        entry.path(&art).map_or_else(|| art.clone(), str::to_owned)
    }

    /// A container of ours with the login, for what `made` says.
    fn maker(&self, entry: &Entry, prefix: &str, made: Built) -> Built {
        let mut mounts = vec![self.context_mount(entry)];
        mounts.extend(self.login_mount());
        Built {
            command: made.command,
            args: made.args,
            env: [self.service(Service::Init), made.env].concat(),
            env_from: made.env_from,
            mounts: [mounts, made.mounts].concat(),
            about: made.about,
            ..self.helper(self.name_of(entry, prefix))
        }
    }

    /// The run once more, after everything else: where the converter has it.
    fn instance_var(&self) -> Value {
        var(env::RUN_INSTANCE, self.run_instance.to_string())
    }

    pub(super) fn repository(&self, entry: &Entry) -> Result<Built, Failure> {
        let index = entry.index.to_string();
        let place = ["init", index.as_str(), "git"];
        let given = entry.entry.git.clone().unwrap_or_else(|| json!({}));
        let known = ["url", "revision", "flags"];
        if let Some(field) =
            given.as_object().and_then(|git| git.keys().find(|key| !known.contains(&key.as_str())))
        {
            let place = ["init", index.as_str(), "git", field];
            let next = crate::fields::next_step(crate::fields::closest(field, known));
            return Err(self.wrong(&place, format!("unknown field `{field}` of git")).with_next(next));
        }
        let no_url = || {
            self.wrong(&place, "`git` has neither a url nor a connection that has one")
                .with_next("give it a url, or name a connection of kind git")
        };
        let connection = match &entry.entry.connection {
            Some(name) => {
                let connection = self.connection(name)?;
                if !connection.kind.is_git() {
                    let message = format!("connection `{name}` of kind {} is no repository", connection.kind);
                    return Err(self
                        .wrong(&["init", &index, "connection"], message)
                        .with_next("name a connection of kind git or ssh"));
                }
                patched(connection, &given)
            }
            None => {
                let url = given
                    .get("url")
                    .and_then(Value::as_str)
                    .filter(|url| !url.is_empty())
                    .ok_or_else(no_url)?;
                let name = url.rsplit('/').next().and_then(|last| last.split('.').next()).unwrap_or_default();
                if name.is_empty() {
                    return Err(self.wrong(&place, format!("the url `{url}` names no repository")));
                }
                patched(&nameless(name), &given)
            }
        };
        let Schema::Git { url, revision, flags } = connection.schema() else { return Err(no_url()) };
        let to = format!("{}/{}", self.folder(entry), connection.name);
        let mut args = vec![format!("--repo-path={to}"), format!("--url={url}")];
        args.extend(
            revision.as_ref().filter(|revision| !revision.is_empty()).map(|one| format!("--revision={one}")),
        );
        args.extend(entry.entry.connection.as_ref().map(|name| format!("--connection={name}")));
        if !flags.is_empty() {
            args.push(format!("--flags={}", json!(flags)));
        }
        let supply = Supply::of(&[&connection], Take::Secrets, &self.volumes);
        let mut vars = [supply.secret_env, supply.own_env].concat();
        if connection.kind == Kind::Ssh {
            let path = connection.secret.as_ref().and_then(|secret| secret.mount_path.as_ref());
            vars.extend(path.map(|path| var(env::SSH_PATH, path.as_str())));
        }
        vars.extend(supply.map_env);
        let at = revision.map_or_else(String::new, |revision| format!(" at {revision}"));
        let made = Built {
            command: texts(&["polyaxon", "initializer", "git"]),
            args,
            env: vars,
            env_from: supply.env_from,
            mounts: supply.mounts,
            about: About {
                what: format!("input {}: clones {}{at}", entry.index + 1, connection.name),
                reads: vec![without_login(&url)],
                writes: vec![to],
                connections: entry.entry.connection.iter().cloned().collect(),
            },
            ..Built::default()
        };
        Ok(self.maker(entry, &format!("polyaxon-init-git-{}", connection.name), made))
    }

    pub(super) fn dockerfile(&self, entry: &Entry) -> Result<Built, Failure> {
        let value = entry.entry.dockerfile.clone().unwrap_or_default();
        let context = Dockerfile::parse(&value)
            .map_err(|error| self.within(&["init", &entry.index.to_string(), "dockerfile"], error))?;
        let args =
            |to: &str| vec![format!("--build-context={}", context.to_json()), format!("--destination={to}")];
        self.written(entry, "dockerfile", &["polyaxon", "docker", "generate"], args, context.filename())
    }

    pub(super) fn file(&self, entry: &Entry) -> Result<Built, Failure> {
        let value = entry.entry.file.clone().unwrap_or_default();
        let context = FileContext::parse(&value)
            .map_err(|error| self.within(&["init", &entry.index.to_string(), "file"], error))?;
        let args =
            |to: &str| vec![format!("--file-context={}", context.to_json()), format!("--filepath={to}")];
        self.written(entry, "file", &["polyaxon", "initializer", "file"], args, &context.filename)
    }

    /// A container that writes a file, and a copy of it to the outputs.
    fn written(
        &self,
        entry: &Entry,
        what: &str,
        command: &[&str],
        args: impl FnOnce(&str) -> Vec<String>,
        filename: &str,
    ) -> Result<Built, Failure> {
        let to = self.folder(entry);
        let outputs = self.outputs();
        let mut args = args(&to);
        args.extend([format!("--copy-path={outputs}"), "--track".to_owned()]);
        let made = Built {
            command: texts(command),
            args,
            env: vec![self.instance_var()],
            about: About {
                what: format!("input {}: writes a {what}", entry.index + 1),
                writes: vec![format!("{to}/{filename}"), format!("{outputs}/{filename}")],
                ..About::default()
            },
            ..Built::default()
        };
        Ok(self.maker(entry, &format!("polyaxon-init-{what}"), made))
    }

    pub(super) fn tensorboard(&self, entry: &Entry) -> Result<Built, Failure> {
        let index = entry.index.to_string();
        let name = entry.entry.connection.as_deref().unwrap_or(&self.store.name);
        let store = self.connection(name)?;
        let from = store.store_path().map_err(|error| self.within(&["init", &index, "connection"], error))?;
        let to = self.folder(entry);
        let given = entry.entry.tensorboard.clone().unwrap_or_default();
        let known = ["port", "uuids", "useNames", "use_names", "pathPrefix", "path_prefix", "plugins"];
        let fields = given.as_object().cloned().unwrap_or_default();
        if let Some(field) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            let place = ["init", index.as_str(), "tensorboard", field];
            let next = crate::fields::next_step(crate::fields::closest(field, known));
            return Err(self
                .wrong(&place, format!("unknown field `{field}` of tensorboard"))
                .with_next(next));
        }
        let field = |camel: &str, snake: &str| {
            fields.get(camel).or_else(|| fields.get(snake)).filter(|one| !one.is_null())
        };
        let mut args = vec![
            format!("--context-from={from}"),
            format!("--context-to={to}"),
            format!("--connection-kind={}", store.kind),
        ];
        args.extend(field("port", "port").map(|port| format!("--port={}", super::super::built::text(port))));
        args.extend(field("uuids", "uuids").and_then(listed).map(|uuids| format!("--uuids={uuids}")));
        if field("useNames", "use_names") == Some(&json!(true)) {
            args.push("--use-names".to_owned());
        }
        let prefix = field("pathPrefix", "path_prefix").and_then(Value::as_str);
        args.extend(
            prefix.filter(|prefix| !prefix.is_empty()).map(|prefix| format!("--path-prefix={prefix}")),
        );
        args.extend(
            field("plugins", "plugins").and_then(listed).map(|plugins| format!("--plugins={plugins}")),
        );
        let supply = Supply::of(&[store], Take::Store, &self.volumes);
        let made = Built {
            command: texts(&["polyaxon", "initializer", "tensorboard"]),
            args,
            env: [vec![self.instance_var()], supply.secret_env, supply.map_env, supply.own_env].concat(),
            env_from: supply.env_from,
            mounts: supply.mounts,
            about: About {
                what: format!("input {}: fetches Tensorboard logs", entry.index + 1),
                reads: vec![from],
                writes: vec![format!("{to}/tensorboard"), format!("{to}/start_tensorboard")],
                connections: vec![name.to_owned()],
            },
            ..Built::default()
        };
        Ok(self.maker(entry, "polyaxon-init-tb", made))
    }

    /// A reference that nobody resolved yet: `plx-init ref` asks the API, or looks into the store.
    pub(super) fn reference(&self, entry: &Entry) -> Result<Built, Failure> {
        let (flag, short, raw) = match entry.handler {
            Handler::LineageRef => ("--lineage-ref", "lineage", &entry.entry.lineage_ref),
            Handler::ModelRef => ("--model-ref", "model", &entry.entry.model_ref),
            _ => ("--artifact-ref", "artifact", &entry.entry.artifact_ref),
        };
        let raw = raw.clone().unwrap_or_default();
        let mut args = vec![format!("{flag}={raw}")];
        let mut connections = vec![&self.store];
        if let Some(name) = &entry.entry.connection {
            args.push(format!("--connection={name}"));
            if *name != self.store.name {
                connections.push(self.connection(name)?);
            }
        }
        let art = self.artifacts();
        args.extend(entry.path(&art).map(|path| format!("--to={path}")));
        let supply = Supply::of(&connections, Take::Store, &self.volumes);
        let store_name = var(env::ARTIFACTS_STORE_NAME, self.store.name.as_str());
        let made = Built {
            command: texts(&["plx-init", "ref"]),
            args,
            env: [vec![store_name], supply.secret_env, supply.map_env, supply.own_env].concat(),
            env_from: supply.env_from,
            mounts: supply.mounts,
            about: About {
                what: format!("input {}: fetches what {short} reference {raw} stands for", entry.index + 1),
                reads: vec![raw],
                writes: vec![self.folder(entry)],
                connections: connections.iter().map(|one| one.name.clone()).collect(),
            },
            ..Built::default()
        };
        Ok(self.maker(entry, &format!("polyaxon-init-ref-{short}"), made))
    }
}

/// A list as one argument.
fn listed(value: &Value) -> Option<String> {
    let items: Vec<String> = match value {
        Value::String(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
        Value::Array(items) => items.iter().map(super::super::built::text).collect(),
        _ => return None,
    };
    (!items.is_empty()).then(|| items.join(","))
}

/// A connection with what an entry says of its repository.
fn patched(connection: &Connection, given: &Value) -> Connection {
    let mut schema = match &connection.schema {
        Some(Value::Object(schema)) => schema.clone(),
        _ => Map::new(),
    };
    for key in ["url", "revision", "flags"] {
        let value =
            given.get(key).filter(|value| super::super::built::is_given(value) && **value != json!(""));
        if let Some(value) = value {
            schema.insert(key.to_owned(), value.clone());
        }
    }
    Connection { schema: Some(Value::Object(schema)), ..connection.clone() }
}

fn nameless(name: &str) -> Connection {
    Connection {
        name: name.to_owned(),
        kind: Kind::Git,
        description: None,
        tags: None,
        schema: None,
        secret: None,
        config_map: None,
        env: None,
        annotations: None,
    }
}

/// A URL for people.
fn without_login(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@') {
            Some((_, host)) => format!("{scheme}://{host}"),
            None => url.to_owned(),
        },
        None => url.to_owned(),
    }
}
