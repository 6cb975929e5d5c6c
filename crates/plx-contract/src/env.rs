//! Every environment variable that is read or set, and where it comes from.
//!
//! The names are Polyaxon's (`polyaxon/env_vars/keys.py`); ours begin with `PLX_`.

use std::collections::BTreeMap;

/// Where settings come from: the process in `main`, a map in a test, one map per container in `plx-pod`.
pub trait Env {
    /// The value of `key`, or none when it is unset. An empty value is a value.
    fn get(&self, key: &str) -> Option<String>;

    /// Like [`Env::get`], with an empty value counted as unset.
    fn non_empty(&self, key: &str) -> Option<String> {
        self.get(key).filter(|value| !value.is_empty())
    }
}

/// An [`Env`] that whoever needs it later keeps a copy of.
pub trait SharedEnv: Env + Clone + Send + Sync + 'static {}
impl<E: Env + Clone + Send + Sync + 'static> SharedEnv for E {}

impl Env for BTreeMap<String, String> {
    fn get(&self, key: &str) -> Option<String> {
        BTreeMap::get(self, key).cloned()
    }
}

impl<E: Env + ?Sized> Env for &E {
    fn get(&self, key: &str) -> Option<String> {
        (**self).get(key)
    }
}

macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $name:ident = $key:literal;)*) => {
        $($(#[doc = $doc])+ pub const $name: &str = $key;)*
        /// Every key with what it means, in the order of this file: the source of the reference page.
        pub const ALL: &[(&str, &str)] = &[$(($key, concat!($($doc),+))),*];
    };
}

keys! {
    /// Root of everything shared in the pod; default `/plx-context`.
    CONTEXT_ROOT = "POLYAXON_CONTEXT_ROOT";
    /// The connections of this container: `{"connections":[…]}`.
    CONNECTIONS_CATALOG = "POLYAXON_CONNECTIONS_CATALOG";
    /// Name of the connection that is the artifacts store.
    ARTIFACTS_STORE_NAME = "POLYAXON_ARTIFACTS_STORE_NAME";
    /// `OWNER.PROJECT.runs.UUID`.
    RUN_INSTANCE = "POLYAXON_RUN_INSTANCE";
    /// Name of the pod.
    POD_ID = "POLYAXON_K8S_POD_ID";
    /// Name of the node.
    NODE_NAME = "POLYAXON_K8S_NODE_NAME";
    /// Namespace of the pod.
    NAMESPACE = "POLYAXON_K8S_NAMESPACE";
    /// Name of the main container.
    CONTAINER_ID = "POLYAXON_CONTAINER_ID";
    /// Where main writes its outputs, as a path.
    RUN_OUTPUTS_PATH = "POLYAXON_RUN_OUTPUTS_PATH";
    /// The run's data volumes: a JSON object, name to path or bucket.
    RUN_DATA_PATHS = "POLYAXON_RUN_DATA_PATHS";
    /// `true` when outputs are collected.
    COLLECT_ARTIFACTS = "POLYAXON_COLLECT_ARTIFACTS";
    /// `true` when resources are collected.
    COLLECT_RESOURCES = "POLYAXON_COLLECT_RESOURCES";
    /// `error`, `warning`, `info`, `debug`, in any case.
    LOG_LEVEL = "POLYAXON_LOG_LEVEL";
    /// A boolean; `true` is log level debug.
    DEBUG = "POLYAXON_DEBUG";
    /// A boolean; no call to the tracking API at all.
    NO_API = "POLYAXON_NO_API";
    /// File of CA certificates (PEM) that are trusted beside the system's: for stores, STS, the tracking API and git.
    SSL_CA_CERT = "POLYAXON_SSL_CA_CERT";
    /// `user:token` for a git repository's host, ready for a URL.
    GIT_CREDENTIALS = "POLYAXON_GIT_CREDENTIALS";
    /// File in the form of git's credential store: lines such as `https://user:token@host`.
    GIT_CREDENTIALS_STORE = "POLYAXON_GIT_CREDENTIALS_STORE";
    /// Folder with an SSH key, and `known_hosts` beside it.
    SSH_PATH = "POLYAXON_SSH_PATH";
    /// Name of the key in that folder; default the first of `id_rsa`, `id_ed25519`, `id_ecdsa`, `ssh-privatekey`.
    SSH_PRIVATE_KEY = "POLYAXON_SSH_PRIVATE_KEY";
    /// File of the host keys that SSH trusts, and no others; default `known_hosts` beside the SSH key.
    SSH_KNOWN_HOSTS = "PLX_SSH_KNOWN_HOSTS";
    /// File of CA certificates (PEM) that git trusts beside the system's.
    GIT_SSL_CAINFO = "GIT_SSL_CAINFO";
    /// A boolean; `true` leaves the certificates of git servers unchecked.
    GIT_SSL_NO_VERIFY = "GIT_SSL_NO_VERIFY";
    /// Seconds of silence after which a connection to a git server is given up; default 90.
    STALL_SECONDS = "PLX_STALL_SECONDS";
    /// Folder of the service account's token and CA; default where the kubelet mounts it.
    SERVICE_ACCOUNT_DIR = "PLX_SERVICE_ACCOUNT_DIR";
    /// `human` or `json`: the form of log lines; default human.
    LOG_FORMAT = "PLX_LOG_FORMAT";
    /// A boolean; absent inputs (never denied ones) pass.
    OPTIONAL_INPUTS = "PLX_OPTIONAL_INPUTS";
    /// Where the one-line report goes; default `/dev/termination-log` when that exists.
    TERMINATION_LOG = "PLX_TERMINATION_LOG";
    /// Seconds for which a passing failure is retried by init; default 300 for a store, 30 for a git server.
    RETRY_SECONDS = "PLX_RETRY_SECONDS";
    /// Bytes that all transfer buffers may take together; default from the memory limit, at most 24 MiB.
    BUFFER_BYTES = "PLX_BUFFER_BYTES";
    /// Seconds between SIGTERM and SIGKILL; default 30, as in Kubernetes.
    GRACE_SECONDS = "PLX_GRACE_SECONDS";
    /// Seconds the last pass may take after main ended by itself; default 1800.
    FINISH_SECONDS = "PLX_FINISH_SECONDS";
    /// Seconds without a sign of main's life and without a change on disk that count as its end; default 86400, 0: never.
    LIFELESS_SECONDS = "PLX_LIFELESS_SECONDS";
}

/// Reads a boolean the way Polyaxon does: `1 0 true false t f yes no y n on off`, any case.
///
/// # Errors
/// The value, when it is none of them; an empty value is one of those errors.
pub fn boolean(env: &impl Env, key: &'static str) -> Result<Option<bool>, EnvError> {
    let Some(raw) = env.get(key) else { return Ok(None) };
    parse_bool(&raw).map(Some).ok_or(EnvError { key, raw, wanted: "true or false" })
}

/// The boolean a text stands for, if it is one of Polyaxon's spellings.
pub fn parse_bool(raw: &str) -> Option<bool> {
    match raw.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Some(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

/// Reads a whole number.
///
/// # Errors
/// The value, when it is not a whole number.
pub fn number(env: &impl Env, key: &'static str) -> Result<Option<u64>, EnvError> {
    let Some(raw) = env.non_empty(key) else { return Ok(None) };
    match raw.trim().parse() {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(EnvError { key, raw, wanted: "a whole number" }),
    }
}

/// A variable whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {key} is `{raw}`, wanted {wanted}")]
pub struct EnvError {
    /// The variable.
    pub key: &'static str,
    /// Its value as it was found. None of these variables holds a secret.
    pub raw: String,
    /// What would have been accepted.
    pub wanted: &'static str,
}

impl crate::Classified for EnvError {
    fn class(&self) -> crate::Class {
        crate::Class::Config
    }
    fn next_step(&self) -> Option<String> {
        Some(format!("set {} to {} or unset it", self.key, self.wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_in_every_spelling_and_an_empty_one_is_an_error() {
        for (raw, want) in
            [("1", true), ("TRUE", true), ("y", true), ("off", false), ("F", false), ("No", false)]
        {
            let env = BTreeMap::from([(DEBUG.to_owned(), raw.to_owned())]);
            assert_eq!(boolean(&env, DEBUG), Ok(Some(want)), "{raw}");
        }
        assert_eq!(boolean(&BTreeMap::new(), DEBUG), Ok(None));
        for raw in ["", "maybe"] {
            let env = BTreeMap::from([(DEBUG.to_owned(), raw.to_owned())]);
            assert!(boolean(&env, DEBUG).is_err(), "{raw:?}");
        }
    }
}
