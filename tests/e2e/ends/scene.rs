//! A pod whose end is watched, and what is left of it.

use super::LOOK;
use crate::kubectl::{ANYBODYS, Ended, LABEL, Pod, create, kubectl, namespace, variable};
use crate::plumbing::{Place, STORE_ON_S3, pod};
use crate::world::{RUN, SPEC, World, complete, objects};
use plx_testkit::{Planted, S3Target};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::interval;

pub const MAIN: &str = "polyaxon-main";
pub const SIDECAR: &str = "polyaxon-sidecar";

const BROKEN_OFF: &str =
    "[plx-sidecar] the log could not be read to its end: lines after this one may be missing";

/// What main is before its end. It counts its lines; the last one has no end, as that of a program that is killed.
///   work N   N lines, and a file work-N with N of all lines so far
///   hold     until the test has seen that this is in the store
///   bye      the last line; all outputs and the number of lines are written down
const PLAY: &str = r#"
cd /plx-context/artifacts/RUN/outputs
STATE=/plx-context/artifacts/.plx/POD
lines=0
say() { lines=$((lines + 1)); echo "line $lines"; }
work() {
    for one in $(seq $1); do say; done
    head -c 300000 /dev/urandom >work-$lines
}
hold() { until [ -e /told/go ]; do busybox sleep 0.1; done; }
bye() {
    lines=$((lines + 1))
    printf "line $lines"
    manifest
    echo $lines >/told/lines
}
"#;

pub struct Scene {
    pub world: World,
    pub spec: Value,
    run: String,
    store: S3Target,
}

/// What is left.
pub struct Left {
    pub world: World,
    pub ended: Ended,
    /// The sidecar's.
    pub report: Value,
    pub outputs: BTreeMap<String, Vec<u8>>,
    /// Main's lines that are stored, in their order, and ours among them.
    said: Vec<String>,
    /// What main said it said.
    lines: usize,
}

impl Scene {
    /// A run with that last digit, whose main does this.
    pub async fn of(digit: u8, owner: &str, script: &str) -> Self {
        let run = format!("{}{digit}", &RUN[..RUN.len() - 1]);
        let world = World::of(owner, &run).await;
        let places = [
            Place { from: "http://polyaxon-api:80", to: &world.platform.url() },
            Place { from: RUN, to: &run },
            Place { from: "s3-store-secret", to: &world.own("s3-store-secret") },
            Place { from: "polyaxon-agent-secret", to: &world.own("polyaxon-agent-secret") },
            Place { from: "--sleep-interval=10", to: "--sleep-interval=2" },
            Place { from: "--sync-interval=10", to: "--sync-interval=2" },
        ];
        let mut spec = pod(STORE_ON_S3, &places);
        spec["metadata"]["labels"][LABEL] = owner.into();
        assert_ne!(owner, ANYBODYS);
        let told = world.folder.path().join("told");
        fs::create_dir(&told).unwrap();
        push(&mut spec["spec"]["volumes"], json!({ "name": "told", "hostPath": { "path": told } }));
        let store = world.bucket("plx-artifacts");
        let mut scene = Self { world, spec, run, store };
        let play = PLAY.replace("RUN", &scene.run).replace("POD", scene.name());
        let main = scene.container(MAIN);
        main["command"][2] = format!("{play}{script}").into();
        push(&mut main["volumeMounts"], json!({ "name": "told", "mountPath": "/told" }));
        scene
    }

    fn name(&self) -> &str {
        self.spec["metadata"]["name"].as_str().unwrap()
    }

    /// Where the sidecar keeps what it knows, and main's wrapper leaves its marker.
    pub fn state(&self) -> String {
        format!("/plx-context/artifacts/.plx/{}", self.name())
    }

    pub fn container(&mut self, name: &str) -> &mut Value {
        let all = self.spec["spec"]["containers"].as_array_mut().unwrap();
        all.iter_mut().find(|one| one["name"] == name).unwrap()
    }

    /// One more for the sidecar.
    pub fn argument(&mut self, argument: String) {
        push(&mut self.container(SIDECAR)["args"], argument.into());
    }

    /// The sidecar's report does not go with the pod, whose status may be gone before it says how its containers ended.
    pub fn reports_beside(&mut self) {
        let sidecar = self.container(SIDECAR);
        push(&mut sidecar["volumeMounts"], json!({ "name": "told", "mountPath": "/told" }));
        push(&mut sidecar["env"], json!({ "name": "PLX_TERMINATION_LOG", "value": "/told/report" }));
    }

    /// From its start to its end by itself.
    pub async fn plays(self, phase: &str) -> Left {
        let pod = Pod::start(&self.spec).await;
        self.until_half_is_stored().await;
        self.go();
        let ended = pod.ends(phase).await;
        self.left(ended).await
    }

    /// It is deleted when half of it is stored.
    pub async fn when_deleted(self, grace: u32) -> Left {
        let pod = Pod::start(&self.spec).await;
        self.until_half_is_stored().await;
        self.go();
        pod.delete(grace).await;
        self.left(Ended { pod: Value::Null, logs: Vec::new() }).await
    }

    /// The account loses its rights when half of it is stored, and connections that were opened with them are cut.
    pub async fn loses_its_rights(mut self) -> Left {
        let account = self.world.own("runs");
        let labels = json!({ LABEL: &self.world.owner });
        let meta = json!({ "name": account, "labels": labels });
        create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta,
            "automountServiceAccountToken": false }))
        .await;
        let group = "rbac.authorization.k8s.io";
        create(&json!({ "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": meta,
            "roleRef": { "apiGroup": group, "kind": "Role", "name": "polyaxon-runs" },
            "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": namespace() }] }))
        .await;
        self.spec["spec"]["serviceAccountName"] = account.clone().into();
        let way = Way::open().await;
        for variable in self.container(SIDECAR)["env"].as_array_mut().unwrap() {
            if variable["name"] == "KUBERNETES_SERVICE_PORT" {
                variable["value"] = way.port.to_string().into();
            }
        }
        let pod = Pod::start(&self.spec).await;
        self.until_half_is_stored().await;
        kubectl(&["delete", "rolebinding", &account], None).await.unwrap();
        let who = format!("--as=system:serviceaccount:{}:{account}", namespace());
        let mut looks = interval(LOOK);
        // It says no by an exit code.
        while kubectl(&["auth", "can-i", "get", "pods", &who], None).await.is_ok() {
            looks.tick().await;
        }
        way.cut();
        self.go();
        let ended = pod.ends("Succeeded").await;
        self.left(ended).await
    }

    /// Its file and its lines: the sidecar is in the midst of its life.
    async fn until_half_is_stored(&self) {
        let mut looks = interval(LOOK);
        loop {
            looks.tick().await;
            let logs = self.stored("plxlogs").await.into_values().collect::<Vec<_>>().concat();
            let last = String::from_utf8_lossy(&logs).contains("\"line 40\"");
            if last && self.stored("outputs").await.contains_key("work-40") {
                return;
            }
        }
    }

    async fn stored(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        objects(&self.store, &format!("{}/{folder}", self.run)).await
    }

    fn told(&self, name: &str) -> std::path::PathBuf {
        self.world.folder.path().join("told").join(name)
    }

    fn go(&self) {
        fs::write(self.told("go"), "").unwrap();
    }

    async fn left(self, ended: Ended) -> Left {
        let lines = fs::read_to_string(self.told("lines")).unwrap().trim().parse().unwrap();
        let mut outputs = self.stored("outputs").await;
        outputs.remove(SPEC);
        let mut said = Vec::new();
        for part in self.stored("plxlogs").await.values() {
            Planted::here().assert_free("the stored log", part);
            for line in std::str::from_utf8(part).unwrap().lines().filter(|line| !line.is_empty()) {
                let record: Value = serde_json::from_str(line).unwrap();
                if record["container"] == MAIN {
                    said.push(record["value"].as_str().unwrap().to_owned());
                }
            }
        }
        let report = match fs::read_to_string(self.told("report")) {
            Ok(report) => serde_json::from_str(&report).unwrap(),
            Err(_) => ended.report(SIDECAR),
        };
        Left { world: self.world, ended, report, outputs, said, lines }
    }
}

impl Left {
    /// How the sidecar noticed main's end; it stored everything.
    pub fn says(&self, how: &str) {
        let report = &self.report;
        assert_eq!((&report["class"], &report["main"]), (&json!("done"), &json!(how)), "{report:#}");
    }

    /// The sidecar ended so many seconds after main at most.
    pub fn lasted_at_most(&self, seconds: u64) {
        let took = self.ended.finished(SIDECAR) - self.ended.finished(MAIN);
        eprintln!("{}: the sidecar ended {took} s after main", self.world.owner);
        assert!(took <= i64::try_from(seconds).unwrap(), "{took} s: {:#?}", self.ended.logs);
    }

    pub fn restarts(&self, container: &str) -> u64 {
        let statuses = self.ended.pod["status"]["containerStatuses"].as_array().unwrap();
        let status = statuses.iter().find(|status| status["name"] == container).unwrap();
        status["restartCount"].as_u64().unwrap()
    }

    /// Every byte and every line, once.
    pub fn has_all(&self) {
        self.has_all_outputs();
        assert_eq!(self.said, said(1..=self.lines));
    }

    /// What is named as not stored is a part of the log.
    pub fn misses_logs_alone(&self) {
        let waiting = self.report["waiting"].as_array().unwrap();
        let is_log = |name: &Value| name.as_str().unwrap().contains("/plxlogs/");
        assert!(waiting.iter().all(is_log), "{:#}", self.report);
    }

    /// Every byte, and every line once but so many of the last; when some are missing, a word that says so is behind them, or
    /// in the report.
    pub fn has_all_but(&self, missing: usize) {
        self.has_all_outputs();
        let read = self.said.iter().take_while(|line| line.starts_with("line ")).count();
        eprintln!("{}: {read} of {} lines, {:?}", self.world.owner, self.lines, self.said[read..].first());
        assert!(read + missing >= self.lines, "{read} of {}: {:?}", self.lines, self.said);
        let mut want = said(1..=read);
        if read < self.lines && self.report["class"] == "done" {
            want.push(BROKEN_OFF.to_owned());
        }
        assert_eq!(self.said, want);
    }

    fn has_all_outputs(&self) {
        complete(&self.outputs);
        assert_eq!(self.world.unfinished(), Vec::<std::path::PathBuf>::new(), "uploads nobody finished");
    }
}

fn said(lines: std::ops::RangeInclusive<usize>) -> Vec<String> {
    lines.map(|line| format!("line {line}")).collect()
}

fn push(list: &mut Value, value: Value) {
    list.as_array_mut().unwrap().push(value);
}

/// A port of the cluster's API whose connections can be cut: a watch or a log that is open outlives the right to open it.
struct Way {
    port: u16,
    cuts: watch::Sender<()>,
}

impl Way {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = watch::Sender::new(());
        let given = cuts.clone();
        tokio::spawn(async move {
            let api: u16 = variable("PLX_CLUSTER_PORT").parse().unwrap();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut cut = given.subscribe();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", api)).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { port, cuts }
    }

    fn cut(&self) {
        self.cuts.send_replace(());
    }
}
