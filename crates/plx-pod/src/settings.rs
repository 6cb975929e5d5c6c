//! The command line as settled facts: which run, which pod, which folders, how long.

use crate::cli::RunArgs;
use plx_contract::Class;
use plx_contract::layout::Layout;
use plx_contract::run::{RunInstance, RunUuid};
use plx_runtime::Failure;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Name of the main container.
pub const MAIN: &str = "polyaxon-main";

/// Seconds that a native sidecar has for what is left when main is gone.
pub const NATIVE_GRACE: u64 = 300;

/// What one run of this program is about.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The run.
    pub instance: RunInstance,
    /// Name of the pod.
    pub pod: String,
    /// Folder of the default store and of the pods, absolute.
    pub work_dir: PathBuf,
    /// Further variables of the caller for every container.
    pub env_pass: Vec<String>,
    /// Overrides of the file's intervals.
    pub sync_interval: Option<i64>,
    /// As above.
    pub sleep_interval: Option<i64>,
    /// From the first signal to SIGKILL.
    pub grace: Duration,
    /// Bound of the last pass, when one is asked for.
    pub finish_timeout: Option<u64>,
    /// The sidecar is started first, and told to end by a signal.
    pub native_sidecar: bool,
    /// Keep the pod's folder.
    pub keep: bool,
    /// Start nothing but `plx-init --dry-run`.
    pub dry_run: bool,
    /// Main is run by `plx-entry`.
    pub wrap_main: bool,
    /// Show the sidecar's log.
    pub verbose: bool,
}

impl Settings {
    /// Settles the command line against the working directory.
    ///
    /// # Errors
    /// When the run, the project or a folder cannot be named so.
    pub fn settle(args: &RunArgs, current_dir: &Path) -> Result<Self, Failure> {
        let instance = instance(args.run_uuid.as_deref(), &args.project)?;
        let work_dir = current_dir.join(&args.work_dir);
        utf8(&work_dir)?;
        Ok(Self {
            pod: pod_name(&instance),
            instance,
            work_dir,
            env_pass: args.env_pass.clone(),
            sync_interval: args.sync_interval,
            sleep_interval: args.sleep_interval,
            grace: Duration::from_secs(args.grace_period),
            finish_timeout: args.finish_timeout,
            native_sidecar: args.native_sidecar,
            keep: args.keep,
            dry_run: args.dry_run,
            wrap_main: args.wrap_main,
            verbose: args.verbose,
        })
    }

    /// The run's uuid.
    pub fn uuid(&self) -> &RunUuid {
        &self.instance.uuid
    }

    /// The pod's folder: the context root.
    pub fn pod_dir(&self) -> PathBuf {
        self.work_dir.join("pods").join(&self.pod)
    }

    /// The places below the context root.
    pub fn layout(&self) -> Layout {
        Layout::under(self.pod_dir())
    }
}

/// The pod of a run, as Polyaxon names it.
pub fn pod_name(run: &RunInstance) -> String {
    format!("plx-operation-{}", run.uuid)
}

/// The run of a command line; a random one when none is given.
///
/// # Errors
/// When the run or the project cannot be named so.
pub fn instance(run_uuid: Option<&str>, project: &str) -> Result<RunInstance, Failure> {
    let usage = |message: String| Failure::new(Class::Usage, message);
    let plain = |text: &str| {
        text.chars().next().is_some_and(char::is_alphanumeric)
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let uuid = match run_uuid {
        Some(uuid) if plain(uuid) && uuid.len() <= 64 => uuid.to_owned(),
        Some(uuid) => {
            return Err(usage(format!("--run-uuid is `{uuid}`: wanted letters, digits, `-` and `_`")));
        }
        None => format!("{:032x}", fastrand::u128(..)),
    };
    match project.split_once('/') {
        Some((owner, project)) if plain(owner) && plain(project) => Ok(RunInstance {
            owner: owner.to_owned(),
            project: project.to_owned(),
            uuid: RunUuid::new(uuid)?,
        }),
        _ => Err(usage(format!("--project is `{project}`: wanted OWNER/PROJECT"))),
    }
}

/// A path as text: it stands in argv, in JSON and in the environment.
///
/// # Errors
/// When it is not UTF-8, or looks like a template.
pub fn utf8(path: &Path) -> Result<String, Failure> {
    let wrong = |what: &str| {
        Failure::new(Class::Config, format!("the folder {} {what}", path.display()))
            .with_next("use another folder with --work-dir")
    };
    let text = path.to_str().ok_or_else(|| wrong("is not valid UTF-8"))?;
    if ["{{", "{%"].iter().any(|mark| text.contains(mark)) {
        return Err(wrong("has template marks in its name"));
    }
    Ok(text.to_owned())
}
