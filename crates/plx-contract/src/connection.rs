//! Connections and their catalog, as `POLYAXON_CONNECTIONS_CATALOG` carries them
//! (`polyaxon/_connections`: `V1Connection`, `V1ConnectionResource` and the schemas).
//!
//! ```json
//! {"connections":[{"name":"s3-store","kind":"s3","schema":{"bucket":"s3://b/p"},"secret":{"name":"keys"}}]}
//! ```

use crate::{Class, Classified, Env};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// What a connection leads to. Kinds that neither program opens (`postgres`, `slack`, …) keep their name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    S3,
    Gcs,
    Wasb,
    VolumeClaim,
    HostPath,
    Git,
    Ssh,
    Registry,
    Other(String),
}

impl Kind {
    /// The kind as Polyaxon writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Wasb => "wasb",
            Self::VolumeClaim => "volume_claim",
            Self::HostPath => "host_path",
            Self::Git => "git",
            Self::Ssh => "ssh",
            Self::Registry => "registry",
            Self::Other(name) => name,
        }
    }

    /// True for object stores.
    pub fn is_bucket(&self) -> bool {
        matches!(self, Self::S3 | Self::Gcs | Self::Wasb)
    }

    /// True for folders that are mounted into the pod.
    pub fn is_mount(&self) -> bool {
        matches!(self, Self::VolumeClaim | Self::HostPath)
    }

    /// True for whatever can hold artifacts.
    pub fn is_artifacts(&self) -> bool {
        self.is_bucket() || self.is_mount()
    }

    /// True for repositories.
    pub fn is_git(&self) -> bool {
        matches!(self, Self::Git | Self::Ssh)
    }
}

impl From<String> for Kind {
    fn from(name: String) -> Self {
        match name.as_str() {
            "s3" => Self::S3,
            "gcs" => Self::Gcs,
            "wasb" => Self::Wasb,
            "volume_claim" => Self::VolumeClaim,
            "host_path" => Self::HostPath,
            "git" => Self::Git,
            "ssh" => Self::Ssh,
            "registry" => Self::Registry,
            _ => Self::Other(name),
        }
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.as_str().to_owned()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A secret or config map that belongs to a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resource {
    /// Name of the Kubernetes object.
    pub name: String,
    /// Folder its keys are mounted at, one file per key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    /// Folder on the node, in place of a Kubernetes object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
    /// The keys that are used; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<String>>,
    /// File mode of a mount, decimal or octal text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_mode: Option<Value>,
    /// Whether the platform added it because the user asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_requested: Option<bool>,
}

/// A connection of the catalog.
///
/// `schema` and `env` may hold credentials, so neither is printed by `Debug`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Name it is asked for by.
    pub name: String,
    /// What it leads to.
    pub kind: Kind,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Where it leads; see [`Connection::schema`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Resource>,
    /// Its config map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<Resource>,
    /// Variables: an object, a list of pairs or a list of `{name, value}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Value>,
    /// Free annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A schema by its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schema {
    /// `{"bucket": …}`
    Bucket {
        /// The bucket as written, scheme included.
        bucket: String,
    },
    /// `{"volumeClaim": …, "mountPath": …, "readOnly": …}`
    Claim {
        /// Name of the claim.
        claim: String,
        /// Where it is mounted.
        mount_path: String,
        /// Whether writing is refused.
        read_only: bool,
    },
    /// `{"hostPath": …, "mountPath": …, "readOnly": …}`
    HostPath {
        /// Folder on the node.
        host_path: String,
        /// Where it is mounted.
        mount_path: String,
        /// Whether writing is refused.
        read_only: bool,
    },
    /// `{"url": …, "revision": …, "flags": […]}`
    Git {
        /// The repository.
        url: String,
        /// What is checked out by default.
        revision: Option<String>,
        /// Flags of the clone.
        flags: Vec<String>,
    },
    /// Any other object, or none.
    Free,
}

impl Connection {
    /// The schema by its shape. A schema of the wrong shape for what is asked of it is found by the caller, who
    /// knows what was asked.
    pub fn schema(&self) -> Schema {
        let text = |key: &str| self.schema_field(key).and_then(Value::as_str).map(str::to_owned);
        let read_only = self.schema_field("readOnly").and_then(Value::as_bool).unwrap_or(false);
        if let Some(bucket) = text("bucket") {
            return Schema::Bucket { bucket };
        }
        if let Some(mount_path) = text("mountPath") {
            if let Some(claim) = text("volumeClaim") {
                return Schema::Claim { claim, mount_path, read_only };
            }
            if let Some(host_path) = text("hostPath") {
                return Schema::HostPath { host_path, mount_path, read_only };
            }
        }
        match text("url") {
            Some(url) => Schema::Git {
                url,
                revision: text("revision"),
                flags: self
                    .schema_field("flags")
                    .and_then(Value::as_array)
                    .map(|flags| flags.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                    .unwrap_or_default(),
            },
            None => Schema::Free,
        }
    }

    /// One field of the schema as written.
    pub fn schema_field(&self, key: &str) -> Option<&Value> {
        self.schema.as_ref()?.get(key)
    }

    /// One variable of the connection's own `env`, in whichever of the three forms it is written.
    pub fn env_value(&self, key: &str) -> Option<&Value> {
        match self.env.as_ref()? {
            Value::Object(map) => map.get(key),
            Value::Array(items) => items.iter().find_map(|item| match item {
                Value::Array(pair) if pair.len() == 2 && pair[0] == key => Some(&pair[1]),
                Value::Object(entry) if entry.get("name").is_some_and(|name| name == key) => {
                    entry.get("value")
                }
                _ => None,
            }),
            _ => None,
        }
    }

    /// The store path as Polyaxon computes it (`polyaxon/_connections`, `store_path`): the mount without a trailing
    /// slash, the bucket with its scheme and without a trailing slash, for `wasb` `CONTAINER[/PATH]`.
    ///
    /// # Errors
    /// When the schema does not fit the kind.
    pub fn store_path(&self) -> Result<String, ConnectionError> {
        let wrong =
            |wanted| ConnectionError::Schema { name: self.name.clone(), kind: self.kind.clone(), wanted };
        match (&self.kind, self.schema()) {
            (Kind::S3 | Kind::Gcs, Schema::Bucket { bucket }) => Ok(trim_slashes(&bucket).to_owned()),
            (Kind::Wasb, Schema::Bucket { bucket }) => wasb_path(&bucket).ok_or_else(|| {
                wrong("a bucket such as wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PATH")
            }),
            (Kind::S3 | Kind::Gcs | Kind::Wasb, _) => Err(wrong("{\"bucket\": …}")),
            (
                Kind::VolumeClaim | Kind::HostPath,
                Schema::Claim { mount_path, .. } | Schema::HostPath { mount_path, .. },
            ) => {
                let trimmed = trim_slashes(&mount_path);
                Ok(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() })
            }
            (Kind::VolumeClaim, _) => Err(wrong("{\"volumeClaim\": …, \"mountPath\": …}")),
            (Kind::HostPath, _) => Err(wrong("{\"hostPath\": …, \"mountPath\": …}")),
            (kind, _) => Err(ConnectionError::NotAStore { name: self.name.clone(), kind: kind.clone() }),
        }
    }
}

/// The storage account that the URL of an Azure bucket names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureAccount {
    /// Name of the account.
    pub name: String,
    /// What follows it in the host, such as `blob.core.windows.net`.
    pub suffix: String,
}

impl Connection {
    /// The account in `wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/…` or
    /// `https://ACCOUNT.blob.core.windows.net/CONTAINER/…`. The reference drops it; here it stands in for a missing
    /// `AZURE_ACCOUNT_NAME`.
    pub fn azure_account(&self) -> Option<AzureAccount> {
        let Schema::Bucket { bucket } = self.schema() else { return None };
        let (scheme, rest) = bucket.split_once("://")?;
        let authority = rest.split('/').next()?;
        let host = match authority.split_once('@') {
            Some((_, host)) => host,
            None if scheme.starts_with("http") => authority,
            None => return None,
        };
        let (name, suffix) = host.split_once('.')?;
        if name.is_empty() || !suffix.starts_with("blob.") {
            return None;
        }
        Some(AzureAccount { name: name.to_owned(), suffix: suffix.to_owned() })
    }
}

fn trim_slashes(path: &str) -> &str {
    path.trim_end_matches('/')
}

/// `CONTAINER[/PATH]` of any of the three forms an Azure bucket is written in.
fn wasb_path(bucket: &str) -> Option<String> {
    let (scheme, rest) = bucket.split_once("://").unwrap_or(("", bucket));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_matches('/');
    let (container, path) = match host.split_once('@') {
        Some((container, _account)) => (container, path),
        None if scheme.starts_with("http") => path.split_once('/').unwrap_or((path, "")),
        None => (host, path),
    };
    if container.is_empty() {
        return None;
    }
    Some(if path.is_empty() { container.to_owned() } else { format!("{container}/{path}") })
}

/// The connections of one container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// In the order they were written.
    #[serde(default)]
    pub connections: Vec<Connection>,
}

impl Catalog {
    /// Parses the catalog's JSON.
    ///
    /// # Errors
    /// When it is no JSON of that shape. The text itself is not repeated: it may hold credentials.
    pub fn parse(raw: &str) -> Result<Self, ConnectionError> {
        let malformed = |error: serde_json::Error| ConnectionError::Catalog {
            // Of serde's message only the part that names no value.
            at: format!("line {} column {}", error.line(), error.column()),
            what: match error.classify() {
                serde_json::error::Category::Data => "a field is missing or has the wrong type",
                serde_json::error::Category::Eof => "it ends too early",
                _ => "it is not JSON",
            },
        };
        // Serde also takes a list for a struct; a list here is somebody's mistake.
        if !raw.trim_start().starts_with('{') {
            serde_json::from_str::<serde::de::IgnoredAny>(raw).map_err(malformed)?;
            return Err(ConnectionError::Catalog {
                at: "line 1 column 1".to_owned(),
                what: "it is no object",
            });
        }
        serde_json::from_str(raw).map_err(malformed)
    }

    /// Reads `POLYAXON_CONNECTIONS_CATALOG`; unset or empty is an empty catalog.
    ///
    /// # Errors
    /// As [`Catalog::parse`].
    pub fn from_env(env: &impl Env) -> Result<Self, ConnectionError> {
        env.non_empty(crate::env::CONNECTIONS_CATALOG)
            .map_or_else(|| Ok(Self::default()), |raw| Self::parse(&raw))
    }

    /// Finds a connection by name. An unknown name is an error, never the local disk.
    ///
    /// # Errors
    /// When no connection has that name; the error lists those there are.
    pub fn find(&self, name: &str) -> Result<&Connection, ConnectionError> {
        self.connections.iter().find(|connection| connection.name == name).ok_or_else(|| {
            ConnectionError::Unknown {
                name: name.to_owned(),
                known: self.connections.iter().map(|connection| connection.name.clone()).collect(),
            }
        })
    }
}

/// A connection that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// The catalog is malformed.
    #[error("POLYAXON_CONNECTIONS_CATALOG: {what} at {at}")]
    Catalog {
        /// Position in the text.
        at: String,
        /// What is wrong.
        what: &'static str,
    },
    /// No connection has that name.
    #[error("unknown connection `{name}`")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The schema does not fit the kind.
    #[error("connection `{name}` of kind {kind} has no schema {wanted}")]
    Schema {
        /// The connection.
        name: String,
        /// Its kind.
        kind: Kind,
        /// The shape that was wanted.
        wanted: &'static str,
    },
    /// The connection holds no artifacts.
    #[error("connection `{name}` of kind {kind} is no artifacts store")]
    NotAStore {
        /// The connection.
        name: String,
        /// Its kind.
        kind: Kind,
    },
}

impl Classified for ConnectionError {
    fn class(&self) -> Class {
        Class::Config
    }
    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Catalog { .. } => {
                "set it to {\"connections\":[{\"name\":…,\"kind\":…,\"schema\":{…}}]}".to_owned()
            }
            Self::Unknown { known, .. } if known.is_empty() => {
                "the catalog is empty: set POLYAXON_CONNECTIONS_CATALOG".to_owned()
            }
            Self::Unknown { known, .. } => format!("use one of the catalog's: {}", known.join(", ")),
            Self::Schema { .. } => {
                "correct the connection's schema in the deployment's configuration".to_owned()
            }
            Self::NotAStore { .. } => {
                "name a connection of kind s3, gcs, wasb, volume_claim or host_path".to_owned()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(json: &str) -> Connection {
        serde_json::from_str(json).expect("a connection")
    }

    #[test]
    fn every_schema_shape_is_known() {
        let cases = [
            (r#"{"name":"a","kind":"s3","schema":{"bucket":"s3://b/p/"}}"#, Ok("s3://b/p")),
            (r#"{"name":"a","kind":"gcs","schema":{"bucket":"gs://b"}}"#, Ok("gs://b")),
            (
                r#"{"name":"a","kind":"wasb","schema":{"bucket":"wasbs://c@acc.blob.core.windows.net/base/"}}"#,
                Ok("c/base"),
            ),
            (
                r#"{"name":"a","kind":"wasb","schema":{"bucket":"https://acc.blob.core.windows.net/c/p"}}"#,
                Ok("c/p"),
            ),
            (r#"{"name":"a","kind":"wasb","schema":{"bucket":"wasb://c/p"}}"#, Ok("c/p")),
            (
                r#"{"name":"a","kind":"volume_claim","schema":{"volumeClaim":"c","mountPath":"/data/2/","readOnly":true}}"#,
                Ok("/data/2"),
            ),
            (
                r#"{"name":"a","kind":"host_path","schema":{"hostPath":"/h","mountPath":"/data/1"}}"#,
                Ok("/data/1"),
            ),
            (r#"{"name":"a","kind":"s3","schema":{"mountPath":"/x"}}"#, Err(())),
            (r#"{"name":"a","kind":"s3"}"#, Err(())),
            (r#"{"name":"a","kind":"postgres","schema":{"any":1}}"#, Err(())),
        ];
        for (json, want) in cases {
            assert_eq!(connection(json).store_path().map_err(|_| ()), want.map(str::to_owned), "{json}");
        }
        let git = connection(r#"{"name":"g","kind":"git","schema":{"url":"u","flags":["--depth 1"]}}"#);
        assert_eq!(
            git.schema(),
            Schema::Git { url: "u".into(), revision: None, flags: vec!["--depth 1".into()] }
        );
        assert_eq!(connection(r#"{"name":"p","kind":"slack","schema":{"x":1}}"#).schema(), Schema::Free);
    }

    #[test]
    fn the_account_in_the_url_of_an_azure_bucket() {
        for (bucket, want) in [
            ("wasbs://c@acc.blob.core.windows.net/base", Some(("acc", "blob.core.windows.net"))),
            ("https://acc.blob.core.chinacloudapi.cn/c/p", Some(("acc", "blob.core.chinacloudapi.cn"))),
            ("wasb://c/p", None),
            ("c/p", None),
            ("https://minio:9000/c", None),
        ] {
            let found =
                connection(&format!(r#"{{"name":"a","kind":"wasb","schema":{{"bucket":"{bucket}"}}}}"#))
                    .azure_account();
            let found = found.as_ref().map(|account| (account.name.as_str(), account.suffix.as_str()));
            assert_eq!(found, want, "{bucket}");
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let catalog =
            Catalog::parse(r#"{"connections":[{"name":"a","kind":"s3"},{"name":"b","kind":"git"}]}"#)
                .expect("a catalog");
        let error = catalog.find("zz").expect_err("no such name");
        assert_eq!(error.to_string(), "unknown connection `zz`");
        assert_eq!(error.next_step().as_deref(), Some("use one of the catalog's: a, b"));
    }

    #[test]
    fn a_malformed_catalog_is_named_without_repeating_it() {
        for raw in ["{", "[]", r#"{"connections":[{"name":"a"}]}"#, r#"{"connections":[{"kind":"hunter2"}]}"#]
        {
            let error = Catalog::parse(raw).expect_err(raw);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
            assert_eq!(error.class(), Class::Config);
        }
    }

    #[test]
    fn debug_shows_no_schema_and_no_env() {
        let shown = format!(
            "{:?}",
            connection(
                r#"{"name":"a","kind":"s3","schema":{"aws_secret_access_key":"hunter2"},"env":{"K":"hunter2"}}"#
            )
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn env_in_its_three_forms() {
        for env in [r#"{"K":"v"}"#, r#"[["K","v"]]"#, r#"[{"name":"K","value":"v"}]"#] {
            let c = connection(&format!(r#"{{"name":"a","kind":"s3","env":{env}}}"#));
            assert_eq!(c.env_value("K").and_then(Value::as_str), Some("v"), "{env}");
            assert_eq!(c.env_value("k"), None);
        }
    }
}
