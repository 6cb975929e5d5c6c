//! Where a connection's credentials and settings are looked up (`vents`, CONTRACT of Polyaxon 2.18).
//!
//! For a logical key such as `AWS_ACCESS_KEY_ID` the sources are, first non-empty one wins:
//!
//! 1. a file of that name in the secret's mount, then in the config map's mount,
//! 2. the connection's schema (the reference reads it only when it has no bucket, and then has no bucket),
//! 3. the connection's own `env`,
//! 4. the process environment, plain and with the prefix `POLYAXON_`.
//!
//! In each source the spellings are tried as `UPPER_CASE`, `lower_case`, `lowersqueezed`; the reference's winner
//! among several depends on Python's hash seed. A trailing newline in a file is not part of the value.

use crate::connection::{Connection, Kind};
use crate::{Class, Classified, Env, env};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// Reads small files: mounted secrets. The caller brings it, because this crate touches no disk.
pub trait Files {
    /// The content of `path`, none when there is no such file.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    fn read(&self, path: &Path) -> std::io::Result<Option<String>>;
}

/// [`Files`] that whoever needs them later keeps a copy of.
pub trait SharedFiles: Files + Clone + Send + Sync + 'static {}
impl<F: Files + Clone + Send + Sync + 'static> SharedFiles for F {}

impl<F: Files + ?Sized> Files for &F {
    fn read(&self, path: &Path) -> std::io::Result<Option<String>> {
        (**self).read(path)
    }
}

/// Every logical key that opening a connection of this kind may look for.
pub fn keys(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind::S3 => &[
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SECURITY_TOKEN",
            "AWS_SESSION_TOKEN",
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
            "AWS_USE_SSL",
            "AWS_VERIFY_SSL",
            "AWS_CA_BUNDLE",
            "AWS_PROFILE",
            "AWS_DEFAULT_PROFILE",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_ASSUME_ROLE",
            "AWS_ROLE_ARN",
            "AWS_SESSION_NAME",
            "AWS_ROLE_SESSION_NAME",
            "AWS_EXTERNAL_ID",
            "AWS_SESSION_DURATION",
            "AWS_STS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_STS",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_EC2_METADATA_DISABLED",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        ],
        Kind::Gcs => &[
            "GC_PROJECT",
            "GOOGLE_PROJECT",
            "GC_PROJECT_ID",
            "GOOGLE_PROJECT_ID",
            "GC_KEY_PATH",
            "GOOGLE_KEY_PATH",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GC_KEYFILE_DICT",
            "GOOGLE_KEYFILE_DICT",
            "GC_SCOPES",
            "GOOGLE_SCOPES",
            "GCE_METADATA_HOST",
            "GCE_METADATA_ROOT",
            "GCE_METADATA_IP",
        ],
        Kind::Wasb => &[
            "AZURE_ACCOUNT_NAME",
            "AZURE_STORAGE_ACCOUNT_NAME",
            "AZURE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_CONNECTION_STRING",
            "AZURE_STORAGE_CONNECTION_STRING",
            "AZURE_SAS_TOKEN",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_STORAGE_ENDPOINT",
            "AZURE_STORAGE_BLOB_ENDPOINT",
            "AZURE_TENANT_ID",
            "AZURE_CLIENT_ID",
            "AZURE_CLIENT_SECRET",
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_AUTHORITY_HOST",
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            "IDENTITY_ENDPOINT",
            "IDENTITY_HEADER",
        ],
        Kind::Git | Kind::Ssh => {
            &[env::GIT_CREDENTIALS, env::GIT_CREDENTIALS_STORE, env::SSH_PATH, env::SSH_PRIVATE_KEY]
        }
        _ => &[],
    }
}

/// Where a value came from; printed by `doctor` and in errors, so it never holds the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file of the secret's mount.
    SecretFile(PathBuf),
    /// A file of the config map's mount.
    ConfigMapFile(PathBuf),
    /// A field of the connection's schema.
    Schema(String),
    /// A variable of the connection's own `env`.
    ConnectionEnv(String),
    /// A variable of the process.
    ProcessEnv(String),
}

impl Source {
    /// Both come from the same kind of place, so that they were meant to go together.
    pub fn is_beside(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecretFile(path) => write!(f, "secret file {}", path.display()),
            Self::ConfigMapFile(path) => write!(f, "config map file {}", path.display()),
            Self::Schema(key) => write!(f, "schema field {key}"),
            Self::ConnectionEnv(key) => write!(f, "connection env {key}"),
            Self::ProcessEnv(key) => write!(f, "environment variable {key}"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone)]
pub struct Found {
    /// The value; hidden from `Debug`.
    pub value: SecretString,
    /// Where it came from.
    pub source: Source,
}

impl Found {
    /// The value in clear.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }
}

/// The lookup for one connection.
pub struct Lookup<'a, E: ?Sized, F: ?Sized> {
    connection: &'a Connection,
    env: &'a E,
    files: &'a F,
}

impl<E: ?Sized, F: ?Sized> Clone for Lookup<'_, E, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: ?Sized, F: ?Sized> Copy for Lookup<'_, E, F> {}

impl<'a, E: Env + ?Sized, F: Files + ?Sized> Lookup<'a, E, F> {
    /// A lookup over the connection, the process environment and the file system.
    pub fn new(connection: &'a Connection, env: &'a E, files: &'a F) -> Self {
        Self { connection, env, files }
    }

    /// Finds the value of a logical key, in upper case.
    ///
    /// # Errors
    /// When a mounted file is there and cannot be read.
    pub fn find(&self, key: &str) -> Result<Option<Found>, CredentialError> {
        let spellings = spellings(key);
        let mounts = [
            (self.connection.secret.as_ref(), Source::SecretFile as fn(PathBuf) -> Source),
            (self.connection.config_map.as_ref(), Source::ConfigMapFile),
        ];
        for (resource, source) in mounts {
            let Some(mount) = resource.and_then(|resource| resource.mount_path.as_ref()) else { continue };
            for spelling in &spellings {
                let path = Path::new(mount).join(spelling);
                let content = self.files.read(&path).map_err(|error| CredentialError::Unreadable {
                    connection: self.connection.name.clone(),
                    path: path.clone(),
                    source: error.into(),
                })?;
                if let Some(found) =
                    content.and_then(|text| found(text.trim_end_matches(['\r', '\n']), source(path)))
                {
                    return Ok(Some(found));
                }
            }
        }
        let in_schema = |spelling: &String| {
            let value = self.connection.schema_field(spelling).and_then(scalar)?;
            found(&value, Source::Schema(spelling.clone()))
        };
        if let Some(found) = spellings.iter().find_map(in_schema) {
            return Ok(Some(found));
        }
        let in_connection = |spelling: &String| {
            let value = self.connection.env_value(spelling).and_then(scalar)?;
            found(&value, Source::ConnectionEnv(spelling.clone()))
        };
        if let Some(found) = spellings.iter().find_map(in_connection) {
            return Ok(Some(found));
        }
        for prefix in ["", "POLYAXON_"] {
            for spelling in &spellings {
                let name = format!("{prefix}{spelling}");
                if let Some(value) = self.env.get(&name)
                    && let Some(found) = found(&value, Source::ProcessEnv(name))
                {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Finds the first of several logical keys that has a value.
    ///
    /// # Errors
    /// As [`Lookup::find`].
    pub fn find_first(&self, keys: &[&str]) -> Result<Option<Found>, CredentialError> {
        for key in keys {
            if let Some(found) = self.find(key)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Finds a boolean setting.
    ///
    /// # Errors
    /// When the value is no boolean; it is no secret, but it is not repeated either.
    pub fn flag(&self, key: &'static str) -> Result<Option<bool>, CredentialError> {
        let Some(found) = self.find(key)? else { return Ok(None) };
        match crate::env::parse_bool(found.expose()) {
            Some(value) => Ok(Some(value)),
            None => Err(CredentialError::NotABoolean {
                connection: self.connection.name.clone(),
                key,
                from: found.source,
            }),
        }
    }
}

fn found(value: &str, source: Source) -> Option<Found> {
    (!value.is_empty()).then(|| Found { value: SecretString::from(value), source })
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        // A key file written out as an object.
        Value::Object(_) => Some(value.to_string()),
        Value::Array(_) | Value::Null => None,
    }
}

fn spellings(key: &str) -> [String; 3] {
    let lower = key.to_ascii_lowercase();
    let squeezed = lower.replace('_', "");
    [key.to_ascii_uppercase(), lower, squeezed]
}

/// A credential that cannot be used. Never holds the credential.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialError {
    /// A mounted file cannot be read.
    #[error("connection `{connection}`: read {}", path.display())]
    Unreadable {
        /// The connection.
        connection: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::sync::Arc<std::io::Error>,
    },
    /// A switch that is neither on nor off.
    #[error("connection `{connection}`: {key} from {from} is neither true nor false")]
    NotABoolean {
        /// The connection.
        connection: String,
        /// The logical key.
        key: &'static str,
        /// Where it was found.
        from: Source,
    },
    /// A part of a set of credentials is missing.
    #[error("connection `{connection}`: {have} is set and {missing} is not")]
    Partial {
        /// The connection.
        connection: String,
        /// What was found.
        have: String,
        /// What was not.
        missing: &'static str,
    },
    /// No credentials at all.
    #[error("connection `{connection}`: no credentials ({looked})")]
    None {
        /// The connection.
        connection: String,
        /// The keys and places that were tried.
        looked: String,
    },
    /// A value that cannot be what it should be.
    #[error("connection `{connection}`: {what} {why}")]
    Malformed {
        /// The connection.
        connection: String,
        /// The key and where it was found.
        what: String,
        /// What is wrong with it; never the value.
        why: String,
        /// What to do.
        next: &'static str,
    },
}

impl Classified for CredentialError {
    fn class(&self) -> Class {
        Class::Config
    }
    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "check the mode and owner of the mounted secret".to_owned(),
            Self::NotABoolean { key, .. } => format!("set {key} to true or false"),
            Self::Partial { missing, .. } => format!("set {missing} in the same place"),
            Self::Malformed { next, .. } => (*next).to_owned(),
            Self::None { .. } => "set the keys in the connection's secret, or in the environment".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Mounted(BTreeMap<PathBuf, String>);
    impl Files for Mounted {
        fn read(&self, path: &Path) -> std::io::Result<Option<String>> {
            Ok(self.0.get(path).cloned())
        }
    }

    #[track_caller]
    fn check(connection: &str, env: &[(&str, &str)], files: &[(&str, &str)], key: &str, want: Option<&str>) {
        let connection: Connection = serde_json::from_str(connection).expect("a connection");
        let env: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let files = Mounted(files.iter().map(|(k, v)| (PathBuf::from(k), (*v).into())).collect());
        let found = Lookup::new(&connection, &env, &files).find(key).expect("readable");
        assert_eq!(found.as_ref().map(Found::expose), want);
        assert!(!format!("{found:?}").contains(want.unwrap_or("\0")), "Debug shows the value");
    }

    const PLAIN: &str = r#"{"name":"s","kind":"s3","schema":{"bucket":"s3://b"}}"#;
    const MOUNTED: &str = r#"{"name":"s","kind":"s3","schema":{"bucket":"s3://b"},
        "secret":{"name":"x","mountPath":"/sec"},"configMap":{"name":"y","mountPath":"/cm"},"env":{"AWS_REGION":"near"}}"#;

    #[test]
    fn the_sources_in_their_order() {
        let env = [("AWS_REGION", "proc"), ("POLYAXON_AWS_REGION", "longer")];
        let files = [("/sec/AWS_REGION", "one\n"), ("/cm/AWS_REGION", "two\n")];
        check(MOUNTED, &env, &files, "AWS_REGION", Some("one"));
        check(MOUNTED, &env, &files[1..], "AWS_REGION", Some("two"));
        check(MOUNTED, &env, &[], "AWS_REGION", Some("near"));
        check(PLAIN, &env, &[], "AWS_REGION", Some("proc"));
        check(PLAIN, &env[1..], &[], "AWS_REGION", Some("longer"));
        check(PLAIN, &[], &[], "AWS_REGION", None);
    }

    #[test]
    fn each_spelling_and_upper_case_first() {
        let all = [("AWS_ACCESS_KEY_ID", "V1"), ("aws_access_key_id", "V2"), ("awsaccesskeyid", "V3")];
        check(PLAIN, &all, &[], "AWS_ACCESS_KEY_ID", Some("V1"));
        check(PLAIN, &all[1..], &[], "AWS_ACCESS_KEY_ID", Some("V2"));
        check(PLAIN, &all[2..], &[], "AWS_ACCESS_KEY_ID", Some("V3"));
        check(MOUNTED, &all, &[("/sec/awsaccesskeyid", "V4\r\n")], "AWS_ACCESS_KEY_ID", Some("V4"));
    }

    #[test]
    fn the_schema_is_read_and_an_empty_value_is_none() {
        let bucket = r#"{"name":"s","kind":"s3","schema":{"bucket":"s3://b","aws_region":"of it"}}"#;
        check(bucket, &[("AWS_REGION", "proc")], &[], "AWS_REGION", Some("of it"));
        check(PLAIN, &[("AWS_REGION", ""), ("aws_region", "lower")], &[], "AWS_REGION", Some("lower"));
    }
}
