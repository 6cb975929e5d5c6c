//! Google Cloud Storage's XML API inside the test process: s3s on a folder behind a translator.

mod bearer;
mod target;
mod translate;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;

use self::bearer::Tokens;
pub use self::target::{GcsTarget, SERVICE_ACCOUNT_KEY, SERVICE_ACCOUNT_PUBLIC_KEY};
use crate::http_server::{lock, serve};
use crate::loopback::{self, Background};
use crate::planted::{Planted, Searched, Wire};

/// A running server. Dropping it closes its port and deletes its folder.
///
/// At first no token is good: say which by [`GcsServer::accept_any`], [`GcsServer::accept`] or
/// [`GcsServer::accept_signed_by`]. Objects have generations, which `x-goog-if-generation-match` and `?generation=`
/// compare. Known gaps are those of [`crate::S3Server`]; there is no JSON API.
#[derive(Debug)]
pub struct GcsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _background: Background,
    _folder: TempDir,
    _searched: Searched,
}

/// A request the server was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenGcs {
    /// As `PUT`.
    pub method: String,
    /// As it was sent.
    pub path_and_query: String,
    /// The header `Authorization`, if there was one.
    pub authorization: Option<String>,
    /// What the client was told.
    pub status: u16,
}

#[derive(Debug)]
struct Shared {
    files: S3Service,
    tokens: Mutex<Tokens>,
    /// Of objects by path, since they were last written.
    generations: Mutex<HashMap<String, u64>>,
    conditional: tokio::sync::Mutex<()>,
    data_dir: PathBuf,
    log: Mutex<Vec<SeenGcs>>,
    wire: Arc<Wire>,
}

impl GcsServer {
    /// One on a free port, with an empty folder.
    ///
    /// # Panics
    /// When the machine gives it no folder or port.
    pub async fn start() -> Self {
        let folder = TempDir::with_prefix("plx-gcs-").expect("a temporary folder");
        let files = s3s_fs::FileSystem::new(folder.path()).expect("a file system on a new folder");
        let (wire, searched) = Wire::start("gcs-server");
        let shared = Arc::new(Shared {
            files: S3ServiceBuilder::new(files).build(),
            tokens: Mutex::default(),
            generations: Mutex::default(),
            conditional: tokio::sync::Mutex::default(),
            data_dir: folder.path().to_owned(),
            log: Mutex::default(),
            wire,
        });
        let listener = loopback::listener();
        let address = loopback::address_of(&listener);
        let serving = Arc::clone(&shared);
        let background = Background::run("gcs-server", move || {
            serve(listener, move |request| translate::handle(Arc::clone(&serving), request))
        });
        Self { address, shared, _background: background, _folder: folder, _searched: searched }
    }

    /// Takes every request, with whatever token or none, as an emulator does.
    pub fn accept_any(&self) {
        lock(&self.shared.tokens).accept_any();
    }

    /// Takes that token, until [`GcsServer::revoke`].
    pub fn accept(&self, token: &str) {
        Planted::here().token(token);
        lock(&self.shared.tokens).accept(token);
    }

    /// No longer takes that token.
    pub fn revoke(&self, token: &str) {
        lock(&self.shared.tokens).revoke(token);
    }

    /// Takes tokens that a service account signs itself (RS256), as long as their `exp` has not come.
    ///
    /// The key as PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`) or DER.
    ///
    /// # Panics
    /// When it is no RSA key.
    pub fn accept_signed_by(&self, public_key: impl AsRef<[u8]>) {
        lock(&self.shared.tokens).accept_signed_by(public_key.as_ref());
    }

    /// As `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The folder whose folders are buckets. The server keeps notes of its own there, in hidden files.
    pub fn data_dir(&self) -> &Path {
        &self.shared.data_dir
    }

    /// Makes a bucket, unless it is there.
    pub fn create_bucket(&self, name: &str) -> io::Result<()> {
        let path = self.data_dir().join(name);
        std::fs::create_dir_all(&path).map_err(|error| crate::tree::because("make", &path, &error))
    }

    /// A bucket of this server as a target. The bucket is made when it is missing.
    ///
    /// # Panics
    /// When the bucket cannot be made.
    pub fn target(&self, bucket: &str) -> GcsTarget {
        self.create_bucket(bucket).expect("a bucket is a folder");
        GcsTarget { base_url: self.base_url(), bucket: bucket.to_owned() }
    }

    /// All requests so far, in the order they were answered.
    pub fn requests(&self) -> Vec<SeenGcs> {
        lock(&self.shared.log).clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        lock(&self.shared.log).clear();
    }
}
