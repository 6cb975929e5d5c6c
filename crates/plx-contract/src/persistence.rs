//! Volumes of data and outputs as Polyaxon's older charts describe them (0.x, `persistence.data` and
//! `persistence.outputs`), and what a run's environment says of them.
//!
//! ```yaml
//! persistence:
//!   data:
//!     data1: {mountPath: /data/1, hostPath: /path/to/data, readOnly: true}
//!     data2: {mountPath: /data/2, existingClaim: data-2-pvc}
//!     data-s3: {store: s3, bucket: s3://data-bucket, secret: secret-name, secretKey: secret-key}
//!   outputs:
//!     outputs1: {mountPath: /outputs/1, existingClaim: outputs-1-pvc}
//! ```

mod chosen;

pub use chosen::{Chosen, Wanted};

use crate::{Class, Classified};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Both sections, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Persistence {
    /// What runs read.
    pub data: Option<Volumes>,
    /// Where runs write.
    pub outputs: Option<Volumes>,
}

/// Volumes by name, in the order they are written: the first of the outputs is the default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Volumes(pub Vec<(String, Volume)>);

/// A volume as written; [`Volume::place`] gives its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names are the chart's")]
pub struct Volume {
    #[serde(alias = "mount_path")]
    pub mount_path: Option<String>,
    #[serde(alias = "host_path")]
    pub host_path: Option<String>,
    #[serde(alias = "existing_claim")]
    pub existing_claim: Option<String>,
    #[serde(alias = "read_only")]
    pub read_only: Option<bool>,
    pub store: Option<Store>,
    pub bucket: Option<String>,
    pub secret: Option<String>,
    #[serde(alias = "secret_key")]
    pub secret_key: Option<String>,
}

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the chart's")]
pub enum Store {
    S3,
    Gcs,
    Azure,
}

impl Store {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
        }
    }

    /// How its buckets begin.
    pub fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["s3://"],
            Self::Gcs => &["gs://"],
            Self::Azure => &["wasbs://", "wasb://"],
        }
    }
}

/// What a volume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder that is mounted.
    Mount {
        /// Where in the pod, without a slash at the end.
        path: String,
        /// What is mounted.
        source: Source,
        /// Nobody may write.
        read_only: bool,
    },
    /// A bucket, which is only named.
    Bucket {
        /// Whose it is.
        store: Store,
        /// With its scheme, without a slash at the end.
        url: String,
        /// The secret's name and the key in it, which is also the name of the variable.
        secret: Option<(String, String)>,
    },
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder of the node.
    HostPath(String),
    /// A persistent volume claim.
    Claim(String),
}

impl Place {
    /// Where a run finds it: a path, or the bucket's URL.
    pub fn root(&self) -> &str {
        match self {
            Self::Mount { path, .. } => path,
            Self::Bucket { url, .. } => url,
        }
    }
}

impl Volume {
    /// What it is.
    ///
    /// # Errors
    /// When its fields name nothing, or two things at once. `name` is the volume's, for the message.
    pub fn place(&self, name: &str) -> Result<Place, PersistenceError> {
        let wrong = |why: &str| PersistenceError::Volume { name: name.to_owned(), why: why.to_owned() };
        let trimmed = |path: &str| path.trim_end_matches('/').to_owned();
        match (&self.mount_path, &self.bucket) {
            (Some(_), Some(_)) => Err(wrong("has both a `mountPath` and a `bucket`")),
            (None, None) => Err(wrong("has neither a `mountPath` nor a `bucket`")),
            (Some(path), None) => {
                if self.store.is_some() || self.secret.is_some() || self.secret_key.is_some() {
                    return Err(wrong(
                        "has a `mountPath`: `store`, `secret` and `secretKey` are for buckets",
                    ));
                }
                if !path.starts_with('/')
                    || trimmed(path).is_empty()
                    || path.split('/').any(|part| part == "..")
                {
                    return Err(wrong("has a `mountPath` that is not absolute, or the root, or holds `..`"));
                }
                let source = match (&self.host_path, &self.existing_claim) {
                    (Some(host), None) => Source::HostPath(host.clone()),
                    (None, Some(claim)) => Source::Claim(claim.clone()),
                    (Some(_), Some(_)) => return Err(wrong("has both a `hostPath` and an `existingClaim`")),
                    (None, None) => return Err(wrong("has neither a `hostPath` nor an `existingClaim`")),
                };
                Ok(Place::Mount { path: trimmed(path), source, read_only: self.read_only.unwrap_or(false) })
            }
            (None, Some(bucket)) => {
                if self.host_path.is_some() || self.existing_claim.is_some() {
                    return Err(wrong("has a `bucket`: `hostPath` and `existingClaim` need a `mountPath`"));
                }
                let Some(store) = self.store else { return Err(wrong("has a `bucket` and no `store`")) };
                let scheme = store.schemes().iter().find(|scheme| bucket.starts_with(**scheme));
                if scheme.is_none_or(|scheme| bucket.len() <= scheme.len()) {
                    let wanted = format!(
                        "is of store {}: its bucket begins with {}",
                        store.name(),
                        store.schemes()[0]
                    );
                    return Err(wrong(&wanted));
                }
                let secret = match (&self.secret, &self.secret_key) {
                    (Some(secret), Some(key)) => Some((secret.clone(), key.clone())),
                    (None, None) => None,
                    _ => return Err(wrong("needs `secret` and `secretKey` together")),
                };
                Ok(Place::Bucket { store, url: trimmed(bucket), secret })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Volumes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Volumes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("volumes by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Volumes, A::Error> {
        let mut volumes = Vec::new();
        while let Some(entry) = map.next_entry()? {
            volumes.push(entry);
        }
        Ok(Volumes(volumes))
    }
}

/// Volumes that cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersistenceError {
    /// Nothing is called so.
    #[error("persistence.{section} has no `{name}`")]
    Unknown {
        /// `data` or `outputs`.
        section: &'static str,
        /// The name.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A malformed volume.
    #[error("volume `{name}` {why}")]
    Volume {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Outputs that cannot be written.
    #[error("outputs volume `{name}` is read-only")]
    ReadOnly {
        /// Its name.
        name: String,
        /// Those that can.
        others: Vec<String>,
    },
}

impl Classified for PersistenceError {
    fn class(&self) -> Class {
        Class::Config
    }
    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { known, .. } => format!("use one of {}", known.join(", ")),
            Self::Volume { .. } => {
                "give mountPath with hostPath or existingClaim, or store with bucket".to_owned()
            }
            Self::ReadOnly { others, .. } if others.is_empty() => "remove its readOnly".to_owned(),
            Self::ReadOnly { others, .. } => format!(
                "name another one under environment.persistence.outputs ({}), or remove its readOnly",
                others.join(", ")
            ),
        })
    }
}
