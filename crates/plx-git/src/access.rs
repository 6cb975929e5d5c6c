//! What this container was given to reach repositories with.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `POLYAXON_GIT_CREDENTIALS` | `user:token`, ready for a URL: for the main repository's host |
//! | `POLYAXON_GIT_CREDENTIALS_STORE` | a file in the form of git's credential store: for every host in it |
//! | `POLYAXON_SSH_PATH`, `POLYAXON_SSH_PRIVATE_KEY` | folder with a key, and the key's name; default the first of [`KEYS`] |
//! | `PLX_SSH_KNOWN_HOSTS` | the host keys to trust; default `known_hosts` beside the key |
//!
//! From `polyaxon/_init/git.py` and `polyaxon/_k8s/converter` (connection kinds `git` and `ssh`).

use crate::address::{Address, Login, Means};
use crate::{GitError, address};
use plx_contract::credential::Files;
use plx_contract::network::{CaBundle, Network, ca_bundle};
use plx_contract::{Env, env};
use secrecy::{ExposeSecret, SecretString};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Names of keys that are looked for when none is named; the first that is there is taken.
pub const KEYS: &[&str] = &["id_rsa", "id_ed25519", "id_ecdsa", "ssh-privatekey"];

/// Seconds for which a passing failure is tried again, unless `PLX_RETRY_SECONDS` says otherwise. Shorter than for a
/// store: an address with a typing error fails like a server that is away.
const PATIENCE: u64 = 30;
/// Silence on a connection that is taken for its end.
const STALL: u64 = 90;

/// What this container was given.
#[derive(Debug, Clone)]
pub struct Access {
    pub(crate) network: Network,
    pub(crate) credentials: Option<SecretString>,
    pub(crate) stores: Vec<PathBuf>,
    pub(crate) ssh: Option<PathBuf>,
    pub(crate) key: Option<String>,
    pub(crate) known_hosts: KnownHosts,
    pub(crate) verify: bool,
    pub(crate) patience: Duration,
    pub(crate) stall: Duration,
}

/// Where the keys of hosts are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KnownHosts {
    /// A host that is not in it is refused.
    Given(PathBuf),
    /// Of this user or machine: a host that is not in it is taken, one with another key is not.
    Found(PathBuf),
    /// There is none.
    None,
}

impl Access {
    /// Reads the variables, and looks which of the files they name are there.
    ///
    /// # Errors
    /// When a variable, a certificate or a file that must be there cannot be used.
    pub fn read(env: &impl Env, files: &impl Files) -> Result<Self, GitError> {
        let mut network = Network::read(env, files)?;
        if let Some(path) = env.non_empty(env::GIT_SSL_CAINFO) {
            let bundle = ca_bundle(env::GIT_SSL_CAINFO, &path, files)?;
            network.ca.push(bundle);
        }
        let store = env.non_empty(env::GIT_CREDENTIALS_STORE).map(PathBuf::from);
        let home = env.non_empty("HOME").map(|home| Path::new(&home).join(".ssh"));
        let ssh = env.non_empty(env::SSH_PATH).map(PathBuf::from).filter(|path| path.exists());
        let seconds =
            |key, default| env::number(env, key).map(|given| Duration::from_secs(given.unwrap_or(default)));
        Ok(Self {
            network,
            credentials: env.get(env::GIT_CREDENTIALS).map(|raw| SecretString::from(raw.trim())),
            // One that is not there is no means: so it is in Polyaxon, and pods mount it as optional.
            stores: store.into_iter().filter(|path| path.exists()).collect(),
            known_hosts: known_hosts(env, ssh.as_deref(), home.as_deref())?,
            ssh,
            key: env.non_empty(env::SSH_PRIVATE_KEY),
            verify: !env::boolean(env, env::GIT_SSL_NO_VERIFY)?.unwrap_or(false),
            patience: seconds(env::RETRY_SECONDS, PATIENCE)?,
            stall: seconds(env::STALL_SECONDS, STALL)?,
        })
    }

    /// By what a URL is rewritten.
    pub(crate) fn means(&self) -> Means {
        Means {
            credentials: self.credentials.clone(),
            store: !self.stores.is_empty(),
            ssh: self.ssh.is_some(),
        }
    }

    /// A login with what a credential store adds to it: all of it, or the password of a user who has none.
    pub(crate) fn complete(&self, wanted: &Address, given: Option<Login>) -> Result<Option<Login>, GitError> {
        match given {
            Some(login) if !login.password.expose_secret().is_empty() => Ok(Some(login)),
            given => {
                let user = given.as_ref().map(|login| login.user.as_str());
                Ok(self.stored(wanted, user)?.or(given))
            }
        }
    }

    fn stored(&self, wanted: &Address, user: Option<&str>) -> Result<Option<Login>, GitError> {
        if !wanted.scheme.is_http() {
            return Ok(None);
        }
        for path in &self.stores {
            let wrong = |why: String| GitError::Credentials {
                what: format!("credential store {}", path.display()),
                why,
                next: "mount a file with lines like https://user:token@host".to_owned(),
            };
            let text = fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
            {
                // As git: what is no URL with a login is passed over.
                // Git writes the colon before a port in its encoded form.
                let (who, host) = line.rsplit_once('@').unwrap_or(("", line));
                let line = format!("{who}@{}", host.replace("%3a", ":").replace("%3A", ":"));
                let Ok((entry, Some(login))) = address::parse(&line) else { continue };
                let below = entry.path.trim_matches('/');
                let path = wanted.path.trim_start_matches('/');
                let fits = below.is_empty() || path == below || path.trim_end_matches(".git") == below;
                if entry.same_host(wanted) && fits && user.is_none_or(|user| user == login.user) {
                    return Ok(Some(login));
                }
            }
        }
        Ok(None)
    }

    /// A CA bundle that a flag names.
    pub(crate) fn trust(&mut self, bundle: CaBundle) {
        self.network.ca.push(bundle);
    }
}

fn known_hosts(env: &impl Env, ssh: Option<&Path>, home: Option<&Path>) -> Result<KnownHosts, GitError> {
    if let Some(path) = env.non_empty(env::SSH_KNOWN_HOSTS).map(PathBuf::from) {
        if !path.is_file() {
            return Err(GitError::Credentials {
                what: format!("{}: {}", env::SSH_KNOWN_HOSTS, path.display()),
                why: "there is no such file".to_owned(),
                next: "mount it, or unset the variable to accept every host key".to_owned(),
            });
        }
        return Ok(KnownHosts::Given(path));
    }
    let given = ssh.map(|folder| folder.join("known_hosts")).filter(|path| path.is_file());
    if let Some(path) = given {
        return Ok(KnownHosts::Given(path));
    }
    let found = [home.map(|folder| folder.join("known_hosts")), Some("/etc/ssh/ssh_known_hosts".into())];
    let found = found.into_iter().flatten().find(|path| path.is_file());
    Ok(found.map_or(KnownHosts::None, KnownHosts::Found))
}
