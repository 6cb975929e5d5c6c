//! An operation and a deployment's configuration as a pod that `kubectl apply` takes: what Polyaxon's converter makes of
//! them (`polyaxon/_k8s/converter`), with the differences that `docs/render.md` lists.
//!
//! Pure but for [`command`]: [`render`] reads nothing but its arguments.

mod built;
mod check;
mod effective;
mod environment;
pub mod explain;
mod init;
mod main_container;
mod names;
mod persistence;
mod pod;
mod script;
mod service;
mod sidecar;
mod supply;
mod template;
mod volumes;
mod wrap;

pub use built::About;
pub use pod::Rendered;

use crate::cli::{As, RenderArgs};
use crate::context::Context;
use crate::deployment::{self, Cluster, Deployment};
use crate::document::{self, Loaded};
use crate::{settings, term};
use effective::Effective;
use plx_contract::connection::{Catalog, Connection, Kind};
use plx_contract::layout::Layout;
use plx_contract::operation::Run;
use plx_contract::persistence::Chosen;
use plx_contract::run::RunInstance;
use plx_contract::{Class, Env};
use plx_runtime::Failure;
use serde_json::{Value, json};
use volumes::Volumes;

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Pod or Job.
    pub form: As,
    /// The run.
    pub run: RunInstance,
    /// Its name; the operation's when absent.
    pub name: Option<String>,
    /// Where it runs; the configuration's when absent.
    pub namespace: Option<String>,
    /// The API; the configuration's when absent.
    pub host: Option<String>,
    /// The sidecar as an init container that is restarted always.
    pub native_sidecar: bool,
    /// Main is run by `plx-entry`.
    pub wrap_main: bool,
}

impl Asked {
    /// Settles the command line.
    ///
    /// # Errors
    /// When the run or the project cannot be named so.
    pub fn settle(args: &RenderArgs) -> Result<Self, Failure> {
        let run = settings::instance(args.run_uuid.as_deref(), &args.project)?;
        if !names::is_label(&settings::pod_name(&run)) {
            let message = format!("--run-uuid is `{}`: it is a part of the pod's name", run.uuid);
            return Err(Failure::new(Class::Usage, message)
                .with_next("use at most 49 lower-case letters, digits and dashes"));
        }
        Ok(Self {
            form: args.form,
            run,
            name: args.name.clone(),
            namespace: args.namespace.clone(),
            host: args.host.clone(),
            native_sidecar: args.native_sidecar,
            wrap_main: args.wrap_main,
        })
    }
}

/// `plx-pod render`.
///
/// # Errors
/// When the file or the configuration is wrong.
pub fn command(args: &RenderArgs, env: &impl Env) -> Result<(), Failure> {
    let rendered = from_files(args, env)?;
    rendered.notes.iter().for_each(|note| term::note(note));
    term::result(rendered.yaml()?.trim_end());
    Ok(())
}

/// The files of a command line, rendered.
///
/// # Errors
/// When the file or the configuration is wrong.
pub fn from_files(args: &RenderArgs, env: &impl Env) -> Result<Rendered, Failure> {
    let asked = Asked::settle(args)?;
    if args.file.as_os_str() == "-" && args.config.as_ref().is_some_and(|config| config.as_os_str() == "-") {
        return Err(Failure::new(Class::Usage, "both FILE and --config are stdin")
            .with_next("give one of them as a file"));
    }
    let loaded = document::read(&args.file)?;
    let deployment = args.config.as_deref().map(deployment::read).transpose()?.unwrap_or_default();
    render(&loaded, &deployment, &asked, env)
}

/// Renders an operation.
///
/// # Errors
/// When it asks for what cannot be, each with its place in the file.
pub fn render(
    loaded: &Loaded,
    deployment: &Deployment,
    asked: &Asked,
    caller: &impl Env,
) -> Result<Rendered, Failure> {
    let mut renderer = Renderer::new(loaded, deployment, asked, caller)?;
    renderer.add_volumes()?;
    renderer.pod()
}

/// What is known while the containers are made, one after the other.
struct Renderer<'a> {
    loaded: &'a Loaded,
    cluster: &'a Cluster,
    asked: &'a Asked,
    /// The name of the run, for people and labels.
    name: String,
    run_instance: &'a RunInstance,
    /// The run with its templates rendered.
    run: Run,
    plugins: Effective,
    host: Option<String>,
    /// The API from outside.
    external_host: Option<String>,
    namespace: Option<String>,
    layout: Layout,
    /// The artifacts store.
    store: Connection,
    catalog: Catalog,
    /// Connections of main, by name and in order.
    used: Vec<String>,
    context: Context,
    volumes: Volumes,
    proxies: Vec<Value>,
    /// Inputs that are variables of main.
    inputs: Vec<Value>,
    chosen: Option<Chosen>,
    notes: Vec<String>,
}

impl<'a> Renderer<'a> {
    fn new(
        loaded: &'a Loaded,
        deployment: &'a Deployment,
        asked: &'a Asked,
        caller: &impl Env,
    ) -> Result<Self, Failure> {
        let operation = &loaded.operation;
        let cluster = &deployment.cluster;
        let host = asked.host.clone().or_else(|| cluster.host.clone()).filter(|host| !host.is_empty());
        let plugins = Effective::of(&operation.plugins, cluster, host.is_some());
        let mut notes = Vec::new();
        let store = match &deployment.store {
            Some(store) => store.clone(),
            None => {
                notes.push(format!(
                    "no artifactsStore is configured: outputs go to {NODE_FOLDER} of the node"
                ));
                on_the_node()
            }
        };
        store.store_path()?; // an artifacts store that is none
        let mut connections = vec![store.clone()];
        connections.extend(deployment.others.iter().filter(|one| one.name != store.name).cloned());
        let mut renderer = Self {
            name: asked
                .name
                .clone()
                .or_else(|| operation.name.clone())
                .unwrap_or_else(|| asked.run.uuid.to_string()),
            run_instance: &asked.run,
            run: operation.run.clone(),
            host,
            external_host: cluster.external_host.clone().or_else(|| caller.non_empty(PLATFORM_HOST)),
            namespace: asked.namespace.clone().or_else(|| cluster.namespace.clone()),
            layout: Layout::under("/plx-context"),
            used: Vec::new(),
            context: Context::default(),
            volumes: Volumes::default(),
            proxies: if cluster.proxies { service::proxies(caller)? } else { Vec::new() },
            inputs: Vec::new(),
            chosen: None,
            catalog: Catalog { connections },
            loaded,
            cluster,
            asked,
            plugins,
            store,
            notes,
        };
        renderer.check_plugins()?;
        renderer.template()?;
        renderer.used = renderer.connections_of_main()?;
        renderer.chosen = renderer.choose(deployment.persistence.as_ref())?;
        Ok(renderer)
    }

    /// What cannot be rendered although the document may ask for it.
    fn check_plugins(&self) -> Result<(), Failure> {
        let plugins = &self.loaded.operation.plugins;
        for (name, asked) in [("sandbox", plugins.sandbox), ("ssh", plugins.ssh)] {
            if asked == Some(true) {
                let message =
                    format!("plugins.{name} needs programs of Polyaxon's own image and a token of its API");
                return Err(Failure::new(Class::Config, self.located(&["plugins", name], &message))
                    .with_next("remove it, or run the operation on a Polyaxon deployment"));
            }
        }
        if plugins.auth == Some(true) && self.host.is_none() && !self.cluster.no_api {
            let message = "plugins.auth needs the tracking API, and no host is configured";
            return Err(Failure::new(Class::Config, self.located(&["plugins", "auth"], message))
                .with_next("give `host` in the configuration, or --host URL"));
        }
        Ok(())
    }

    /// A message with its place: at the operation's own key, or at its component's.
    fn located(&self, path: &[&str], message: &str) -> String {
        let source = &self.loaded.source;
        let below = [&["component"], path].concat();
        let path = if source.has(path) { path } else { &below };
        format!("{}: {message}", source.at(path))
    }

    /// A place below `run`.
    fn at(&self, path: &[&str]) -> String {
        self.loaded.source.at(&[self.loaded.run_path, path].concat())
    }

    /// An error at a place below `run`.
    fn wrong(&self, path: &[&str], message: impl std::fmt::Display) -> Failure {
        Failure::new(Class::Config, format!("{}: {message}", self.at(path)))
    }

    /// An error of another kind, with a place below `run` in front.
    fn within(&self, path: &[&str], failure: impl Into<Failure>) -> Failure {
        let mut failure = failure.into();
        failure.message = format!("{}: {}", self.at(path), failure.message);
        failure
    }

    /// The connections of main: those it names, and the store when it may see it.
    fn connections_of_main(&self) -> Result<Vec<String>, Failure> {
        let mut used: Vec<String> = Vec::new();
        for (index, name) in self.run.connections.iter().flatten().enumerate() {
            self.catalog
                .find(name)
                .map_err(|error| self.within(&["connections", &index.to_string()], error))?;
            if !used.contains(name) {
                used.push(name.clone());
            }
        }
        // Without collection main writes to the store itself.
        let sees_store = !self.plugins.collects_artifacts || self.plugins.mounts_store;
        if sees_store && !used.contains(&self.store.name) {
            used.push(self.store.name.clone());
        }
        Ok(used)
    }

    fn connection(&self, name: &str) -> Result<&Connection, Failure> {
        Ok(self.catalog.find(name)?)
    }

    fn kind_of(&self, name: &str) -> Option<Kind> {
        self.catalog.find(name).ok().map(|connection| connection.kind.clone())
    }

    /// Main's connections.
    fn used(&self) -> Vec<&Connection> {
        self.used.iter().filter_map(|name| self.catalog.find(name).ok()).collect()
    }

    /// `ART`.
    fn artifacts(&self) -> String {
        self.layout.artifacts().display().to_string()
    }

    /// Where main leaves its outputs in `ART`.
    fn outputs(&self) -> String {
        self.layout.outputs(&self.run_instance.uuid).display().to_string()
    }
}

/// Where Polyaxon's converter has the API's address from outside.
const PLATFORM_HOST: &str = "POLYAXON_PLATFORM_HOST";
/// Where outputs go on a node when nothing else is configured.
const NODE_FOLDER: &str = "/tmp/plx/store";

fn on_the_node() -> Connection {
    Connection {
        name: "local".to_owned(),
        kind: Kind::HostPath,
        description: None,
        tags: None,
        schema: Some(json!({"hostPath": NODE_FOLDER, "mountPath": "/plx-store"})),
        secret: None,
        config_map: None,
        env: None,
        annotations: None,
    }
}
