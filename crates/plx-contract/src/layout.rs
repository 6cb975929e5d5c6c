//! Where things are below the context root. One place, so that nobody spells a path twice.

use crate::run::RunUuid;
use std::path::{Path, PathBuf};

/// Directory of our own state below the artifacts root, and below `plx-pod`'s working folder.
pub const OWN_STATE: &str = ".plx";

/// Every temporary file of ours begins with this; every scan skips such names.
pub const TEMP_PREFIX: &str = ".plx-part.";

/// The folder below the artifacts root of a main that is run by `plx-entry`.
const WRAPPED_MAIN: &str = ".plx-main";

/// The folder of logs below the run.
const LOGS: &str = "plxlogs";
/// Files below the run that the sidecar writes beside logs.
const COLLECTED: [&str; 3] = ["outputs/spec.json", "resources/metric/cpu.plx", "resources/metric/memory.plx"];

/// Whether a key below the run is written by the sidecar itself: the logs of its pods, what main uses, and the spec. Whatever
/// is sent under other keys was written by main, or by who works beside it: a sign of life.
///
/// ```
/// use plx_contract::layout::is_collected;
/// assert!(is_collected("plxlogs/pod-1.jsonl"));
/// assert!(!is_collected("outputs/model.pt"));
/// ```
pub fn is_collected(below_run: &str) -> bool {
    COLLECTED.contains(&below_run) || below_run.strip_prefix(LOGS).is_some_and(|rest| rest.starts_with('/'))
}

/// Paths below one context root (`/plx-context` in a pod).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// A layout below `root`.
    pub fn under(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The layout that `POLYAXON_CONTEXT_ROOT` names, `/plx-context` by default.
    pub fn from_env(env: &(impl crate::Env + ?Sized)) -> Self {
        Self::under(env.non_empty(crate::env::CONTEXT_ROOT).unwrap_or_else(|| "/plx-context".to_owned()))
    }

    /// The context root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `ART`: everything that is fetched or collected.
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    /// The run's own folder, mirrored to `STORE/UUID`.
    pub fn run(&self, run: &RunUuid) -> PathBuf {
        self.artifacts().join(run.as_str())
    }

    /// Where main writes its outputs.
    pub fn outputs(&self, run: &RunUuid) -> PathBuf {
        self.run(run).join("outputs")
    }

    /// The folder of the run's logs.
    pub fn logs(&self, run: &RunUuid) -> PathBuf {
        self.run(run).join(LOGS)
    }

    /// A pod's log in Polyaxon's form: the first part, or what follows as `POD.jsonl.0002`. What stands before `.jsonl` is
    /// the pod's name: Polyaxon looks for it when it collects what nobody sent.
    pub fn log_part(&self, run: &RunUuid, pod: &str, number: u32) -> PathBuf {
        let folder = self.logs(run);
        match number {
            ..=1 => folder.join(format!("{pod}.jsonl")),
            _ => folder.join(format!("{pod}.jsonl.{number:04}")),
        }
    }

    /// Runs that this run writes into beside its own.
    pub fn related_runs(&self) -> PathBuf {
        self.artifacts().join("_related_runs")
    }

    /// The hand-over from init to sidecar, in Polyaxon's format.
    pub fn fs_file(&self) -> PathBuf {
        self.artifacts().join(".fs")
    }

    /// Journal, cursors and undelivered calls of one pod.
    pub fn own_state(&self, pod: &str) -> PathBuf {
        self.artifacts().join(OWN_STATE).join(pod)
    }

    /// What `plx-entry` leaves of a main that it runs, see [`crate::wrapped`]. Not below [`Layout::own_state`]: init, main and
    /// sidecar may differ in user, and whichever comes first must not be in the others' way.
    pub fn wrapped_main(&self) -> PathBuf {
        self.artifacts().join(WRAPPED_MAIN)
    }

    /// What `plx-pod` leaves when a main that it runs itself has ended: `{"exit_code":N}`.
    pub fn exit_marker(&self, pod: &str) -> PathBuf {
        self.own_state(pod).join("main-exit.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_polyaxon() {
        let layout = Layout::from_env(&std::collections::BTreeMap::new());
        let run = RunUuid::new("R").expect("a segment");
        assert_eq!(layout.outputs(&run), Path::new("/plx-context/artifacts/R/outputs"));
        assert_eq!(layout.fs_file(), Path::new("/plx-context/artifacts/.fs"));
        let log = Path::new("/plx-context/artifacts/R/plxlogs");
        assert_eq!(layout.log_part(&run, "p", 1), log.join("p.jsonl"));
        assert_eq!(layout.log_part(&run, "p", 12), log.join("p.jsonl.0012"));
    }
    #[test]
    fn a_key_is_the_sidecars_own_only_where_it_writes_itself() {
        let layout = Layout::under("/c");
        let run = RunUuid::new("R").expect("a segment");
        for own in [
            layout.log_part(&run, "p", 1),
            layout.log_part(&run, "p", 2),
            layout.outputs(&run).join("spec.json"),
        ] {
            let below = own.strip_prefix(layout.run(&run)).expect("below the run");
            assert!(is_collected(below.to_str().expect("text")), "{below:?}");
        }
        for own in ["resources/metric/cpu.plx", "resources/metric/memory.plx", "plxlogs/a/b"] {
            assert!(is_collected(own), "{own}");
        }
        for of_main in [
            "",
            "plxlogs",
            "plxlogs2/a",
            "outputs/plxlogs/a",
            "outputs/spec.json/a",
            "outputs/spec.json2",
            "outputs/a/spec.json",
            "spec.json",
            "R/outputs/spec.json",
            "events/metric/cpu.plx",
            "outputs/resources/metric/cpu.plx",
            "resources/metric/gpu_0_utilization.plx",
            "resources/metric/cpu.plx/a",
        ] {
            assert!(!is_collected(of_main), "{of_main}");
        }
    }
}
