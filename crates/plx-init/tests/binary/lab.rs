//! A folder for a pod, connections to fetch from, and the program.

mod put;

use plx_testkit::{AzureTarget, Azurite, Belongs, FaultProxy, GcsServer, LeftFiles, Moto, Planted, S3Server};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub use self::put::{put_files, put_objects};

pub struct Lab {
    folder: TempDir,
    /// Variables of the program; nothing else is in its environment.
    pub env: BTreeMap<String, String>,
    /// What no call may ever print at whatever level, leave in a file, or send elsewhere than where it belongs.
    planted: Planted,
    /// Folders besides the lab's own that calls write to: what stores hold.
    stores: Vec<PathBuf>,
    server: Option<S3Server>,
    proxies: Vec<FaultProxy>,
}

/// How a call ended, and all it said.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// The line of the termination log; null when there is none.
    pub report: Value,
}

impl Lab {
    /// Without any connection.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("artifacts")).unwrap();
        let (planted, stores) = (Planted::here(), Vec::new());
        let mut lab =
            Self { folder, env: BTreeMap::new(), planted, stores, server: None, proxies: Vec::new() };
        lab.set("POLYAXON_CONTEXT_ROOT", &lab.path("").display().to_string());
        lab.set("PLX_TERMINATION_LOG", &lab.path("termination-log").display().to_string());
        lab.set("PLX_RETRY_SECONDS", "1");
        lab
    }

    /// The connection `data` is a folder.
    pub fn folder(objects: &[(&str, &str)]) -> Self {
        let mut lab = Self::empty();
        let root = lab.path("store");
        fs::create_dir_all(&root).unwrap();
        put_files(&root, objects);
        lab.catalog(&json!({"name": "data", "kind": "volume_claim", "schema":
            {"volumeClaim": "c", "mountPath": root.display().to_string()}}));
        lab
    }

    /// The connection `data` is a bucket below a prefix, on a server that checks signatures.
    pub async fn s3(objects: &[(&str, &str)]) -> Self {
        Self::s3_on(S3Server::start().await, objects)
    }

    /// The same on a server that was made for the test.
    pub fn s3_on(server: S3Server, objects: &[(&str, &str)]) -> Self {
        let target = server.target("plx");
        put_files(&server.data_dir().join("plx/base"), objects);
        let mut lab = Self::empty();
        lab.bucket(&target.endpoint, &target.access_key, &target.secret_key);
        lab.stores.push(server.data_dir().to_owned());
        lab.server = Some(server);
        lab
    }

    /// The server of [`Lab::s3`].
    pub fn server(&self) -> &S3Server {
        self.server.as_ref().expect("a lab with a server of its own")
    }

    /// The same on another server, which takes every key.
    pub async fn moto(bucket: &str, objects: &[(&str, &str)]) -> Self {
        let target = Moto::shared().await.target(bucket).await;
        put_objects(Moto::shared().await.addr(), bucket, objects).await;
        let mut lab = Self::empty();
        // It checks none, so this one can be told from every other word.
        let endpoint = lab.through(Moto::shared().await.addr()).await;
        lab.bucket(&endpoint, &target.access_key, "moto-secret-key-0123456789");
        lab.catalog(
            &json!({"name": "data", "kind": "s3", "schema": {"bucket": format!("s3://{bucket}/base")}}),
        );
        lab
    }

    /// A way to a server that keeps no record itself: what is sent is searched on the way.
    async fn through(&mut self, server: SocketAddr) -> String {
        let proxy = FaultProxy::start(server).await;
        let url = proxy.url();
        self.proxies.push(proxy);
        url
    }

    fn bucket(&mut self, endpoint: &str, access_key: &str, secret_key: &str) {
        self.catalog(&json!({"name": "data", "kind": "s3", "schema": {"bucket": "s3://plx/base"}}));
        self.set("AWS_ENDPOINT_URL", endpoint);
        self.set("AWS_ACCESS_KEY_ID", access_key);
        self.secret("AWS_SECRET_ACCESS_KEY", secret_key);
    }

    /// The connection `data` is a container of the shared Azurite, opened by the account's key.
    pub async fn azure(&mut self, container: &str) -> AzureTarget {
        let target = Azurite::shared().await.target(container).await;
        let bucket = format!("{container}/base");
        self.catalog(&json!({"name": "data", "kind": "wasb", "schema": {"bucket": bucket}}));
        let endpoint = self.through(Azurite::shared().await.addr()).await;
        self.set("AZURE_STORAGE_ENDPOINT", &format!("{endpoint}/{}", target.account));
        self.set("AZURE_ACCOUNT_NAME", &target.account);
        self.secret("AZURE_ACCOUNT_KEY", &target.key);
        target
    }

    /// The connection `data` is a bucket of that server, opened by a service account's key in `key.json`.
    pub fn gcs(&mut self, server: &GcsServer) {
        let target = server.target("plx");
        self.catalog(&json!({"name": "data", "kind": "gcs", "schema": {"bucket": "gs://plx/base"}}));
        self.stores.push(server.data_dir().to_owned());
        fs::write(self.path("key.json"), target.signing_key_json()).unwrap();
        self.set("GC_KEY_PATH", &self.path("key.json").display().to_string());
    }

    pub fn catalog(&mut self, connection: &Value) {
        self.connections(&[connection]);
    }

    pub fn connections(&mut self, all: &[&Value]) {
        self.set("POLYAXON_CONNECTIONS_CATALOG", &json!({"connections": all}).to_string());
    }

    /// Sets a variable that holds a secret.
    pub fn secret(&mut self, key: &str, value: &str) {
        self.plant(value);
        self.set(key, value);
    }

    /// From now on every call fails that shows it.
    pub fn plant(&mut self, secret: &str) {
        self.planted.plant(secret);
    }

    pub fn set(&mut self, key: &str, value: &str) {
        self.env.insert(key.to_owned(), value.to_owned());
    }

    /// A path in the lab's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path below the artifacts root.
    pub fn art(&self, name: &str) -> PathBuf {
        self.path("artifacts").join(name)
    }

    /// Files and folders below the artifacts root: text, or nothing for a folder, whose name ends in `/`.
    pub fn files(&self) -> BTreeMap<String, Option<String>> {
        below(&self.path("artifacts"))
    }

    /// `plx-init artifacts --connection data …`
    pub async fn artifacts(&self, args: &[&str]) -> Ended {
        self.init(&[&["artifacts", "--connection", "data"], args].concat()).await
    }

    /// `plx-init …`
    pub async fn init(&self, args: &[&str]) -> Ended {
        self.call(Path::new(env!("CARGO_BIN_EXE_plx-init")), args).await
    }

    /// `sh -c SCRIPT`, by our own front.
    pub async fn sh(&self, script: &str) -> Ended {
        let link = self.path("sh");
        if !link.exists() {
            symlink(env!("CARGO_BIN_EXE_plx-init"), &link).unwrap();
        }
        self.call(&link, &["-c", script]).await
    }

    /// `polyaxon …`
    pub async fn polyaxon(&self, args: &[&str]) -> Ended {
        let link = self.path("polyaxon");
        if !link.exists() {
            symlink(env!("CARGO_BIN_EXE_plx-init"), &link).unwrap();
        }
        self.call(&link, args).await
    }

    async fn call(&self, program: &Path, args: &[&str]) -> Ended {
        self.call_with(program, args, &self.env).await
    }

    /// `plx-init …`, still running.
    pub fn start(&self, args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plx-init"));
        command.args(args).env_clear().envs(&self.env).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    }

    /// `plx-init …` with another environment.
    pub async fn init_with(&self, args: &[&str], env: &BTreeMap<String, String>) -> Ended {
        self.call_with(Path::new(env!("CARGO_BIN_EXE_plx-init")), args, env).await
    }

    async fn call_with(&self, program: &Path, args: &[&str], env: &BTreeMap<String, String>) -> Ended {
        // Its own, since calls may run side by side; none is read while another is being written.
        let log = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let left = self.before();
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(env).env("PLX_TERMINATION_LOG", &log);
        command.current_dir(self.folder.path());
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        let report = fs::read_to_string(&log).unwrap();
        let ended = Ended {
            code: output.status.code().expect("no signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            report: if report.is_empty() { Value::Null } else { serde_json::from_str(&report).unwrap() },
        };
        self.planted.assert_free("stdout", ended.stdout.as_bytes());
        self.planted.assert_free("stderr", ended.stderr.as_bytes());
        self.planted.assert_free("the report", ended.report.to_string().as_bytes());
        left.assert_free(&self.belongs(env));
        self.planted.assert_requests_are_free();
        ended
    }

    /// All files as they are: what is there now, the test put there itself.
    pub fn before(&self) -> LeftFiles {
        let roots = [&[self.folder.path().to_owned()], &self.stores[..]].concat();
        LeftFiles::before(&self.planted, roots)
    }

    /// Where a token belongs that a call leaves.
    fn belongs(&self, env: &BTreeMap<String, String>) -> [Belongs; 1] {
        let why = "`auth` signs in for main, which reads its token there";
        [Belongs { file: Path::new(&env["POLYAXON_CONTEXT_ROOT"]).join(".configs/.auth"), why }]
    }
}

impl Ended {
    /// Fails unless it ended with that code, and says so everywhere it should, with the words in error or next step.
    #[track_caller]
    pub fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.report["code"], json!(code), "{self:?}");
        let message = self.report["message"].as_str().unwrap();
        let next = self.report["next"].as_str().unwrap_or_else(|| panic!("no next step: {self:?}"));
        for word in words {
            assert!(message.contains(word) || next.contains(word), "{word:?} in {message:?} or {next:?}");
        }
        let said = format!("error: {message}\nnext: {next}\n");
        assert!(self.stderr.ends_with(&said), "{}", self.stderr);
        assert_eq!(self.stdout, "", "nothing on stdout that a script could take for success");
    }

    #[track_caller]
    pub fn succeeded(&self) {
        assert_eq!(self.code, 0, "{self:?}");
    }

    #[track_caller]
    pub fn says_nowhere(&self, secret: &str) {
        for text in [&self.stdout, &self.stderr, &self.report.to_string()] {
            assert!(!text.contains(secret), "{secret:?} in {text}");
        }
    }
}

/// What is below a folder.
pub fn below(root: &Path) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(format!("{name}/"), None);
                open.push(path);
            } else {
                found.insert(name, Some(fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// As [`Lab::files`], files alone.
pub fn texts(files: &[(&str, &str)]) -> BTreeMap<String, Option<String>> {
    files.iter().map(|(name, text)| ((*name).to_owned(), Some((*text).to_owned()))).collect()
}

/// The files alone.
pub fn files_only(mut found: BTreeMap<String, Option<String>>) -> BTreeMap<String, Option<String>> {
    found.retain(|_, text| text.is_some());
    found
}
