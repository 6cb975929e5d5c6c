//! A pod on this machine: a folder, a bucket behind a proxy, and the sidecar's process.

use plx_testkit::{FaultProxy, LeftFiles, Planted, S3Server, S3Target, Snapshot};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

pub const RUN: &str = "8aac02e3";

pub struct Pod {
    folder: TempDir,
    pub target: S3Target,
    pub proxy: FaultProxy,
    server: S3Server,
    /// Variables of the sidecar; nothing else is in its environment.
    pub env: BTreeMap<String, String>,
}

impl Pod {
    pub async fn new() -> Self {
        let server = S3Server::start().await;
        let target = server.target("outputs");
        let proxy = FaultProxy::start(server.addr()).await;
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("artifacts").join(RUN)).unwrap();
        let catalog = json!({"connections": [
            {"name": "store", "kind": "s3", "schema": {"bucket": "s3://outputs/base"}},
            {"name": "git", "kind": "git", "schema": {"url": "https://example.org/a.git"}},
        ]});
        let env = [
            ("POLYAXON_CONTEXT_ROOT", folder.path().display().to_string()),
            ("POLYAXON_RUN_INSTANCE", format!("owner.project.runs.{RUN}")),
            ("POLYAXON_K8S_POD_ID", "pod-1".to_owned()),
            ("POLYAXON_ARTIFACTS_STORE_NAME", "store".to_owned()),
            ("POLYAXON_CONNECTIONS_CATALOG", catalog.to_string()),
            ("AWS_ACCESS_KEY_ID", target.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", target.secret_key.clone()),
            ("AWS_ENDPOINT_URL", proxy.url()),
            ("PLX_TERMINATION_LOG", folder.path().join("termination-log").display().to_string()),
        ];
        let env = env.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Self { folder, target, proxy, server, env }
    }

    /// Sets a variable that holds a key.
    pub fn secret(&mut self, key: &str, value: &str) {
        Planted::here().plant_key(value);
        self.set(key, value);
    }

    pub fn set(&mut self, key: &str, value: &str) {
        self.env.insert(key.to_owned(), value.to_owned());
    }

    /// A path beside the artifacts.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path below the run's folder.
    pub fn run(&self, name: &str) -> PathBuf {
        self.path("artifacts").join(RUN).join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        fs::create_dir_all(self.run(name).parent().unwrap()).unwrap();
        fs::write(self.run(name), content).unwrap();
    }

    /// Starts the sidecar.
    pub fn start(&self, args: &[&str]) -> Sidecar {
        let roots = vec![self.folder.path().to_owned(), self.server.data_dir().to_owned()];
        Sidecar::start(args, &self.env, roots)
    }

    /// Waits until the journal says so many files are in the store: an answer that came may not be written down yet.
    pub async fn written_down(&self, files: usize) {
        let journal = self.path("artifacts/.plx/pod-1/journal.jsonl");
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
        let lines = || fs::read_to_string(&journal).unwrap_or_default().matches("/outputs/").count();
        while lines() < files {
            looks.tick().await;
        }
    }

    /// How the bucket differs from the run's folder; empty when it does not.
    pub async fn difference(&self) -> String {
        let stored = Snapshot::of_store(&self.target.store(), &format!("base/{RUN}")).await.unwrap();
        stored.diff(&Snapshot::of(&self.run("")).unwrap())
    }
}

pub struct Sidecar {
    child: Child,
    termination_log: PathBuf,
    /// What was there before it.
    left: LeftFiles,
}

/// How a sidecar ended, and all it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// The line of the termination log; null when there is none.
    pub report: Value,
    pub raw_report: String,
}

impl Sidecar {
    /// Starts it with these variables alone; what it leaves below the roots is searched at its end.
    pub fn start(args: &[&str], env: &BTreeMap<String, String>, roots: Vec<PathBuf>) -> Self {
        let left = LeftFiles::before(&Planted::here(), roots);
        let child = Command::new(env!("CARGO_BIN_EXE_plx-sidecar"))
            .args(args)
            .env_clear()
            .envs(env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, termination_log: PathBuf::from(&env["PLX_TERMINATION_LOG"]), left }
    }

    pub fn pid(&self) -> Pid {
        let id = self.child.id().expect("it has not been waited for");
        Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
    }

    pub fn signal(&self, sent: Signal) {
        signal(self.pid(), sent);
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end, and searches all it said, left, stored and sent for the keys and what else is planted.
    pub async fn end(mut self) -> Ended {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let (mut out, mut err) = (self.child.stdout.take().unwrap(), self.child.stderr.take().unwrap());
        let (first, second) = tokio::join!(out.read_to_string(&mut stdout), err.read_to_string(&mut stderr));
        first.and(second).unwrap();
        let code = self.child.wait().await.unwrap().code();
        let raw_report = fs::read_to_string(&self.termination_log).unwrap_or_default();
        let planted = Planted::here();
        for (what, text) in [("stdout", &stdout), ("stderr", &stderr), ("the report", &raw_report)] {
            planted.assert_free(what, text.as_bytes());
        }
        self.left.assert_free(&[]);
        planted.assert_requests_are_free();
        let report = serde_json::from_str(&raw_report).unwrap_or_default();
        Ended { code, stdout, stderr, report, raw_report }
    }
}

/// Signals a process that has not been waited for; it may have ended.
pub fn signal(pid: Pid, signal: Signal) {
    kill_process(pid, signal).unwrap();
}

impl Ended {
    /// Fails when a word stands anywhere that people or machines read.
    pub fn says_nowhere(&self, secret: &str) {
        for text in [&self.stdout, &self.stderr, &self.raw_report] {
            assert!(!text.contains(secret), "{secret:?} in {text}");
        }
    }
}
