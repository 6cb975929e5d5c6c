//! `run`: one entry of an `init` section (`V1Init`), as it is written, so that a pod spec can carry it.

use crate::cli::CommonArgs;
use crate::jobs::artifacts::{self, Inputs, Job, Options};
use crate::jobs::dockerfile::DockerfileArgs;
use crate::jobs::file::FileArgs;
use crate::jobs::git::{self, GitArgs};
use crate::jobs::reference::{self, RefArgs};
use crate::jobs::tensorboard::TensorboardArgs;
use crate::jobs::{dockerfile, file, generated, tensorboard};
use crate::{InitError, say};
use clap::Args;
use plx_contract::connection::{Catalog, Connection};
use plx_contract::dockerfile::Dockerfile;
use plx_contract::env::SharedEnv;
use plx_contract::init::{Handler, Init, InitError as EntryError, Subpath};
use plx_contract::run::RunInstance;
use plx_contract::{Env, Layout, env};
use plx_runtime::{Failure, Report, Stop};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The entry as JSON or YAML, or a file that holds it.
    #[arg(value_name = "ENTRY")]
    entry: String,
    #[command(flatten)]
    common: CommonArgs,
}

/// `V1TensorboardType`, without the connection.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Tensorboard {
    port: Option<u16>,
    uuids: Vec<String>,
    #[serde(alias = "use_names")]
    use_names: Option<bool>,
    #[serde(alias = "path_prefix")]
    path_prefix: Option<String>,
    plugins: Option<Vec<String>>,
}

/// `V1GitType`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Git {
    url: Option<String>,
    revision: Option<String>,
    flags: Option<Vec<String>>,
}

/// Carries out the entry.
///
/// # Errors
/// When it has no handler or several, and as its handler.
pub async fn run(args: &RunArgs, env: &impl SharedEnv, stop: &Stop) -> Result<Report, Failure> {
    let wrong = |reason: String| Failure::from(InitError::Argument { flag: "ENTRY", reason });
    let value = generated::context("ENTRY", &args.entry)?;
    let entry: Init = serde_json::from_value(value).map_err(|error| wrong(shape(&error)))?;
    let catalog = Catalog::from_env(env).map_err(InitError::from)?;
    let kind_of = |name: &str| catalog.find(name).ok().map(|connection| connection.kind.clone());
    let layout = Layout::from_env(env);
    let to = || entry.path.as_ref().map_or_else(|| layout.artifacts(), PathBuf::from);
    let copies = outputs(env, &layout)?;
    let handler = entry.handler(kind_of).map_err(InitError::from)?;
    if args.common.dry_run && matches!(handler, Handler::File | Handler::Dockerfile) {
        say::line(&format!("{} would be written to {}", handler.name(), to().display()));
        return Ok(Report::done());
    }
    match handler {
        Handler::Artifacts | Handler::Paths => {
            let job = fetching(&entry, store(&entry, &catalog, env)?, &args.common)?;
            Ok(artifacts::run(&job, env, stop).await?)
        }
        Handler::File => {
            let args = FileArgs {
                file_context: text(&entry.file),
                filepath: to(),
                track: copies.is_some(),
                copy_path: copies,
            };
            Ok(file::run(&args, env).await?)
        }
        Handler::Dockerfile => {
            let args = DockerfileArgs {
                build_context: text(&entry.dockerfile),
                destination: to(),
                track: copies.is_some(),
                copy_path: copies,
            };
            // A context that is wrong leaves nothing behind, not even a folder.
            Dockerfile::parse(entry.dockerfile.as_ref().unwrap_or(&Value::Null))
                .map_err(|error| InitError::Context { what: "build context", source: error })?;
            plx_transfer::Place::open(&args.destination)
                .map_err(|error| InitError::Transfer { errors: vec![error] })?;
            Ok(dockerfile::run(&args, env).await?)
        }
        Handler::Tensorboard => {
            let value = entry.tensorboard.clone().unwrap_or_default();
            let given: Tensorboard = serde_json::from_value(value)
                .map_err(|error| wrong(format!("tensorboard: {}", shape(&error))))?;
            let connection = store(&entry, &catalog, env)?;
            let args = TensorboardArgs {
                context_from: connection.store_path().map_err(InitError::from)?,
                context_to: to(),
                connection_kind: None,
                connection_name: Some(connection.name.clone()),
                port: given.port.unwrap_or(6006),
                uuids: given.uuids,
                use_names: given.use_names.unwrap_or(false),
                path_prefix: given.path_prefix,
                plugins: given.plugins.unwrap_or_default(),
                common: args.common.clone(),
            };
            Ok(tensorboard::run(&args, env, stop).await?)
        }
        Handler::Container => {
            Err(wrong("a container of one's own is started by the pod, not here".to_owned()))
        }
        Handler::LineageRef | Handler::ModelRef | Handler::ArtifactRef => {
            let args = RefArgs {
                lineage_ref: entry.lineage_ref.clone(),
                model_ref: entry.model_ref.clone(),
                artifact_ref: entry.artifact_ref.clone(),
                connection: entry.connection.clone(),
                to: entry.path.as_ref().map(PathBuf::from),
                common: args.common.clone(),
            };
            Ok(reference::run(&args, env, stop).await?)
        }
        Handler::Git => {
            let value = entry.git.clone().unwrap_or(Value::Object(serde_json::Map::new()));
            let given: Git =
                serde_json::from_value(value).map_err(|error| wrong(format!("git: {}", shape(&error))))?;
            let connection = entry.connection.as_deref().map(|name| catalog.find(name)).transpose();
            let connection = connection.map_err(InitError::from)?;
            let (url, revision, flags) = match connection.map(git::of) {
                // An entry that names its own repository takes the login of the connection alone.
                Some(of) if given.url.is_none() => {
                    let (url, revision, flags) = of?;
                    (Some(url), revision, flags)
                }
                _ => (None, None, None),
            };
            let own_flags =
                given.flags.filter(|flags| !flags.is_empty()).map(|flags| json!(flags).to_string());
            let below = |path: &String| {
                let name =
                    git::folder_name(entry.connection.as_deref(), given.url.as_deref().unwrap_or_default());
                name.map(|name| PathBuf::from(path).join(name))
            };
            let args = GitArgs {
                repo_path: entry.path.as_ref().map(below).transpose()?,
                url: given.url.or(url),
                revision: given.revision.or(revision),
                connection: entry.connection.clone(),
                flags: own_flags.or(flags),
                dry_run: args.common.dry_run,
            };
            Ok(git::run(&args, env, stop).await?)
        }
    }
}

fn fetching(entry: &Init, connection: &Connection, common: &CommonArgs) -> Result<Job, InitError> {
    let section = entry.artifacts.clone().unwrap_or_default();
    let mut inputs = Inputs {
        files: section.files.unwrap_or_default(),
        dirs: section.dirs.unwrap_or_default(),
        lookups: entry.paths.clone().unwrap_or_default(),
    };
    if inputs == Inputs::default() {
        inputs.dirs.push(Subpath::Same(String::new()));
    }
    let options = Options {
        workers: common.workers.or(section.workers),
        optional: common.optional,
        dry_run: common.dry_run,
        resume: false,
    };
    Ok(Job {
        connection: connection.name.clone(),
        inputs,
        to: entry.path.as_ref().map(PathBuf::from),
        options,
    })
}

/// The entry's connection, else the artifacts store, else the only store there is.
fn store<'a>(entry: &Init, catalog: &'a Catalog, env: &impl Env) -> Result<&'a Connection, InitError> {
    if let Some(name) = entry.connection.clone().or_else(|| env.non_empty(env::ARTIFACTS_STORE_NAME)) {
        return Ok(catalog.find(&name)?);
    }
    let mut stores = catalog.connections.iter().filter(|connection| connection.kind.is_artifacts());
    match (stores.next(), stores.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(EntryError::Empty.into()),
    }
}

/// Where the platform keeps what was generated for a run: beside its outputs.
fn outputs(env: &impl Env, layout: &Layout) -> Result<Option<PathBuf>, InitError> {
    let Some(raw) = env.non_empty(env::RUN_INSTANCE) else { return Ok(None) };
    let run = RunInstance::parse(&raw)
        .map_err(|error| InitError::Argument { flag: env::RUN_INSTANCE, reason: error.to_string() })?;
    Ok(Some(layout.outputs(&run.uuid)))
}

/// What serde says of a shape, without the value that does not have it.
fn shape(error: &serde_json::Error) -> String {
    let words = error.to_string();
    match (words.starts_with("unknown field"), words.rsplit_once(", expected ")) {
        (false, Some((_, wanted))) => format!("a field has the wrong type, wanted {wanted}"),
        (false, None) if !words.starts_with("missing field") => "a field has the wrong shape".to_owned(),
        _ => words,
    }
}

fn text(value: &Option<Value>) -> String {
    value.as_ref().map(Value::to_string).unwrap_or_default()
}
