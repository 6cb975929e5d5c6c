//! The pod of an operation as containers with argv and environment. Pure: nothing is read, made or started here.

use crate::connections::Stores;
use crate::context::{Context, Paths};
use crate::document::Loaded;
use crate::environment::{self, Vars};
use crate::localize::PathMap;
use crate::params;
use crate::roles::Role;
use crate::settings::{MAIN, NATIVE_GRACE, Settings, utf8};
use plx_contract::connection::Connection;
use plx_contract::layout::Layout;
use plx_contract::{Class, Env, env};
use plx_runtime::Failure;
use std::path::PathBuf;

mod init;
mod persistence;
mod person;

/// What a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// One of the pod's own programs, with its arguments.
    Own(Role, Vec<String>),
    /// A person's program: all its words.
    Person(Vec<String>),
}

impl Program {
    /// All words, the program's name first.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Own(role, args) => {
                std::iter::once(role.name().to_owned()).chain(args.iter().cloned()).collect()
            }
            Self::Person(words) => words.clone(),
        }
    }
}

/// One container, ready to be started.
#[derive(Debug, Clone)]
pub struct Container {
    /// Its name in the pod.
    pub name: String,
    /// What it does, for people.
    pub label: String,
    /// What it runs.
    pub program: Program,
    /// All of its environment.
    pub vars: Vars,
    /// Where it starts; the caller's working directory when none.
    pub dir: Option<PathBuf>,
    /// Where it leaves its report.
    pub report: Option<PathBuf>,
}

/// A pod, ready to be run.
#[derive(Debug, Clone)]
pub struct Pod {
    /// In order.
    pub inits: Vec<Container>,
    /// Main.
    pub main: Container,
    /// Beside main, when something is collected.
    pub sidecar: Option<Container>,
    /// Folders that must exist, writable for everybody, as the platform's volumes are.
    pub folders: Vec<PathBuf>,
    /// The file that collects what containers print.
    pub log: Option<PathBuf>,
    /// Where the run is in the store, for people.
    pub stored_at: Option<String>,
    /// Remarks for people.
    pub notes: Vec<String>,
}

/// `polyaxon`'s name of a variable that only main reads.
const IS_OFFLINE: &str = "POLYAXON_IS_OFFLINE";

/// Seconds, when neither the file nor the command line says otherwise.
const INTERVAL: i64 = 10;

/// Plans the pod.
///
/// # Errors
/// When the document asks for what cannot be done here, each with its place in the file.
pub fn pod(loaded: &Loaded, settings: &Settings, stores: &Stores, caller: &impl Env) -> Result<Pod, Failure> {
    let mut planner = Planner::new(loaded, settings, stores, caller)?;
    planner.local = planner.persistence()?;
    let inits = planner.inits()?;
    let main = planner.main()?;
    let sidecar = planner.collects.then(|| planner.sidecar()).transpose()?;
    let run = settings.uuid();
    if planner.wraps() {
        planner.folders.push(planner.layout.wrapped_main());
    } else if settings.wrap_main {
        planner.notes.push("nothing is collected: --wrap-main has no effect".to_owned());
    }
    let layout = &planner.layout;
    planner.folders.extend([layout.run(run), layout.outputs(run)]);
    let store = stores.store().store_path()?;
    let logs = planner.collects && loaded.operation.plugins.collects_logs();
    Ok(Pod {
        log: logs.then(|| layout.logs(run).join(format!("{}.jsonl", settings.pod))),
        stored_at: planner.collects.then(|| format!("{store}/{run}")),
        inits,
        main,
        sidecar,
        folders: planner.folders,
        notes: planner.notes,
    })
}

/// What is known while the containers are made, one after the other.
struct Planner<'a, E> {
    loaded: &'a Loaded,
    settings: &'a Settings,
    stores: &'a Stores,
    caller: &'a E,
    layout: Layout,
    context: Context,
    /// Paths of the pod that are rewritten; entries add theirs.
    map: PathMap,
    /// Connections of main.
    used: Vec<&'a Connection>,
    collects: bool,
    folders: Vec<PathBuf>,
    notes: Vec<String>,
    /// Volumes of data and outputs, as in older charts.
    local: Option<persistence::Local>,
    /// Inputs that are variables of main.
    inputs: Vec<(String, String)>,
}

impl<'a, E: Env> Planner<'a, E> {
    fn new(
        loaded: &'a Loaded,
        settings: &'a Settings,
        stores: &'a Stores,
        caller: &'a E,
    ) -> Result<Self, Failure> {
        let operation = &loaded.operation;
        let layout = settings.layout();
        let root = utf8(layout.root())?;
        let artifacts = utf8(&layout.artifacts())?;
        let store = stores.store();
        let store_path = store.store_path()?;
        let collects = operation.plugins.collects_artifacts();
        // Without collection main writes to the store itself.
        let mounts_store = !collects || operation.plugins.mount_artifacts_store.unwrap_or(false);

        let mut used = Vec::new();
        for (index, name) in operation.run.connections.iter().flatten().enumerate() {
            let index = index.to_string();
            let found = stores.catalog.find(name).map_err(|error| {
                let path = [loaded.run_path, &["connections", &index]].concat();
                let mut failure = Failure::from(error);
                failure.message = format!("{}: {}", loaded.source.at(&path), failure.message);
                failure
            })?;
            used.push(found);
        }
        if mounts_store && used.iter().all(|one| one.name != store.name) {
            used.push(store);
        }
        let of_init: Vec<&Connection> = operation
            .run
            .init
            .iter()
            .flatten()
            .filter_map(|entry| stores.catalog.find(entry.connection.as_deref()?).ok())
            .collect();
        let base = if collects { &artifacts } else { &store_path };
        let paths = Paths {
            context: root.clone(),
            artifacts: artifacts.clone(),
            run: format!("{base}/{}", settings.uuid()),
            store: mounts_store.then(|| store_path.clone()),
        };
        let params = params::of(loaded)?;
        let context = Context::new(
            &settings.instance,
            "local",
            operation.name.as_deref(),
            &paths,
            used.iter().copied(),
            of_init,
        )
        .with_params(&params.values);
        let mut map = PathMap::default();
        map.add("/plx-context", root);
        Ok(Self {
            loaded,
            settings,
            stores,
            caller,
            context,
            map,
            used,
            collects,
            folders: vec![layout.artifacts()],
            layout,
            notes: loaded.notes.clone(),
            local: None,
            inputs: params.env,
        })
    }

    /// The main container.
    fn main(&mut self) -> Result<Container, Failure> {
        let path = [self.loaded.run_path, &["container"]].concat();
        let Some(container) = &self.loaded.operation.run.container else {
            return Err(self.loaded.source.wrong(self.loaded.run_path, "run has no container"));
        };
        let mut vars = environment::base(self.caller, &self.settings.env_pass);
        environment::person(&mut vars, self.caller);
        for connection in &self.used {
            vars.extend(environment::of_connection(connection));
        }
        let words = self.person(container, &path, &mut vars)?;
        vars.extend(self.inputs.iter().cloned());
        environment::connections(&mut vars, self.caller, &self.used);
        self.service(&mut vars)?;
        set(&mut vars, env::ARTIFACTS_STORE_NAME, &self.stores.store);
        let outputs = self.context.render("run_outputs_path", "{{ run_outputs_path }}")?;
        set(&mut vars, env::RUN_OUTPUTS_PATH, outputs);
        if let Some(local) = self.local.clone() {
            self.persist(&local, &mut vars);
        }
        let plugins = &self.loaded.operation.plugins;
        if self.collects {
            set(&mut vars, env::COLLECT_ARTIFACTS, "true");
        }
        if plugins.collect_resources.unwrap_or(true) {
            set(&mut vars, env::COLLECT_RESOURCES, "true");
        }
        let dir = self.dir(container, &path)?;
        let program = if self.wraps() { self.wrapped(words)? } else { Program::Person(words) };
        Ok(Container { name: MAIN.to_owned(), label: "main".to_owned(), program, vars, dir, report: None })
    }

    /// Whether main is run by `plx-entry`: only for a sidecar.
    fn wraps(&self) -> bool {
        self.settings.wrap_main && self.collects
    }

    /// Main, run as `plx-pod render --wrap-main` has it.
    fn wrapped(&self, words: Vec<String>) -> Result<Program, Failure> {
        let mut args = vec!["--folder".to_owned(), utf8(&self.layout.wrapped_main())?];
        if self.loaded.operation.plugins.collects_logs() {
            args.push("--tee".to_owned());
        }
        args.push("--".to_owned());
        args.extend(words);
        Ok(Program::Own(Role::Entry, args))
    }

    /// The sidecar.
    fn sidecar(&self) -> Result<Container, Failure> {
        let settings = self.settings;
        let asked = self.loaded.operation.plugins.sidecar.clone().unwrap_or_default();
        let sleep = settings.sleep_interval.or(asked.sleep_interval).unwrap_or(INTERVAL);
        let sync = settings.sync_interval.or(asked.sync_interval).unwrap_or(INTERVAL);
        let mut args = vec![
            format!("--container-id={MAIN}"),
            format!("--sleep-interval={sleep}"),
            format!("--sync-interval={sync}"),
        ];
        if self.wraps() {
            args.push(format!("--wrapped-main={}", utf8(&self.layout.wrapped_main())?));
            args.extend(self.loaded.operation.plugins.collects_logs().then(|| "--monitor-logs".to_owned()));
        } else if !settings.native_sidecar {
            args.push(format!("--main-marker={}", utf8(&self.layout.exit_marker(&settings.pod))?));
        }
        if settings.native_sidecar {
            args.push(format!("--grace-period={NATIVE_GRACE}"));
        } else {
            args.push(format!("--grace-period={}", settings.grace.as_secs()));
        }
        args.extend(settings.finish_timeout.map(|seconds| format!("--finish-timeout={seconds}")));
        let mut vars = environment::base(self.caller, &settings.env_pass);
        environment::own(&mut vars, self.caller);
        environment::connections(&mut vars, self.caller, &[self.stores.store()]);
        self.service(&mut vars)?;
        set(&mut vars, env::CONTAINER_ID, MAIN);
        set(&mut vars, env::ARTIFACTS_STORE_NAME, &self.stores.store);
        if !settings.verbose {
            // Its warnings are shown, nothing else.
            set(&mut vars, env::LOG_LEVEL, "warning");
            vars.remove(env::DEBUG);
        }
        let name = "polyaxon-sidecar".to_owned();
        let report = self.report(&name, &mut vars)?;
        let program = Program::Own(Role::Sidecar, args);
        Ok(Container { name, label: "sidecar".to_owned(), program, vars, dir: None, report })
    }

    /// The variables that every container but the default artifacts init has.
    fn service(&self, vars: &mut Vars) -> Result<(), Failure> {
        set(vars, env::RUN_INSTANCE, self.settings.instance.to_string());
        set(vars, env::POD_ID, &self.settings.pod);
        set(vars, env::NODE_NAME, "local");
        set(vars, env::NAMESPACE, "local");
        set(vars, env::NO_API, "true");
        set(vars, IS_OFFLINE, "true");
        self.common(vars)
    }

    /// The variables that every container has.
    fn common(&self, vars: &mut Vars) -> Result<(), Failure> {
        set(vars, env::CONTEXT_ROOT, utf8(self.layout.root())?);
        let level = self.loaded.operation.plugins.log_level.clone();
        if let Some(level) = level.or_else(|| self.caller.non_empty(env::LOG_LEVEL)) {
            set(vars, env::LOG_LEVEL, level);
        }
        Ok(())
    }

    /// Where a container leaves its report, and the variable that tells it.
    fn report(&self, name: &str, vars: &mut Vars) -> Result<Option<PathBuf>, Failure> {
        let path = self.layout.root().join("reports").join(format!("{name}.json"));
        set(vars, env::TERMINATION_LOG, utf8(&path)?);
        Ok(Some(path))
    }

    /// A text of the document as this machine needs it.
    fn text(&self, what: &str, raw: &str) -> Result<String, Failure> {
        self.context.render(what, &self.map.apply(raw))
    }
}

fn set(vars: &mut Vars, key: &str, value: impl Into<String>) {
    vars.insert(key.to_owned(), value.into());
}

/// A failure with where and what in front.
fn within(place: &str, mut failure: Failure) -> Failure {
    failure.message = format!("{place}: {}", failure.message);
    failure
}

/// A configuration error with a place.
fn wrong(place: &str, message: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Config, format!("{place}: {message}"))
}
