//! One pod of one run: its folder, its store, and what the outside can do to it.

use futures::FutureExt;
use futures::future::BoxFuture;
use plx_contract::run::RunInstance;
use plx_contract::{Layout, RelPath};
use plx_runtime::{Report, Stop};
use plx_sidecar::beside::Beside;
use plx_sidecar::intervals::Schedule;
use plx_sidecar::main_container::{Gone, MainContainer, Signs};
use plx_sidecar::pass::{PassReport, Passes};
use plx_sidecar::resources::{Meter, Resources};
use plx_sidecar::spec::{Source, Spec};
use plx_sidecar::summaries::{Lineage, Summaries};
use plx_sidecar::{Config, DEFAULT_GRACE, DEFAULT_LIFELESS, OnIncomplete, supervise};
use plx_testkit::{FaultStore, LeftFiles, Op, Planted, Snapshot};
use plx_transfer::{Patience, Remote};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The run's uuid, which every key begins with.
pub const RUN: &str = "8aac02e3";
/// Of the connection: nobody asks for it here, and so nobody may ever show it.
const SECRET: &str = "behaviour-secret-0123456789";

pub struct World {
    folder: TempDir,
    left: LeftFiles,
    pub store: FaultStore,
    pub config: Config,
    pub stop: Stop,
    /// Cancelled when main is gone.
    pub main: CancellationToken,
    /// Who is told of events.
    pub api: Option<Arc<dyn Lineage>>,
    /// Who knows the spec of the run's pods.
    pub source: Option<Arc<dyn Source>>,
    /// Who knows which pods the run has.
    pub cluster: Option<Arc<dyn Source>>,
    /// Whether other pods of the run are looked for.
    pub sees_others: bool,
    /// What looks at main, for the next sidecar.
    pub meter: Mutex<Option<Box<dyn Meter>>>,
}

impl World {
    /// A pass every 10 seconds.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Planted::here().plant_key(SECRET);
        let left = LeftFiles::before(&Planted::here(), vec![folder.path().to_owned()]);
        let mut config = Config {
            run: RunInstance::parse(&format!("o.p.runs.{RUN}")).unwrap(),
            pod: "pod-1".to_owned(),
            layout: Layout::under(folder.path()),
            store: serde_json::from_value(json!({
                "name": "fault",
                "kind": "s3",
                "env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": SECRET}],
            }))
            .unwrap(),
            schedule: Schedule::new(1, 10),
            container: "polyaxon-main".to_owned(),
            poll: Duration::from_secs(1),
            main_pid: None,
            main_marker: None,
            wrapped_main: None,
            grace: None,
            finish: Duration::from_secs(1800),
            lifeless: Some(DEFAULT_LIFELESS),
            monitor_logs: false,
            monitor_spec: false,
            collect_resources: None,
            on_incomplete: OnIncomplete::Report,
            buffer_bytes: None,
        };
        change(&mut config);
        fs::create_dir_all(config.layout.run(&config.run.uuid)).unwrap();
        let (store, stop, main) = (FaultStore::new(), Stop::new(), CancellationToken::new());
        let (api, source, meter) = (None, None, Mutex::default());
        let (cluster, sees_others) = (None, false);
        Self { folder, left, store, config, stop, main, api, source, cluster, sees_others, meter }
    }

    /// A path below the artifacts root.
    pub fn art(&self, path: &str) -> PathBuf {
        self.config.layout.artifacts().join(path)
    }

    /// A path below the run's folder.
    pub fn run(&self, path: &str) -> PathBuf {
        self.config.layout.run(&self.config.run.uuid).join(path)
    }

    /// Writes a file of the run.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.run(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Lets the file system's clock go on so far that no later write can have the times of an earlier one: what is
    /// stored from now on is stored for good. Reads the clock, in place of a sleep.
    pub fn settle(&self) {
        let probe = self.folder.path().join("probe");
        let since = SystemTime::now();
        while since.elapsed().unwrap_or_default() < Duration::from_millis(45) {
            fs::write(&probe, "x").unwrap();
            std::thread::yield_now();
        }
        assert!(fs::metadata(&probe).unwrap().ctime() > 0);
    }

    /// Writes files, each with its own name as content, and lets them settle.
    pub fn settled(&self, paths: &[&str]) {
        for path in paths {
            self.write(path, path);
        }
        self.settle();
    }

    pub fn passes(&self) -> Passes {
        let (store, parts) = (Arc::new(self.store.clone()), Arc::new(self.store.clone()));
        let prefix = RelPath::parse("base").unwrap();
        let passes = supervise::passes(&self.config, Remote::bucket(store, parts, prefix, "s3://fault"));
        let told = self.api.clone().map(|api| Summaries::telling(api, &self.config));
        let passes = passes.with_summaries(told.unwrap_or_default());
        if self.sees_others { passes.with_peers(self.cluster.clone(), &self.config) } else { passes }
    }

    /// Starts a sidecar that is told when main is gone.
    pub fn start(&self) -> JoinHandle<Report> {
        self.start_with(Signs::default().and(Told(self.main.clone())))
    }

    /// Starts a sidecar that only SIGTERM tells anything.
    pub fn start_without_signs(&self) -> JoinHandle<Report> {
        self.start_with(Signs::default())
    }

    /// Starts a sidecar with any signs.
    pub fn start_with(&self, signs: Signs) -> JoinHandle<Report> {
        self.start_given(signs, watch::channel(DEFAULT_GRACE).1)
    }

    /// Starts a sidecar whose pod says how much time it has.
    pub fn start_given(&self, signs: Signs, grace: watch::Receiver<Duration>) -> JoinHandle<Report> {
        let (config, stop, mut passes) = (self.config.clone(), self.stop.clone(), self.passes());
        let spec = self.source.clone().map(|source| Spec::told_by(source, &config));
        let meter = self.meter.lock().unwrap().take();
        let resources = meter.map(|meter| Resources::told_by(meter, &config, &stop));
        let beside = Beside { spec, resources };
        tokio::spawn(async move {
            supervise::supervise(&config, &mut passes, signs, None, beside, grace, stop).await
        })
    }

    /// Waits until the store was asked that; fails, in place of waiting for ever, when it never is.
    pub async fn called(&self, op: Op, key_contains: &str, n: usize) {
        let called = self.store.called(op, key_contains, n);
        let Err(_) = tokio::time::timeout(Duration::from_secs(24 * 3600), called).await else { return };
        panic!("no {n} {op:?} on {key_contains:?}: {:?}", self.store.calls());
    }

    /// The object of a key, below the store's prefix.
    pub async fn object(&self, key: &str) -> Option<String> {
        let content = self.store.content(&format!("base/{key}")).await?;
        Some(String::from_utf8_lossy(&content).into_owned())
    }

    /// The object of a file of the run.
    pub async fn stored(&self, path: &str) -> Option<String> {
        self.object(&format!("{RUN}/{path}")).await
    }

    /// How the store differs from the run's folder; empty when it does not.
    pub async fn difference(&self) -> String {
        let below = format!("base/{RUN}");
        let stored = Snapshot::of_store(self.store.beneath(), &below).await.unwrap();
        stored.diff(&Snapshot::of(&self.run("")).unwrap())
    }

    /// The calls of one kind so far, without the prefix and the run.
    pub fn calls(&self, op: Op) -> Vec<String> {
        let below = format!("base/{RUN}/");
        let calls = self.store.calls().into_iter().filter(|call| call.0 == op);
        calls.map(|(_, key)| key.strip_prefix(&below).unwrap_or(&key).to_owned()).collect()
    }
}

/// Journal, logs, keys and what is stored are searched when a test is through.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.left.assert_free(&[]);
            let calls = self.store.calls();
            Planted::here().assert_free("the calls of the store", format!("{calls:?}").as_bytes());
            let keys: BTreeSet<String> = calls.into_iter().map(|(_, key)| key).collect();
            for key in keys.iter().filter(|key| !key.is_empty() && !key.ends_with('/')) {
                let content = self.store.content(key).now_or_never().expect("memory answers at once");
                if let Some(content) = content {
                    Planted::here().assert_free(key, &content);
                }
            }
        }
    }
}

/// A sign that a test gives.
pub struct Told(pub CancellationToken);

impl MainContainer for Told {
    fn gone(&mut self) -> BoxFuture<'_, Gone> {
        Box::pin(async {
            self.0.cancelled().await;
            Gone { by: "the test".to_owned(), exit_code: Some(0) }
        })
    }
}

/// One pass that nobody interrupts.
pub async fn pass(passes: &mut Passes) -> PassReport {
    passes.run(Patience::PASS, &CancellationToken::new()).await
}

/// So much later, on the paused clock.
pub async fn after(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// One of the details of a report.
pub fn detail(report: &Report, name: &str) -> Value {
    let found = report.details.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// Keys that wait, as text.
pub fn waiting(report: &PassReport) -> Vec<String> {
    report.waiting.keys().map(ToString::to_string).collect()
}

/// Renames a file over another.
pub fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap();
}
