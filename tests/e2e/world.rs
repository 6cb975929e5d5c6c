//! What stands around the pods: stores, git, the platform.

use crate::kubectl::{ANYBODYS, LABEL, clean, create, kubectl, namespace, variable};
use crate::plumbing::{self, Place};
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use plx_testkit::{
    FaultProxy, GcsServer, GitHttp, GitRepo, Match, Planted, S3Server, S3Target, SERVICE_ACCOUNT_PUBLIC_KEY,
};
use plx_track::{Api, Client, Recorded, Settings};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::interval;

/// The platform's address in the fixtures.
pub const HOST: &str = "http://polyaxon-api:80";
pub const RUN: &str = "8aac02e3a62a4f0aaa257c59da5eab80";
pub const RUN_TOKEN: &str = "run-token-of-jane-0123456789";
pub const AGENT_TOKEN: &str = "agent-token-0123456789";
pub const INTERNAL_TOKEN: &str = "internal-token-0123456789";
pub const GIT_PASSWORD: &str = "git-password-0123456789";

pub struct World {
    /// Whose all of it is, see [`World::of`].
    pub owner: String,
    /// The run of its pods.
    pub run: String,
    s3: S3Server,
    /// What pods see of it: it remembers what was asked.
    pub s3_front: FaultProxy,
    pub gcs: GcsServer,
    /// Open to everybody, and behind a password.
    pub git: [GitHttp; 2],
    /// The real tracking API of the community edition, behind the two answers that only the platform's other editions
    /// give: who a token is, and a token for a run.
    pub platform: FaultProxy,
    /// Of this machine, for volumes.
    pub folder: TempDir,
}

impl World {
    /// An empty one, with the secrets that the fixtures name.
    pub async fn new() -> Self {
        Self::of(ANYBODYS, RUN).await
    }

    /// One beside others, with a run of that number (`tests/api/e2e.py` makes them).
    pub async fn numbered(owner: &str, number: u8) -> Self {
        Self::of(owner, &format!("{}{number:02x}", &RUN[..RUN.len() - 2])).await
    }

    /// One beside others: its secrets and claims have the owner's name in front of theirs.
    pub async fn of(owner: &str, run: &str) -> Self {
        clean(owner).await;
        rustls::crypto::ring::default_provider().install_default().ok();
        let api: SocketAddr = variable("PLX_E2E_API").strip_prefix("http://").unwrap().parse().unwrap();
        let platform = FaultProxy::start(api).await;
        let token = json!({ "token": RUN_TOKEN }).to_string();
        platform.on(Match::any().path_ends_with("/impersonate")).answer(
            200,
            &token,
            &[("content-type", "application/json")],
        );
        let user = json!({ "username": "jane" }).to_string();
        platform.on(Match::any().path_ends_with("/api/v1/users")).answer(
            200,
            &user,
            &[("content-type", "application/json")],
        );
        let (s3, gcs) = (S3Server::start().await, GcsServer::start().await);
        let s3_front = FaultProxy::start(s3.addr()).await;
        let git = [GitHttp::start().await, GitHttp::start().await];
        gcs.accept_signed_by(SERVICE_ACCOUNT_PUBLIC_KEY);
        git[1].password("robot", GIT_PASSWORD);
        for secret in [RUN_TOKEN, AGENT_TOKEN, INTERNAL_TOKEN, GIT_PASSWORD] {
            Planted::here().plant(secret);
        }
        let (owner, run) = (owner.to_owned(), run.to_owned());
        let world =
            Self { owner, run, s3, s3_front, gcs, git, platform, folder: tempfile::tempdir().unwrap() };
        world.secrets().await;
        world
    }

    /// To its buckets, as variables.
    pub fn keys(&self) -> BTreeMap<&'static str, String> {
        [
            ("AWS_ACCESS_KEY_ID", self.s3.access_key().to_owned()),
            ("AWS_SECRET_ACCESS_KEY", self.s3.secret_key().to_owned()),
            ("AWS_ENDPOINT_URL", self.s3_front.url()),
        ]
        .into()
    }

    async fn secrets(&self) {
        let s3 = json!(self.keys());
        let gcs = json!({ "gc-secret.json": self.gcs.target("datasets-bucket").signing_key_json() });
        let git = json!({ "POLYAXON_GIT_CREDENTIALS": format!("robot:{GIT_PASSWORD}") });
        let agent = json!({ "POLYAXON_AUTH_TOKEN": AGENT_TOKEN });
        let internal = json!({ "POLYAXON_SECRET_INTERNAL_TOKEN": INTERNAL_TOKEN });
        let region = json!({ "AWS_REGION": "us-east-1" });
        let mut all = Vec::new();
        for (kind, name, content, data) in [
            ("Secret", "s3-store-secret", "stringData", s3.clone()),
            ("Secret", "s3-secret", "stringData", s3),
            ("Secret", "gcs-secret", "stringData", gcs),
            ("Secret", "git-creds", "stringData", git),
            ("Secret", "polyaxon-agent-secret", "stringData", agent),
            ("Secret", "polyaxon-secret", "stringData", internal),
            ("ConfigMap", "s3-cm", "data", region),
        ] {
            let meta = self.meta(name);
            all.push(json!({ "apiVersion": "v1", "kind": kind, "metadata": meta, content: data }));
        }
        let all = json!({ "apiVersion": "v1", "kind": "List", "items": all });
        kubectl(&["create", "-f", "-"], Some(&all)).await.unwrap();
    }

    fn meta(&self, name: &str) -> Value {
        json!({ "name": self.own(name), "labels": { LABEL: &self.owner } })
    }

    /// One more secret, by the name that the fixtures have for it.
    pub async fn secret(&self, name: &str, data: Value) {
        create(
            &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": self.meta(name), "stringData": data }),
        )
        .await;
    }

    /// A pod of the fixtures as the converter wrote it, in this world: its run, its platform, its objects. `more` is what else
    /// is elsewhere.
    pub fn pod(&self, name: &str, more: &[Place<'_>]) -> Value {
        let path =
            format!("{}/../crates/plx-pod/tests/fixtures/pods/{name}/pod.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let own = [Place { from: HOST, to: &self.platform.url() }, Place { from: RUN, to: &self.run }];
        self.place(plumbing::converted(&plumbing::elsewhere(&plumbing::elsewhere(&text, more), &own)))
    }

    /// A pod of anybody's in this world: its objects, and all plumbing.
    pub fn place(&self, mut pod: Value) -> Value {
        plumbing::rename_objects(&mut pod, &|name| self.own(name));
        pod["metadata"]["labels"][LABEL] = self.owner.as_str().into();
        plumbing::here(pod)
    }

    /// The name that an object has here.
    pub fn own(&self, name: &str) -> String {
        if self.owner == ANYBODYS { name.to_owned() } else { format!("{}-{name}", self.owner) }
    }

    /// A claim whose volume is a folder of this machine.
    pub async fn claim(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let (size, modes) = (json!({ "storage": "1Gi" }), json!(["ReadWriteMany"]));
        let (meta, name) = (self.meta(name), &*self.own(name));
        create(&json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": {
            "accessModes": modes, "storageClassName": "", "volumeName": name, "resources": { "requests": size },
        }}))
        .await;
        let claim = kubectl(&["get", "pvc", name, "-o", "json"], None).await.unwrap();
        let mut claim: Value = serde_json::from_str(&claim).unwrap();
        create(&json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": {
            "capacity": size, "accessModes": modes, "storageClassName": "", "hostPath": { "path": folder },
            "claimRef": { "namespace": namespace(), "name": name, "uid": claim["metadata"]["uid"] },
        }}))
        .await;
        if variable("PLX_E2E_CLUSTER") == "bare" {
            // What a controller does elsewhere.
            claim["status"] = json!({ "phase": "Bound", "accessModes": modes, "capacity": size });
            let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims/{name}/status", namespace());
            kubectl(&["replace", "--raw", &path, "-f", "-"], Some(&claim)).await.unwrap();
        }
        folder
    }

    /// Uploads that were begun and neither finished nor given up, in all buckets.
    pub fn unfinished(&self) -> Vec<PathBuf> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut all = walk(self.s3.data_dir());
        all.retain(|path| name(path).contains(".upload"));
        all
    }

    pub fn bucket(&self, name: &str) -> S3Target {
        self.s3.target(name)
    }

    /// The run's outputs that were sent since the requests were forgotten, each as often as it was sent. The spec is sent when
    /// the pod changes.
    pub fn sent(&self) -> Vec<String> {
        let puts = self.s3_front.requests().into_iter().filter(|seen| seen.method == "PUT");
        let keys = puts.filter_map(|seen| Some(seen.path_and_query.split_once("/outputs/")?.1.to_owned()));
        let mut keys: Vec<String> = keys.filter(|key| key != SPEC).collect();
        keys.sort();
        keys
    }

    /// The two repositories of the fixtures, `repo2` behind a password and with a submodule, and that.
    pub fn repositories(&self) -> [GitRepo; 3] {
        let (one, two) = (GitRepo::new(), GitRepo::new());
        one.commit(&[("README", "repo1")], "one");
        let part = GitRepo::new();
        part.commit(&[("part.txt", "part")], "part");
        self.git[1].serve("org/part", &part);
        two.name_submodule("../part.git", "part", &part.head());
        two.commit(&[("train.py", "print('main')")], "main");
        two.branch("branch2");
        two.checkout("branch2");
        two.commit(&[("train.py", "print('branch2')")], "branch2");
        two.checkout("main");
        self.git[0].serve("org/repo1", &one);
        self.git[1].serve("org/repo2", &two);
        [one, two, part]
    }

    /// An artifact of the run, read back from the real API.
    pub async fn lineage(&self, name: &str) -> Recorded {
        let env: BTreeMap<String, String> = [
            ("POLYAXON_HOST", variable("PLX_E2E_API")),
            ("POLYAXON_RUN_INSTANCE", format!("owner-name.project-name.runs.{}", self.run)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let Api::On(settings) = Settings::read(&env, &plx_runtime::DiskFiles).unwrap() else {
            panic!("no API")
        };
        let run = plx_contract::run::from_env(&env).unwrap();
        let client = Client::new(settings).unwrap();
        // It takes what it is told, and writes it down when it has time.
        let mut looks = interval(Duration::from_millis(500));
        for _ in 0..120 {
            looks.tick().await;
            if let Some(found) = client.artifacts_named(&run, name).await.unwrap().into_iter().next() {
                return found;
            }
        }
        let asked = self.platform.requests();
        let asked = asked.iter().map(|seen| (&seen.method, &seen.path_and_query, seen.status));
        panic!("the API has no artifact {name}: {:#?}", asked.collect::<Vec<_>>());
    }
}

/// As `sha256sum` prints it.
pub fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `sha256sum`'s lines, by path.
pub fn sums(text: &[u8]) -> BTreeMap<String, String> {
    let text = std::str::from_utf8(text).unwrap();
    text.lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, path)| (path.to_owned(), sum.to_owned()))
        .collect()
}

pub async fn put(target: &S3Target, objects: &[(&str, &str)]) {
    for (key, content) in objects {
        target.store().put(&Key::parse(key).unwrap(), content.as_bytes().to_vec().into()).await.unwrap();
    }
}

/// What a bucket holds below a prefix, by the rest of the key.
pub async fn objects(target: &S3Target, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    listed(&target.store(), prefix).await
}

/// The same of any store.
pub async fn listed(store: &impl ObjectStore, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let listed: Vec<_> = store.list(Some(&Key::parse(prefix).unwrap())).try_collect().await.unwrap();
    let mut all = BTreeMap::new();
    for object in listed {
        let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        let name = object.location.as_ref().strip_prefix(prefix).unwrap().trim_start_matches('/').to_owned();
        all.insert(name, bytes.to_vec());
    }
    all
}

/// The same of a folder.
pub fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let all = walk(root).into_iter();
    all.map(|path| (path.strip_prefix(root).unwrap().display().to_string(), std::fs::read(path).unwrap()))
        .collect()
}

fn walk(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap_or_else(|error| panic!("{}: {error}", root.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

/// What a container said, by the parts of a stored log; init containers by the begin of their names.
pub fn lines_of(parts: &BTreeMap<String, Vec<u8>>, container: &str) -> Vec<String> {
    let lines = parts.values().flat_map(|part| std::str::from_utf8(part).unwrap().lines());
    let records =
        lines.filter(|line| !line.is_empty()).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own = records.filter(|record| record["container"].as_str().unwrap().starts_with(container));
    own.map(|record| record["value"].as_str().unwrap().to_owned()).collect()
}

/// What the sidecar writes among the outputs.
pub const SPEC: &str = "spec.json";

/// Everything that main wrote is stored as it was, and no more than that but the spec. No secret is in it. What main found
/// when it started for the last time, by path.
pub fn complete(outputs: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    let manifest = outputs.get("manifest").unwrap_or_else(|| panic!("no manifest in {:?}", outputs.keys()));
    let written: BTreeMap<String, String> = sums(manifest)
        .into_iter()
        .map(|(path, sum)| (path.trim_start_matches("./").to_owned(), sum))
        .filter(|(path, _)| path != SPEC)
        .collect();
    let mut stored: BTreeMap<String, String> = BTreeMap::new();
    for (name, bytes) in outputs {
        // A checkpoint is random, and long.
        if bytes.len() < 1 << 20 {
            Planted::here().assert_free(name, bytes);
        }
        if name != "manifest" && name != SPEC {
            stored.insert(name.clone(), sha256(bytes));
        }
    }
    assert_eq!(stored, written);
    let attempts = outputs.keys().filter_map(|name| name.strip_prefix("attempts/")?.strip_suffix("/inputs"));
    let last: u32 = attempts.map(|number| number.parse().unwrap()).max().expect("main ran");
    let mut found = sums(&outputs[&format!("attempts/{last}/inputs")]);
    found.retain(|path, _| !path.ends_with("/outputs/spec.json"));
    found
}

/// What main found, without what the platform and we keep there.
pub fn inputs(seen: BTreeMap<String, String>) -> BTreeMap<String, String> {
    const OURS: [&str; 3] =
        ["/plx-context/artifacts/.fs", "/plx-context/artifacts/.plx/", "/plx-context/.configs/"];
    let ours = |path: &str| path == OURS[0] || OURS[1..].iter().any(|folder| path.starts_with(folder));
    seen.into_iter().filter(|(path, _)| !ours(path)).collect()
}
