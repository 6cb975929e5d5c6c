//! One life: what was recorded of it, and the same pod, files and faults around our program.

use crate::kubernetes::{POD, within};
use crate::pod::Sidecar;
use plx_testkit::{FakeKube, FakeTracking, SeenCall, SeenKube};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::time::{Instant, interval, sleep_until};

pub const RUN: &str = "8aac02e3a62a4f0aaa257c59da5eab80";
/// 2024-05-06T07:08:01.1Z, in nanoseconds.
const FIRST_LINE: i64 = 1_714_979_281_100_000_000;
const SECOND: i64 = 1_000_000_000;
/// What follows within so long belongs together: nobody's clock is asked.
const TOGETHER: f64 = 0.2;
/// Two clocks, and a start of our program that is seen a little late.
const TOLERANCE: f64 = 0.5;
/// Of the pod, where it is told to end and main does not.
const GRACE: &str = "5";

/// As it was recorded.
#[derive(Debug, Deserialize)]
pub struct Case {
    pub name: String,
    args: Vec<String>,
    pub rc: i32,
    seconds_after_first_kube_call: f64,
    timeline: Vec<Moment>,
    sigterm_at: Option<f64>,
    pub store: BTreeMap<String, String>,
    pub local: Vec<String>,
    pub api: Vec<Call>,
}

#[derive(Debug, Deserialize)]
struct Moment {
    t: f64,
    action: String,
    store_before: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

/// What came of it with ours.
pub struct Lived {
    pub code: Option<i32>,
    /// Keys that the report names as not stored.
    pub unstored: Vec<Value>,
    pub store: BTreeMap<String, String>,
    pub local: Vec<String>,
    pub api: Vec<SeenCall>,
    pub kube: Vec<SeenKube>,
    /// How the store differed before the end.
    pub on_the_way: BTreeSet<String>,
}

struct Scene {
    folder: TempDir,
    kube: FakeKube,
    api: FakeTracking,
}

/// Lives it, in its own time.
pub async fn live(case: &Case) -> Lived {
    let scene = Scene::of(case).await;
    let sidecar = Sidecar::start(
        &case.args.iter().map(String::as_str).collect::<Vec<_>>(),
        &scene.env(case),
        vec![scene.path("artifacts"), scene.path("store")],
    );
    within("a call of Kubernetes", scene.kube.came("*", 1)).await;
    let (begun, begun_at) = (Instant::now(), seconds(SystemTime::now()));
    let (mut last, mut on_the_way, mut ends) = (0.0, BTreeSet::new(), case.name == "phase-succeeded");
    let mut wait = async |t: f64| {
        if t - std::mem::replace(&mut last, t) > TOGETHER {
            sleep_until(begun + Duration::from_secs_f64(t)).await;
        }
    };
    for moment in &case.timeline {
        wait(moment.t).await;
        on_the_way.extend(scene.compare(case, moment, begun_at).await);
        ends |= scene.act(case, &moment.action);
    }
    // The recorded ones ended by themselves, or were killed; a kubelet ends ours.
    if let Some(t) = case.sigterm_at.or((!ends).then_some(case.seconds_after_first_kube_call)) {
        wait(t).await;
        sidecar.signal(Signal::TERM);
    }
    let ended = within(&case.name, sidecar.end()).await;
    Lived {
        code: ended.code,
        unstored: ended.report["waiting"].as_array().cloned().unwrap_or_else(|| panic!("{ended:?}")),
        store: files(&scene.path("store")),
        local: scene.local(),
        api: scene.api.calls(),
        kube: scene.kube.calls(),
        on_the_way,
    }
}

impl Scene {
    async fn of(case: &Case) -> Self {
        let (kube, api) = (FakeKube::start().await, FakeTracking::start().await);
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder, kube, api };
        for made in [format!("artifacts/{RUN}/outputs"), "store".to_owned(), ".configs".to_owned()] {
            fs::create_dir_all(scene.path(&made)).unwrap();
        }
        // As the init container leaves it.
        let auth = json!({ "POLYAXON_AUTH_USERNAME": "jane", "POLYAXON_AUTH_TOKEN": "run-token" });
        fs::write(scene.path(".configs/.auth"), auth.to_string()).unwrap();
        scene.api.accept("Token run-token");
        scene.pod(case);
        scene
    }

    /// The recorded pod, what it printed, and what fails in that case.
    fn pod(&self, case: &Case) {
        let kube = &self.kube;
        kube.start_pod(POD, "Never");
        kube.change_pod(POD, |pod| {
            pod["metadata"]["labels"] = json!({
                "a": "b",
                "app.kubernetes.io/instance": RUN,
                "app.kubernetes.io/managed-by": "polyaxon",
            });
            for status in pod["status"]["containerStatuses"].as_array_mut().unwrap() {
                status["imageID"] = "x".into();
            }
        });
        if case.name != "broken-symlink" {
            kube.print(POD, "polyaxon-init-auth", FIRST_LINE, "Auth context initialized.");
        }
        let main = |at, line: &str| kube.print(POD, FakeKube::MAIN, FIRST_LINE + at * SECOND, line);
        match case.name.as_str() {
            "broken-symlink" => {}
            "log-line-crash" => {
                let line = "2024-05-06T07:08:60Z bad second";
                kube.print_as_it_is(POD, FakeKube::MAIN, FIRST_LINE + 59 * SECOND, line);
            }
            _ => {
                main(9, "hello");
                main(10, "world");
            }
        }
        match case.name.as_str() {
            "phase-succeeded" => kube.pod_phase(POD, "Succeeded", "", ""),
            "rbac-forbidden" => kube.deny("*", "*"),
            "lineage-500" => self.api.fail("/lineage/artifacts", 500, 1),
            _ => {}
        }
    }

    fn env(&self, case: &Case) -> BTreeMap<String, String> {
        let path = |name: &str| self.path(name).display().to_string();
        let schema = json!({ "volumeClaim": "claim", "mountPath": path("store") });
        let catalog = json!({ "connections": [{ "name": "st", "kind": "volume_claim", "schema": schema }] });
        let own = [
            ("POLYAXON_CONTEXT_ROOT", self.folder.path().display().to_string()),
            ("POLYAXON_RUN_INSTANCE", format!("owner-name.project-name.runs.{RUN}")),
            ("POLYAXON_K8S_POD_ID", POD.to_owned()),
            ("POLYAXON_ARTIFACTS_STORE_NAME", "st".to_owned()),
            ("POLYAXON_CONNECTIONS_CATALOG", catalog.to_string()),
            ("POLYAXON_HOST", self.api.url()),
            ("POLYAXON_HEADER", "X-POLYAXON-SERVICE".to_owned()),
            ("POLYAXON_HEADER_SERVICE", "sidecar".to_owned()),
            ("PLX_TERMINATION_LOG", path("termination-log")),
        ];
        let grace = case.sigterm_at.map(|_| ("PLX_GRACE_SECONDS", GRACE.to_owned()));
        let all = own.into_iter().chain(self.kube.env()).chain(grace);
        all.map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Of the run.
    fn run(&self, name: &str) -> PathBuf {
        self.path("artifacts").join(RUN).join(name)
    }

    /// What was stored there by then has to be stored here too, a little later at most; what was not, by its schedule, not.
    async fn compare(&self, case: &Case, moment: &Moment, begun_at: f64) -> Vec<String> {
        let names = || files(&self.path("store")).into_keys().collect::<BTreeSet<_>>();
        let interval_of = |option: &str| {
            let given = case.args.iter().find_map(|arg| arg.strip_prefix(option));
            given.map_or(-1, |seconds| seconds.parse::<i64>().unwrap())
        };
        let (sleep, sync) = (interval_of("--sleep-interval="), interval_of("--sync-interval="));
        // What main has deleted by now stays there, and is in the list of differences at the end.
        let is_there =
            |name: &&String| name.contains("/plxlogs/") || self.path("artifacts").join(name).exists();
        let expected: BTreeSet<String> = moment.store_before.iter().filter(is_there).cloned().collect();
        if sync > 0 {
            let mut looks = interval(Duration::from_millis(20));
            let there = async {
                while !names().is_superset(&expected) {
                    looks.tick().await;
                }
            };
            within(&format!("{}: all of {expected:?}", case.name), there).await;
        }
        let seen = names();
        let missing =
            expected.difference(&seen).map(|name| format!("store: {} before the end there", short(name)));
        // Where the intervals are equal, there it is every second poll: see docs/differences.md.
        let too_early = |name: &&String| {
            let stored = fs::metadata(self.path("store").join(name)).unwrap();
            let stored_at = stored.ctime() as f64 + stored.ctime_nsec() as f64 / 1e9;
            sync > sleep && stored_at < begun_at + moment.t - TOLERANCE
        };
        let early = seen.difference(&moment.store_before).filter(too_early);
        let early = early.map(|name| format!("store: {} before {} s here", short(name), moment.t));
        missing.chain(early).collect()
    }

    /// Does what was done; true when main is gone with it.
    fn act(&self, case: &Case, action: &str) -> bool {
        let write = |name: &str| {
            let path = self.run(name);
            let text = case.store.get(&format!("{RUN}/{name}")).map_or("x", String::as_str);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        match action.split(' ').collect::<Vec<_>>().as_slice() {
            ["look", ..] => {}
            ["write", "event"] | ["event"] => write("events/metric/loss.plx"),
            ["write", name] | [name @ ("a" | "b")] => write(&format!("outputs/{name}.txt")),
            ["written", "after", ..] => write("outputs/late.txt"),
            ["written", "just", "before", ..] => write("outputs/last.txt"),
            ["rm", name] => fs::remove_file(self.run(&format!("outputs/{name}.txt"))).unwrap(),
            ["broken", "link"] => symlink("nowhere", self.run("outputs/broken")).unwrap(),
            ["end"] | ["main", "terminates"] => {
                self.kube.main_ended(POD, 0, "Completed");
                return true;
            }
            ["pod", "object", "gone"] => {
                self.kube.delete_pod(POD);
                return true;
            }
            _ => panic!("{}: nobody knows what {action:?} is", case.name),
        }
        false
    }

    /// Files of the context, but for our own.
    fn local(&self) -> Vec<String> {
        let roots = [".configs", "artifacts"].into_iter();
        let all = roots
            .flat_map(|root| paths(&self.path(root)).into_iter().map(move |name| format!("{root}/{name}")));
        all.filter(|name| !name.starts_with("artifacts/.plx/")).collect()
    }
}

fn short(name: &str) -> &str {
    name.strip_prefix(RUN).unwrap_or(name).trim_start_matches('/')
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// What a folder holds, by path; files that are not whole yet are none.
fn files(root: &Path) -> BTreeMap<String, String> {
    let whole = paths(root).into_iter().filter(|name| !name.contains(".plx-part."));
    whole.map(|name| (name.clone(), fs::read_to_string(root.join(name)).unwrap_or_default())).collect()
}

fn paths(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(paths(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found
}
