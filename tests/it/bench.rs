//! One store under test: opened as the programs open it, and looked at with a client that was made separately.

use object_store::ObjectStoreExt;
use object_store::path::Path as Key;
use plx_contract::RelPath;
use plx_contract::connection::Connection;
use plx_contract::credential::Files;
use plx_store::Opened;
use plx_testkit::{Moto, S3Server, S3Target, Snapshot};
use plx_transfer::{
    Ended, Engine, Outcome, Patience, Plan, Remote, Settings, Upload, Want, WantKind, download, plan, upload,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// No secret is mounted.
#[derive(Clone)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> std::io::Result<Option<String>> {
        Ok(None)
    }
}

/// Opens a connection as the programs do.
pub fn opened(connection: &str, env: &BTreeMap<String, String>) -> Remote {
    let connection: Connection = serde_json::from_str(connection).expect("a connection");
    match plx_store::open(&connection, env, &NoFiles).expect("the connection opens") {
        Opened::Bucket(bucket) => Remote::bucket(bucket.store, bucket.parts, bucket.prefix, bucket.place),
        Opened::Volume(volume) => Remote::volume(volume.root),
    }
}

/// Opens a bucket below a prefix.
pub fn bucket(target: &S3Target, prefix: &str) -> Remote {
    // Also chooses the cryptography, as the programs' main does.
    drop(target.store());
    let connection =
        format!(r#"{{"name":"s","kind":"s3","schema":{{"bucket":"s3://{}/{prefix}"}}}}"#, target.bucket);
    let env = [
        ("AWS_ENDPOINT_URL", &target.endpoint),
        ("AWS_ACCESS_KEY_ID", &target.access_key),
        ("AWS_SECRET_ACCESS_KEY", &target.secret_key),
        ("AWS_REGION", &target.region),
    ];
    opened(&connection, &env.map(|(key, value)| (key.to_owned(), value.clone())).into())
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
    External,
}

pub struct Bench {
    pub kind: Kind,
    pub remote: Remote,
    pub engine: Engine,
    pub stop: CancellationToken,
    scratch: TempDir,
    /// The bucket and the prefix in it, unless it is a folder.
    s3: Option<(S3Target, String)>,
    _server: Option<S3Server>,
}

impl Bench {
    pub async fn new(kind: Kind, name: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let bucket_name = format!("it-{}", name.replace('_', "-")).chars().take(60).collect::<String>();
        let bucket_name = bucket_name.trim_end_matches('-');
        let (target, server) = match kind {
            Kind::Folder => (None, None),
            Kind::S3s => {
                let server = S3Server::start().await;
                (Some(server.target(bucket_name)), Some(server))
            }
            Kind::Moto => (Some(Moto::shared().await.target(bucket_name).await), None),
            Kind::External => (S3Target::from_env(), None),
        };
        let run = scratch.path().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_owned();
        let prefix = if kind == Kind::External { format!("plx-it/{run}/base") } else { "base".to_owned() };
        let remote = match &target {
            Some(target) => bucket(target, &prefix),
            None => {
                std::fs::create_dir(scratch.path().join("mount")).unwrap();
                volume(&scratch.path().join("mount"))
            }
        };
        let s3 = target.map(|target| (target, prefix));
        let stop = CancellationToken::new();
        Self { kind, remote, engine: engine(), stop, scratch, s3, _server: server }
    }

    /// A path of this test's own on this machine.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Puts an object there, not by our own code.
    pub async fn put(&self, key: &str, content: &str) {
        match &self.s3 {
            Some((target, prefix)) => {
                let key = Key::parse(format!("{prefix}/{key}")).unwrap();
                target.store().put(&key, content.to_owned().into()).await.unwrap();
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
        match &self.s3 {
            Some((target, prefix)) => Snapshot::of_store(&target.store(), prefix).await.unwrap(),
            None => Snapshot::of(&self.path("mount")).unwrap(),
        }
    }

    /// Sends everything below a folder, which holds `tree`; all of it must land.
    pub async fn send(&self, folder: &Path, tree: &Snapshot) {
        let job = |(name, content): (&String, &plx_testkit::Content)| Upload {
            key: rel(name),
            path: folder.join(name),
            size: content.size,
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

/// The paths of a snapshot.
pub fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.files.keys().map(String::as_str).collect()
}
