//! Opening a connection.

use crate::identity::Credentials;
use crate::location::Location;
use crate::setting::Setting;
use crate::{About, EmptyUploads, Requests, StoreError, azure, gcs, s3};
use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use plx_contract::RelPath;
use plx_contract::connection::{Connection, Kind, Schema};
use plx_contract::credential::SharedFiles;
use plx_contract::env::SharedEnv;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// An opened connection.
#[derive(Clone)]
pub enum Opened {
    /// An object store.
    Bucket(Bucket),
    /// A mounted folder.
    Volume(Volume),
}

/// A place in an object store.
#[derive(Clone)]
pub struct Bucket {
    /// The store, without retries of its own.
    pub store: Arc<dyn ObjectStore>,
    /// The same store's multipart uploads.
    pub parts: Arc<dyn MultipartStore>,
    /// Lists uploads that were begun and never sent to; none where nothing is begun (Azure).
    pub empty_uploads: Option<EmptyUploads>,
    /// What lies before every key of this connection.
    pub prefix: RelPath,
    /// `s3://BUCKET`, for messages.
    pub place: String,
    /// What was asked of it so far.
    pub requests: Arc<Requests>,
    /// What it was opened with.
    pub about: Arc<About>,
    /// What it is asked with.
    pub credentials: Arc<dyn Credentials>,
}

/// A mounted folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The folder.
    pub root: PathBuf,
    /// Whether the connection forbids writing.
    pub read_only: bool,
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket(bucket) if bucket.prefix.is_root() => f.write_str(&bucket.place),
            Self::Bucket(bucket) => write!(f, "{}/{}", bucket.place, bucket.prefix),
            Self::Volume(volume) => write!(f, "{}", volume.root.display()),
        }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({self})")
    }
}

/// Opens a connection at its store path.
///
/// # Errors
/// When the connection, its credentials or its endpoint cannot be used. Nothing is asked of the store yet.
pub fn open(
    connection: &Connection,
    env: &impl SharedEnv,
    files: &impl SharedFiles,
) -> Result<Opened, StoreError> {
    let store_path = connection.store_path()?;
    open_bucket_or_mount(&Setting::new(connection, env, files), &store_path).map_err(|error| match error {
        // Here it is the schema's own path, not that of an input.
        StoreError::Path(_) => StoreError::Bucket {
            connection: connection.name.clone(),
            bucket: store_path,
            wanted: "a path without `..`",
        },
        other => other,
    })
}

/// Opens the connection that `path` lies in, as a script's `--path-from` names it: the store path and what follows.
/// Returns the opened store and the path below it.
///
/// # Errors
/// As [`open`]; also when the path lies outside of a mounted folder.
pub fn open_at(
    connection: &Connection,
    path: &str,
    env: &impl SharedEnv,
    files: &impl SharedFiles,
) -> Result<(Opened, RelPath), StoreError> {
    let store_path = connection.store_path()?;
    if let Some(below) = below(&store_path, path) {
        return Ok((open(connection, env, files)?, RelPath::parse(below)?));
    }
    if !connection.kind.is_bucket() {
        return Err(StoreError::Outside {
            path: path.to_owned(),
            connection: connection.name.clone(),
            root: store_path,
        });
    }
    // Another bucket, or another part of it, with this connection's credentials: the reference takes that too.
    let Location { bucket, prefix } = Location::parse(connection, path)?;
    let scheme = path.find("://").map_or("", |end| &path[..end + 3]);
    Ok((open_bucket_or_mount(&Setting::new(connection, env, files), &format!("{scheme}{bucket}"))?, prefix))
}

/// What follows `root` in `path`, when it lies in it.
fn below<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(root)?;
    (rest.is_empty() || rest.starts_with('/') || root.ends_with('/')).then_some(rest)
}

fn open_bucket_or_mount(setting: &Setting, path: &str) -> Result<Opened, StoreError> {
    let connection = &setting.connection;
    let bucket = match connection.kind {
        Kind::S3 => {
            let location = Location::parse(connection, path)?;
            bucket("s3", s3::client(setting, &location)?, location)
        }
        Kind::Gcs => {
            let location = Location::parse(connection, path)?;
            bucket("gs", gcs::client(setting, &location)?, location)
        }
        Kind::Wasb => {
            let location = Location::parse(connection, path)?;
            bucket("wasb", azure::client(setting, &location)?, location)
        }
        _ => return mount(connection, path),
    };
    Ok(Opened::Bucket(bucket))
}

/// What each cloud makes of a connection.
pub(crate) struct Client<S> {
    pub store: S,
    pub empty_uploads: Option<EmptyUploads>,
    pub requests: Arc<Requests>,
    pub about: About,
    pub credentials: Arc<dyn Credentials>,
}

fn bucket<S: ObjectStore + MultipartStore>(scheme: &str, client: Client<S>, location: Location) -> Bucket {
    let Client { store, empty_uploads, requests, about, credentials } = client;
    tracing::debug!(
        endpoint = about.endpoint,
        credential = about.credential,
        "opened {scheme}://{}",
        location.bucket
    );
    let store = Arc::new(store);
    Bucket {
        store: Arc::clone(&store) as Arc<dyn ObjectStore>,
        parts: store,
        empty_uploads,
        place: format!("{scheme}://{}", location.bucket),
        prefix: location.prefix,
        requests,
        about: Arc::new(about),
        credentials,
    }
}

fn mount(connection: &Connection, path: &str) -> Result<Opened, StoreError> {
    let read_only = match connection.schema() {
        Schema::Claim { read_only, .. } | Schema::HostPath { read_only, .. } => read_only,
        _ => false,
    };
    let root = PathBuf::from(path);
    // Whoever made the folder here would read nothing from it, and write into the container's own disk.
    if !root.is_dir() {
        return Err(StoreError::NotMounted { connection: connection.name.clone(), path: root });
    }
    Ok(Opened::Volume(Volume { root, read_only }))
}
