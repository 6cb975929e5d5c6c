//! Why a connection could not be opened.

use plx_contract::connection::ConnectionError;
use plx_contract::credential::CredentialError;
use plx_contract::key::UnsafePath;
use plx_contract::network::NetworkError;
use plx_contract::{Class, Classified};

/// A connection that cannot be opened. Holds no credential.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The connection itself is wrong.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Its credentials are.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// A path below it is.
    #[error(transparent)]
    Path(#[from] UnsafePath),
    /// Its bucket is no bucket URL.
    #[error("connection `{connection}`: `{bucket}` is no bucket, wanted {wanted}")]
    Bucket {
        /// The connection.
        connection: String,
        /// What was written.
        bucket: String,
        /// The form that was wanted.
        wanted: &'static str,
    },
    /// Its endpoint cannot be used.
    #[error(
        "connection `{connection}`: the endpoint `{endpoint}` ({key}) is no plain URL: scheme, host, port and path, without a user"
    )]
    Endpoint {
        /// The connection.
        connection: String,
        /// What was found, without user and password.
        endpoint: String,
        /// The key it was found under.
        key: &'static str,
    },
    /// Trust or proxies are set wrongly.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A file of certificates is none.
    #[error("{variable}: {} holds a certificate that cannot be read", path.display())]
    Ca {
        /// The variable that named it.
        variable: &'static str,
        /// The file.
        path: std::path::PathBuf,
    },
    /// A path that does not lie in the connection.
    #[error("`{path}` does not lie in connection `{connection}` ({root})")]
    Outside {
        /// The path.
        path: String,
        /// The connection.
        connection: String,
        /// Its store path.
        root: String,
    },
    /// Its folder is not there.
    #[error("connection `{connection}`: nothing is mounted at {}", path.display())]
    NotMounted {
        /// The connection.
        connection: String,
        /// Its mount path.
        path: std::path::PathBuf,
    },
    /// The client could not be made.
    #[error("connection `{connection}`: make the client")]
    Client {
        /// The connection.
        connection: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Classified for StoreError {
    fn class(&self) -> Class {
        match self {
            Self::Connection(error) => error.class(),
            Self::Credential(error) => error.class(),
            Self::Path(error) => error.class(),
            Self::Network(error) => error.class(),
            Self::Outside { .. } => Class::Usage,
            Self::NotMounted { .. }
            | Self::Bucket { .. }
            | Self::Endpoint { .. }
            | Self::Ca { .. }
            | Self::Client { .. } => Class::Config,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Connection(error) => error.next_step(),
            Self::Credential(error) => error.next_step(),
            Self::Path(error) => error.next_step(),
            Self::Network(error) => error.next_step(),
            Self::Ca { .. } => Some("name a file of certificates in PEM form".to_owned()),
            Self::Bucket { .. } => Some("correct the connection's schema".to_owned()),
            Self::Endpoint { key, .. } if key.starts_with("AZURE") => {
                Some(format!("set {key} to something like https://ACCOUNT.blob.core.windows.net"))
            }
            Self::Endpoint { key, .. } => Some(format!("set {key} to something like http://minio:9000")),
            Self::Outside { root, .. } => Some(format!("name a path that begins with {root}")),
            Self::NotMounted { path, .. } => {
                Some(format!("mount the volume at {} in this container", path.display()))
            }
            Self::Client { .. } => {
                Some("check the endpoint, and that the image has a CA bundle in /etc/ssl/certs".to_owned())
            }
        }
    }
}
