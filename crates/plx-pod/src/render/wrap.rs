//! Main as `plx-entry` runs it, for pods that have no rights on the API of their cluster: who places that program, and how main
//! and the sidecar use it.

use super::Renderer;
use super::built::{About, Built};
use plx_contract::wrapped::{PROGRAM, Restarts};
use plx_runtime::Failure;
use serde_json::{Map, Value, json};

/// Said where there is nothing to wrap main for.
const NOTHING: &str = "nothing is collected: --wrap-main has no effect";

impl Renderer<'_> {
    /// Whether main is wrapped: only for a sidecar.
    pub(super) fn wraps(&self) -> bool {
        self.asked.wrap_main && self.collects()
    }

    /// Whether there is a sidecar.
    pub(super) fn collects(&self) -> bool {
        self.plugins.collects_artifacts || self.plugins.collects_logs
    }

    /// Whether the sidecar collects logs.
    pub(super) fn monitors_logs(&self) -> bool {
        self.plugins.collects_logs && self.sidecar_settings().monitor_logs.unwrap_or(true)
    }

    /// Where main and sidecar meet.
    pub(super) fn wrapped_main(&self) -> String {
        self.layout.wrapped_main().display().to_string()
    }

    /// The container that places the program.
    pub(super) fn places_entry(&self) -> Option<Built> {
        self.wraps().then(|| Built {
            command: super::init::texts(&["plx-init", "entry"]),
            args: vec![format!("--to={}", self.wrapped_main())],
            mounts: vec![self.volumes.mount("artifacts", &self.artifacts(), None)],
            about: About {
                what: "places the program that runs main".to_owned(),
                writes: vec![self.wrapped_main()],
                ..About::default()
            },
            ..self.helper("polyaxon-init-entry".to_owned())
        })
    }

    /// Main, run by that program. Its words stay as they are and in their order.
    pub(super) fn wrapped(&self, mut main: Built) -> Result<Built, Failure> {
        if !self.wraps() {
            return Ok(main);
        }
        if main.command.is_empty() {
            let message = "the container has no command, and --wrap-main cannot know what its image starts";
            return Err(self
                .wrong(&["container"], message)
                .with_next("give `command`, with the entrypoint of the image: `docker inspect` shows it"));
        }
        let folder = self.wrapped_main();
        let mut words = vec![format!("{folder}/{PROGRAM}"), "--folder".to_owned(), folder.clone()];
        if self.monitors_logs() {
            words.push("--tee".to_owned());
        }
        // Where nothing is said of a Pod, Kubernetes starts it again always.
        let policy = self.restart_policy()?.unwrap_or("Always");
        if Restarts::named(policy).is_some_and(|policy| policy != Restarts::Never) {
            words.extend(["--restart-policy".to_owned(), policy.to_owned()]);
        }
        words.push("--".to_owned());
        words.append(&mut main.command);
        main.command = words;
        // Logs alone need the volume too.
        let artifacts = self.artifacts();
        if main.mounts.iter().all(|mount| mount.get("mountPath").and_then(Value::as_str) != Some(&artifacts))
        {
            main.mounts.push(self.volumes.mount("artifacts", &artifacts, Some(false)));
        }
        main.about.writes.push(folder);
        Ok(main)
    }

    /// Nobody in the pod asks its cluster, unless the run brings an account of its own: then main may.
    pub(super) fn without_account(&mut self, spec: &mut Map<String, Value>) {
        if self.asked.wrap_main && !self.collects() {
            self.notes.push(NOTHING.to_owned());
        }
        if self.wraps() && !self.names_account() {
            spec.insert("automountServiceAccountToken".to_owned(), json!(false));
        }
    }
}
