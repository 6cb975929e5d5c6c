//! What the program means, from what was typed and what the environment says.

use crate::SidecarError;
use crate::cli::Args;
use crate::intervals::Schedule;
use plx_contract::connection::{Catalog, Connection};
use plx_contract::run::{self, RunInstance};
use plx_contract::{Env, Layout, env};
use std::path::PathBuf;
use std::time::Duration;

/// What an end with something left unstored means for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnIncomplete {
    /// 0: a failed sidecar fails the pod, and may run a training again.
    Report,
    /// 75.
    Fail,
}

/// Settings of one sidecar.
#[derive(Debug, Clone)]
pub struct Config {
    /// The run.
    pub run: RunInstance,
    /// The pod's name.
    pub pod: String,
    /// Where things are.
    pub layout: Layout,
    /// The artifacts store.
    pub store: Connection,
    /// When passes begin.
    pub schedule: Schedule,
    /// Main's name among the pod's containers.
    pub container: String,
    /// Between two looks at the pod, where it cannot be watched.
    pub poll: Duration,
    /// A process that is main.
    pub main_pid: Option<i32>,
    /// A file that main's end leaves.
    pub main_marker: Option<PathBuf>,
    /// Where `plx-entry` leaves main's output and end; nothing is asked of Kubernetes then.
    pub wrapped_main: Option<PathBuf>,
    /// Between SIGTERM and SIGKILL, when it is set by hand; else the pod says, and it is [`DEFAULT_GRACE`] where it cannot.
    pub grace: Option<Duration>,
    /// For the last pass, when nobody sent SIGTERM.
    pub finish: Duration,
    /// So long without a sign of main's life and without a change on disk it counts as gone; none: it never does.
    pub lifeless: Option<Duration>,
    /// The logs of the pod's containers are collected.
    pub monitor_logs: bool,
    /// The spec of the run's pods is collected.
    pub monitor_spec: bool,
    /// What main uses is collected, or not; none where only the pod says so.
    pub collect_resources: Option<bool>,
    /// What an incomplete end means.
    pub on_incomplete: OnIncomplete,
    /// Memory of all transfer buffers, when it is set by hand.
    pub buffer_bytes: Option<u64>,
}

/// Longer than any run; clocks that are further away than they can count would panic.
pub(crate) const A_YEAR: u64 = 31_536_000;
/// Kubernetes' own default.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);
const DEFAULT_FINISH: Duration = Duration::from_secs(1800);
/// No training is silent for a day and then writes something; a Job that never completes holds its node for as long.
pub const DEFAULT_LIFELESS: Duration = Duration::from_secs(86_400);

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// When the run, the pod or the store is not named, or a value cannot be used.
    pub fn load(args: &Args, env: &impl Env) -> Result<Self, SidecarError> {
        let missing = |key| SidecarError::Missing { key };
        let pod = env.non_empty(env::POD_ID).ok_or(missing(env::POD_ID))?;
        let store_name =
            env.non_empty(env::ARTIFACTS_STORE_NAME).ok_or(missing(env::ARTIFACTS_STORE_NAME))?;
        let seconds = |flag: Option<u64>, key| -> Result<Option<Duration>, SidecarError> {
            let seconds = flag.or(env::number(env, key)?);
            Ok(seconds.map(|seconds| Duration::from_secs(seconds.min(A_YEAR))))
        };
        Ok(Self {
            run: run::from_env(env)?,
            pod,
            layout: Layout::from_env(env),
            store: Catalog::from_env(env)?.find(&store_name)?.clone(),
            schedule: Schedule::new(args.sleep_interval, args.sync_interval),
            container: args.container_id.clone(),
            poll: Duration::from_secs(u64::try_from(args.sleep_interval).unwrap_or_default().max(1)),
            main_pid: args.main_pid,
            main_marker: args.main_marker.clone(),
            wrapped_main: args.wrapped_main.clone(),
            grace: seconds(args.grace_period, env::GRACE_SECONDS)?,
            finish: seconds(args.finish_timeout, env::FINISH_SECONDS)?.unwrap_or(DEFAULT_FINISH),
            lifeless: Some(
                seconds(args.lifeless_timeout, env::LIFELESS_SECONDS)?.unwrap_or(DEFAULT_LIFELESS),
            )
            .filter(|lifeless| !lifeless.is_zero()),
            monitor_logs: args.monitor_logs,
            monitor_spec: args.monitor_spec,
            collect_resources: env::boolean(env, env::COLLECT_RESOURCES).unwrap_or_else(|error| {
                // No reason to send no outputs.
                tracing::warn!("{error}; it counts as unset");
                None
            }),
            on_incomplete: args.on_incomplete,
            buffer_bytes: env::number(env, env::BUFFER_BYTES)?,
        })
    }
}
