//! One store under test: opened as the programs open it, and looked at with a client that was made separately.

use crate::planted::{download, plant, says_nothing_secret};
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use plx_contract::RelPath;
use plx_contract::connection::Connection;
use plx_contract::credential::Files;
use plx_store::Opened;
use plx_testkit::{
    AzureTarget, Azurite, GcsServer, GcsTarget, Moto, S3Server, S3Target, SERVICE_ACCOUNT_PUBLIC_KEY,
    Snapshot,
};
use plx_transfer::{
    Ended, Engine, Expected, Outcome, Patience, Plan, Remote, Settings, Upload, Want, WantKind, plan, upload,
};
use std::any::Any;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The files of a container: mounted secrets, tokens, certificates.
#[derive(Clone)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> std::io::Result<Option<String>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(error.kind(), error)),
        }
    }
}

/// The variables of a container.
pub type Vars = BTreeMap<String, String>;

/// Variables out of pairs.
pub fn vars<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Vars {
    pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

/// Opens a connection as the programs do, as far as that goes.
pub fn try_open(connection: &str, env: &Vars) -> Result<Opened, plx_store::StoreError> {
    // The programs' main chooses the cryptography.
    rustls::crypto::ring::default_provider().install_default().ok();
    let connection: Connection = serde_json::from_str(connection).expect("a connection");
    plant(env);
    plx_store::open(&connection, env, &Disk).inspect_err(says_nothing_secret)
}

/// Opens a connection as the programs do.
pub fn opened(connection: &str, env: &Vars) -> Remote {
    remote(try_open(connection, env).expect("the connection opens"))
}

/// What is opened, for transfers.
pub fn remote(opened: Opened) -> Remote {
    match opened {
        Opened::Bucket(bucket) => Remote::bucket(bucket.store, bucket.parts, bucket.prefix, bucket.place),
        Opened::Volume(volume) => Remote::volume(volume.root),
    }
}

/// A connection to a bucket below a prefix, with whatever else it has: `,"secret":{…}`.
pub fn connection(kind: &str, bucket: &str, more: &str) -> String {
    format!(r#"{{"name":"s","kind":"{kind}","schema":{{"bucket":"{bucket}"}}{more}}}"#)
}

/// Where a bucket is, without credentials.
pub fn s3_place(target: &S3Target) -> Vars {
    vars([("AWS_ENDPOINT_URL", &target.endpoint), ("AWS_REGION", &target.region)])
}

/// Where a bucket is, and the keys to it.
pub fn s3_keys(target: &S3Target) -> Vars {
    let mut env = s3_place(target);
    env.extend(vars([
        ("AWS_ACCESS_KEY_ID", &target.access_key),
        ("AWS_SECRET_ACCESS_KEY", &target.secret_key),
    ]));
    env
}

/// The connection to a bucket below the prefix `base`.
pub fn s3_connection(target: &S3Target, more: &str) -> String {
    connection("s3", &format!("s3://{}/base", target.bucket), more)
}

/// Opens a bucket below a prefix.
pub fn bucket(target: &S3Target, prefix: &str) -> Remote {
    opened(&connection("s3", &format!("s3://{}/{prefix}", target.bucket), ""), &s3_keys(target))
}

/// Opens a bucket with some variables more.
pub fn bucket_with<const N: usize>(target: &S3Target, more: [(&str, &str); N]) -> Remote {
    let mut env = s3_keys(target);
    env.extend(vars(more));
    opened(&s3_connection(target, ""), &env)
}

/// Opens a mounted folder.
pub fn volume(root: &Path) -> Remote {
    let root = root.display();
    let schema = format!(r#"{{"volumeClaim":"c","mountPath":"{root}"}}"#);
    opened(&format!(r#"{{"name":"v","kind":"volume_claim","schema":{schema}}}"#), &BTreeMap::new())
}

pub fn rel(path: &str) -> RelPath {
    RelPath::parse(path).unwrap()
}

pub fn want(from: &str, to: &str, kind: WantKind) -> Want {
    Want { from: rel(from), to: rel(to), kind }
}

pub fn engine() -> Engine {
    // Real servers fail quickly here, or not at all.
    let patience = Patience { time: Duration::from_secs(20), unreachable: Duration::ZERO, tries: 4 };
    Engine::new(Settings { patience, ..Settings::default() })
}

/// Which store it is: they differ in what they can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Folder,
    S3s,
    Moto,
    Azurite,
    Gcs,
    External,
}

/// A bucket under test, opened by us, and by a client that was made separately.
struct Held {
    remote: Remote,
    store: Arc<dyn ObjectStore>,
    prefix: String,
    _server: Box<dyn Any + Send + Sync>,
}

pub struct Bench {
    pub kind: Kind,
    pub remote: Remote,
    pub engine: Engine,
    pub stop: CancellationToken,
    scratch: TempDir,
    /// Unless it is a folder.
    bucket: Option<Held>,
}

impl Bench {
    pub async fn new(kind: Kind, name: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let bucket_name = format!("it-{}", name.replace('_', "-")).chars().take(60).collect::<String>();
        let bucket_name = bucket_name.trim_end_matches('-');
        let bucket = match kind {
            Kind::Folder => None,
            Kind::S3s => {
                let server = S3Server::start().await;
                Some(Held::s3(&server.target(bucket_name), "base", Box::new(server)))
            }
            Kind::Moto => {
                Some(Held::s3(&Moto::shared().await.target(bucket_name).await, "base", Box::new(())))
            }
            Kind::Azurite => Some(Held::azure(&Azurite::shared().await.target(bucket_name).await)),
            Kind::Gcs => Some(Held::gcs(bucket_name, scratch.path()).await),
            Kind::External => S3Target::from_env().map(|target| {
                let run =
                    scratch.path().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_owned();
                Held::s3(&target, &format!("plx-it/{run}/base"), Box::new(()))
            }),
        };
        let remote = match &bucket {
            Some(held) => held.remote.clone(),
            None => {
                std::fs::create_dir(scratch.path().join("mount")).unwrap();
                volume(&scratch.path().join("mount"))
            }
        };
        Self { kind, remote, engine: engine(), stop: CancellationToken::new(), scratch, bucket }
    }

    /// A server that keeps objects as files of its own: names end where the file system's end, and nothing stands
    /// below an object. The GCS server is the same one behind a translator.
    pub fn is_served_from_files(&self) -> bool {
        matches!(self.kind, Kind::S3s | Kind::Gcs)
    }

    /// A path of this test's own on this machine.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Puts an object there, not by our own code.
    pub async fn put(&self, key: &str, content: &str) {
        match &self.bucket {
            Some(held) => {
                let key = Key::parse(format!("{}/{key}", held.prefix)).unwrap();
                held.store.put(&key, content.to_owned().into()).await.unwrap();
            }
            None => {
                let path = self.path("mount").join(key);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
        }
    }

    /// What the store holds, not by our own code.
    pub async fn stored(&self) -> Snapshot {
        match &self.bucket {
            Some(held) => Snapshot::of_store(&*held.store, &held.prefix).await.unwrap(),
            None => Snapshot::of(&self.path("mount")).unwrap(),
        }
    }

    /// Sends everything below a folder, which holds `tree`; all of it must land.
    pub async fn send(&self, folder: &Path, tree: &Snapshot) {
        let job = |(name, content): (&String, &plx_testkit::Content)| Upload {
            key: rel(name),
            path: folder.join(name),
            size: content.size,
            expected: Expected::Anything,
        };
        let mut landed = 0;
        upload(&self.engine, &self.remote, tree.files.iter().map(job).collect(), &self.stop, |job, how| {
            assert!(matches!(how, Ended::Landed { .. }), "{}: {how:?}", job.key);
            landed += 1;
        })
        .await;
        assert_eq!(landed, tree.files.len());
    }

    pub async fn plan(&self, wants: impl Into<Vec<Want>>) -> Plan {
        plan(&self.engine, &self.remote, wants.into(), &self.stop).await
    }

    /// Fetches to a folder, as far as it goes.
    pub async fn try_fetch(&self, wants: impl Into<Vec<Want>>, to: &str) -> Outcome {
        let plan = self.plan(wants).await;
        assert!(plan.missing.is_empty(), "{:?}", plan.missing);
        download(&self.engine, &self.remote, plan, &self.path(to), &self.stop).await
    }

    /// Fetches to a folder all that is wanted, and says what is there then.
    pub async fn fetch(&self, wants: impl Into<Vec<Want>>, to: &str) -> Snapshot {
        let outcome = self.try_fetch(wants, to).await;
        assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
        Snapshot::of(&self.path(to)).unwrap()
    }
}

impl Held {
    fn s3(target: &S3Target, prefix: &str, server: Box<dyn Any + Send + Sync>) -> Self {
        let (remote, store) = (bucket(target, prefix), Arc::new(target.store()));
        Self { remote, store, prefix: prefix.to_owned(), _server: server }
    }

    /// By both ways that a key is given.
    fn azure(target: &AzureTarget) -> Self {
        let AzureTarget { endpoint, account, key, container } = target;
        let remote = if container.len().is_multiple_of(2) {
            let env = vars([("AZURE_CONNECTION_STRING", target.connection_string())]);
            opened(&connection("wasb", &format!("wasb://{container}/base"), ""), &env)
        } else {
            let url = format!("wasbs://{container}@{account}.blob.core.windows.net/base");
            let env = vars([("AZURE_ACCOUNT_KEY", key), ("AZURE_STORAGE_ENDPOINT", endpoint)]);
            opened(&connection("wasb", &url, ""), &env)
        };
        Self { remote, store: Arc::new(target.store()), prefix: "base".to_owned(), _server: Box::new(()) }
    }

    /// By both ways that a service account's key is given.
    async fn gcs(name: &str, scratch: &Path) -> Self {
        let server = GcsServer::start().await;
        server.accept_signed_by(SERVICE_ACCOUNT_PUBLIC_KEY);
        let target: GcsTarget = server.target(name);
        let key = target.signing_key_json();
        let env = if name.len().is_multiple_of(2) {
            vars([("GC_KEYFILE_DICT", key.clone())])
        } else {
            std::fs::write(scratch.join("key.json"), &key).unwrap();
            vars([("GC_KEY_PATH", scratch.join("key.json").display().to_string())])
        };
        let remote = opened(&connection("gcs", &format!("gs://{name}/base"), ""), &env);
        let store = target.builder().with_service_account_key(key).build().unwrap();
        Self { remote, store: Arc::new(store), prefix: "base".to_owned(), _server: Box::new(server) }
    }
}

/// The paths of a snapshot.
pub fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.files.keys().map(String::as_str).collect()
}
