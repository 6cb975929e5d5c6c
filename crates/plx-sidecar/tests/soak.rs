//! A long chatty run on a clock that the test moves on: the sidecar's memory does not grow with its age.
//!
//! A process of its own, whose memory is the sidecar's and that of the fakes around it. The sidecar is whole: it watches its
//! pod, collects its log over TLS, tells the tracking API, and stores into a folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]
#![allow(clippy::print_stdout, reason = "what was measured, for whoever asks for it")]

use plx_contract::Layout;
use plx_contract::connection::Catalog;
use plx_contract::record::LogLine;
use plx_contract::run::RunInstance;
use plx_runtime::Stop;
use plx_sidecar::intervals::Schedule;
use plx_sidecar::{Config, OnIncomplete, supervise};
use plx_testkit::{FakeKube, FakeTracking, Numbered};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::{spawn_blocking, yield_now};

const POD: &str = "pod-1";
const RUN: &str = "8aac02e3a62a4f0aaa257c59da5eab80";
const THEN: i64 = 1_715_000_000_500_000_000;
/// Between two passes.
const PASS: u64 = 10;
/// A new checkpoint takes the place of the oldest so often.
const CHECKPOINT: u64 = 60;
const METRICS: u64 = 8;

struct Scene {
    folder: TempDir,
    kube: FakeKube,
    api: FakeTracking,
    config: Config,
    env: BTreeMap<String, String>,
}

impl Scene {
    async fn new() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let (kube, api) = (FakeKube::start().await, FakeTracking::start().await);
        kube.start_pod(POD, "Never");
        // In memory where there is such a place: a day is 8640 passes.
        let shared = Path::new("/dev/shm");
        let folder =
            if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap();
        let store = folder.path().join("store");
        fs::create_dir_all(&store).unwrap();
        fs::create_dir_all(folder.path().join("artifacts").join(RUN)).unwrap();
        let schema = json!({ "volumeClaim": "claim", "mountPath": store });
        let connection = json!({ "name": "store", "kind": "volume_claim", "schema": schema });
        let own = [
            ("POLYAXON_CONTEXT_ROOT", folder.path().display().to_string()),
            ("POLYAXON_HOST", api.url()),
            ("POLYAXON_CONNECTIONS_CATALOG", json!({ "connections": [connection] }).to_string()),
        ];
        let env = own.into_iter().chain(kube.env()).map(|(key, value)| (key.to_owned(), value));
        let env: BTreeMap<String, String> = env.collect();
        let config = Config {
            run: RunInstance::parse(&format!("o.p.runs.{RUN}")).unwrap(),
            pod: POD.to_owned(),
            layout: Layout::under(folder.path()),
            store: Catalog::from_env(&env).unwrap().find("store").unwrap().clone(),
            schedule: Schedule::new(1, PASS.cast_signed()),
            container: FakeKube::MAIN.to_owned(),
            poll: Duration::from_secs(1),
            main_pid: None,
            main_marker: None,
            wrapped_main: None,
            grace: None,
            finish: Duration::from_secs(1800),
            lifeless: None,
            monitor_logs: true,
            monitor_spec: false,
            collect_resources: Some(false),
            on_incomplete: OnIncomplete::Report,
            buffer_bytes: None,
        };
        Self { folder, kube, api, config, env }
    }

    fn run(&self, name: &str) -> PathBuf {
        self.folder.path().join("artifacts").join(RUN).join(name)
    }

    fn stored(&self, name: &str) -> PathBuf {
        self.folder.path().join("store").join(RUN).join(name)
    }

    /// What main does in that second.
    fn second(&self, second: u64) {
        let line = line(second);
        self.kube.print(POD, FakeKube::MAIN, THEN + second.cast_signed() * 1_000_000_000, line);
        if second.is_multiple_of(PASS) {
            let (step, name) = (second / PASS, format!("events/metric/m{}.plx", second / PASS % METRICS));
            fs::create_dir_all(self.run("events/metric")).unwrap();
            let mut file = OpenOptions::new().create(true).append(true).open(self.run(&name)).unwrap();
            let head = if step < METRICS { "step|timestamp|metric" } else { "" };
            write!(file, "{head}\n{step}|2026-01-01 00:00:00+00:00|0.{second}").unwrap();
        }
        if second.is_multiple_of(CHECKPOINT) {
            let number = second / CHECKPOINT;
            fs::create_dir_all(self.run("outputs/checkpoints")).unwrap();
            let path = |number: u64| self.run(&format!("outputs/checkpoints/{number:05}"));
            fs::write(path(number), vec![number.to_le_bytes()[0]; 200_000]).unwrap();
            if number >= 3 {
                fs::remove_file(path(number - 3)).unwrap();
            }
            // What is kept by those around it is none of the sidecar's.
            self.kube.rotate_log(POD, FakeKube::MAIN, 100);
            self.kube.forget_all();
            self.api.forget_all();
        }
    }

    /// Whether the pass after that second's row is through.
    fn passed(&self, second: u64) -> bool {
        let name = format!("events/metric/m{}.plx", second / PASS % METRICS);
        let size = |path: PathBuf| fs::metadata(path).map_or(0, |found| found.len());
        size(self.stored(&name)) == size(self.run(&name))
    }

    /// Bytes of the log that were collected by now.
    fn collected(&self) -> u64 {
        let path = self.config.layout.own_state(POD).join("logs.json");
        let kept: Value =
            fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        kept["sent"].as_u64().unwrap_or_default() + kept["after"]["bytes"].as_u64().unwrap_or_default()
    }
}

/// All are of one length.
fn line(second: u64) -> String {
    format!("line {:06} of a chatty main, which says this every second", second + 1)
}

/// Bytes of a record.
fn record() -> u64 {
    let (timestamp, value) = ("2024-05-06T12:53:20.500000+00:00", line(0));
    let record =
        LogLine { timestamp, node: Some("node-1"), pod: POD, container: FakeKube::MAIN, value: &value };
    record.to_record().len() as u64
}

/// In KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

/// Lives so long, and returns what was resident, sampled so often.
async fn live(whole: Duration, sample: Duration) -> Vec<u64> {
    // The clock stands as long as this runs, whoever waits for an answer.
    let (release, held) = mpsc::channel::<()>();
    let hold = spawn_blocking(move || held.recv().ok());
    let scene = Scene::new().await;
    let (config, env, stop) = (scene.config.clone(), scene.env.clone(), Stop::new());
    let mut sidecar = tokio::spawn(async move { supervise::run(config, &env, stop).await.unwrap() });
    let (mut curve, mut least) = (Vec::new(), 0);
    for second in 0..whole.as_secs() {
        scene.second(second);
        tokio::time::advance(Duration::from_secs(1)).await;
        // It keeps up, or is waited for: with its log, and with its passes.
        let mut turns = 0_u32;
        while scene.collected() < least || second % PASS == PASS - 1 && !scene.passed(second) {
            yield_now().await;
            turns += 1;
            if turns.is_multiple_of(500) {
                tokio::time::advance(Duration::from_millis(50)).await;
            }
            assert!(turns < 5_000_000, "it does not keep up in second {second}");
        }
        least = second.saturating_sub(5) * record();
        if (second + 1).is_multiple_of(sample.as_secs()) {
            curve.push(resident());
        }
    }
    scene.kube.main_ended(POD, 0, "Completed");
    let mut turns = 0_u32;
    let report = loop {
        if sidecar.is_finished() {
            break (&mut sidecar).await.unwrap();
        }
        yield_now().await;
        turns += 1;
        if turns.is_multiple_of(500) {
            tokio::time::advance(Duration::from_millis(20)).await;
        }
    };
    drop(release);
    hold.await.unwrap();
    let detail =
        |name: &str| report.details.iter().find(|(key, _)| *key == name).unwrap().1.as_u64().unwrap();
    println!("{}; {} passes", report.message, detail("passes"));
    assert!(detail("passes") * 10 >= whole.as_secs() / PASS * 9, "{}", report.message);
    let mut parts: Vec<PathBuf> =
        fs::read_dir(scene.stored("plxlogs")).unwrap().map(|part| part.unwrap().path()).collect();
    parts.sort();
    let text: String = parts.iter().map(|part| fs::read_to_string(part).unwrap()).collect();
    let records = text.lines().filter(|line| !line.is_empty());
    let records: Vec<Value> = records.map(|line| serde_json::from_str(line).unwrap()).collect();
    let values = records.iter().map(|record| record["value"].as_str().unwrap());
    let want = Numbered { lines: whole.as_secs(), missing: 0, notes: 0 };
    assert_eq!(Numbered::of(values, whole.as_secs()), Ok(want));
    assert_eq!(fs::read_dir(scene.stored("outputs/checkpoints")).unwrap().count(), 3);
    curve
}

/// Fails when more than so many KiB came after that sample.
fn is_flat(curve: &[u64], from: usize, bound: u64) {
    println!("resident, KiB: {curve:?}");
    let most = curve[from..].iter().max().unwrap();
    let grown = most.saturating_sub(curve[from]);
    println!("grown by {grown} KiB");
    assert!(grown <= bound, "grown by {grown} KiB: {curve:?}");
}

#[tokio::test(start_paused = true)]
async fn memory_is_flat_in_forty_minutes() {
    let curve = live(Duration::from_secs(2400), Duration::from_secs(300)).await;
    is_flat(&curve, 3, 2048);
}

#[tokio::test(start_paused = true)]
#[ignore = "takes minutes: make soak"]
async fn memory_is_flat_in_a_day() {
    let curve = live(Duration::from_secs(24 * 3600), Duration::from_secs(3600)).await;
    is_flat(&curve, 1, 4096);
}
