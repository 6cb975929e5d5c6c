//! The other side of a transfer.

use crate::TransferError;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use plx_contract::RelPath;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Names the uploads to exactly this key (prefix included) that are open at the store and have no part yet. What the
/// trait of the store library cannot ask for.
pub type EmptyUploads = Arc<
    dyn Fn(object_store::path::Path) -> BoxFuture<'static, object_store::Result<Vec<String>>> + Send + Sync,
>;

/// A place that holds artifacts: below a prefix of a bucket, or in a mounted folder.
#[derive(Clone)]
pub enum Remote {
    /// An object store. Its own retries are off.
    Bucket {
        /// The store.
        store: Arc<dyn ObjectStore>,
        /// Its multipart uploads.
        parts: Arc<dyn MultipartStore>,
        /// What lies before every key.
        prefix: RelPath,
        /// The bucket in messages, such as `s3://bucket`.
        place: String,
        /// Where the store is reached, which tells it from others with a bucket of that name.
        endpoint: String,
        /// Lists what is open, where the store can be asked.
        empty_uploads: Option<EmptyUploads>,
    },
    /// A mounted folder.
    Volume {
        /// The folder.
        root: PathBuf,
        /// What links may lead to: the mount that the folder lies in.
        boundary: PathBuf,
    },
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at(&RelPath::root()))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({self})")
    }
}

impl Remote {
    /// A bucket.
    pub fn bucket(
        store: Arc<dyn ObjectStore>,
        parts: Arc<dyn MultipartStore>,
        prefix: RelPath,
        place: impl Into<String>,
    ) -> Self {
        let (endpoint, empty_uploads) = (String::new(), None);
        Self::Bucket { store, parts, prefix, place: place.into(), endpoint, empty_uploads }
    }

    /// The same, with where the store is reached, and a way to list what is open there. A volume is what it is.
    #[must_use]
    pub fn reached(mut self, at: &str, list: Option<EmptyUploads>) -> Self {
        if let Self::Bucket { endpoint, empty_uploads, .. } = &mut self {
            at.clone_into(endpoint);
            *empty_uploads = list;
        }
        self
    }

    /// What tells this place from every other one, for files that are about it.
    pub fn identity(&self) -> String {
        match self {
            Self::Bucket { endpoint, .. } if !endpoint.is_empty() => format!("{endpoint} {self}"),
            _ => self.to_string(),
        }
    }

    /// A mounted folder that is its own boundary.
    pub fn volume(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self::Volume { boundary: root.clone(), root }
    }

    /// Where `path` is, in messages.
    pub fn at(&self, path: &RelPath) -> String {
        match self {
            Self::Bucket { prefix, place, .. } => match prefix.join(path) {
                key if key.is_root() => place.clone(),
                key => format!("{place}/{key}"),
            },
            Self::Volume { root, .. } => path.beneath(root).display().to_string(),
        }
    }
}

/// The store library's path for a key, literally.
pub(crate) fn literal(place: &str, key: &RelPath) -> Result<object_store::path::Path, TransferError> {
    object_store::path::Path::parse(key.as_str()).map_err(|error| TransferError::Unsafe {
        at: format!("{place}/{}", key.as_str().escape_debug()),
        why: format!("an object store cannot hold this name ({error})"),
    })
}
