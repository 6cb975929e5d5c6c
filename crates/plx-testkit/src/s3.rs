//! An S3 server inside the test process: s3s on a folder, with signature checks.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;

use crate::S3Target;
use crate::http_server::Request;
use crate::loopback::{self, Background};
use crate::planted::{Noted, Planted, Searched, Wire};

/// A running server. Dropping it closes its port and deletes a folder of its own making.
///
/// Signatures are checked; addresses are path style; a bucket is a folder in [`S3Server::data_dir`]. Known gaps:
/// `ListMultipartUploads` answers 501, `If-None-Match` on GET is ignored, keys that end in `/` are not listed; `a` and
/// `a/b` cannot both be objects; a PUT of a key over about 160 bytes (in parts: 125) is stored and answered with 500, because
/// its notes lie in a file named by the whole key.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    access_key: String,
    secret_key: String,
    data_dir: PathBuf,
    _background: Background,
    _folder: Option<TempDir>,
    _searched: Searched,
}

impl S3Server {
    /// One on a free port, with new keys and an empty folder.
    ///
    /// # Panics
    /// When the machine gives it no folder or port.
    pub async fn start() -> Self {
        Self::start_by(S3Config::default())
    }

    /// As [`S3Server::start`], but signatures of any time are good: for a [`crate::S3Front`] with a clock of its own.
    ///
    /// # Panics
    /// As [`S3Server::start`].
    pub async fn with_any_clock() -> Self {
        let mut config = S3Config::default();
        config.presigned_url_max_skew_time_secs = u32::MAX;
        Self::start_by(config)
    }

    fn start_by(config: S3Config) -> Self {
        let folder = TempDir::with_prefix("plx-s3-").expect("a temporary folder");
        let keys = (format!("AK{}", random_word(18)), random_word(40));
        let mut server = Self::serve_by(folder.path(), loopback::listener(), keys, config)
            .expect("an S3 server on a new folder");
        server._folder = Some(folder);
        server
    }

    /// One on a folder that is there, with keys that are known: access key and secret key.
    pub fn serve(data_dir: &Path, listener: TcpListener, keys: (String, String)) -> io::Result<Self> {
        Self::serve_by(data_dir, listener, keys, S3Config::default())
    }

    fn serve_by(
        data_dir: &Path,
        listener: TcpListener,
        keys: (String, String),
        config: S3Config,
    ) -> io::Result<Self> {
        let (access_key, secret_key) = keys;
        let files = s3s_fs::FileSystem::new(data_dir)
            .map_err(|error| io::Error::other(format!("cannot serve {}: {error:?}", data_dir.display())))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(access_key.clone(), secret_key.clone()));
        service.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        let service = service.build();
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Planted::here().key(&secret_key);
        let (wire, _searched) = Wire::start("s3-server");
        let background = Background::run("s3-server", move || accept(listener, service, wire));
        let data_dir = data_dir.to_owned();
        let (_background, _folder) = (background, None);
        Ok(Self { address, access_key, secret_key, data_dir, _background, _folder, _searched })
    }

    /// As `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Access key id.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// Secret key.
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// The folder whose folders are buckets. The server keeps notes of its own there, in hidden files.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Makes a bucket, unless it is there.
    pub fn create_bucket(&self, name: &str) -> io::Result<()> {
        let path = self.data_dir.join(name);
        std::fs::create_dir_all(&path).map_err(|error| crate::tree::because("make", &path, &error))
    }

    /// A bucket of this server as a target. The bucket is made when it is missing.
    ///
    /// # Panics
    /// When the bucket cannot be made.
    pub fn target(&self, bucket: &str) -> S3Target {
        self.create_bucket(bucket).expect("a bucket is a folder");
        S3Target {
            endpoint: self.endpoint(),
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            bucket: bucket.to_owned(),
            region: "us-east-1".to_owned(),
        }
    }
}

async fn accept(listener: TcpListener, service: S3Service, wire: Arc<Wire>) {
    let listener =
        tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener joins the runtime");
    let http = Builder::new(TokioExecutor::new());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        // It only makes small messages quicker.
        stream.set_nodelay(true).ok();
        let (service, wire) = (service.clone(), Arc::clone(&wire));
        let noted = service_fn(move |request: Request| {
            let (service, asked) = (service.clone(), wire.note_request(&request));
            let request = request.map(|body| s3s::Body::http_body_unsync(Noted { body, asked }));
            async move { service.call(request).await }
        });
        let connection = http.serve_connection(TokioIo::new(stream), noted).into_owned();
        tokio::spawn(async move {
            // A client that goes away in the middle is that client's business.
            connection.await.ok();
        });
    }
}

fn random_word(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(length).collect()
}
