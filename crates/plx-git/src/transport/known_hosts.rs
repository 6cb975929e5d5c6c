//! Whether a host's key is the one it should be.

use crate::GitError;
use crate::access::KnownHosts;
use russh::keys::known_hosts::known_host_keys_path;
use russh::keys::ssh_key::PublicKey;
use russh::keys::{Algorithm, HashAlg};
use std::path::Path;

/// The keys that are on record for one host.
pub(super) struct Known<'a> {
    at: String,
    source: &'a KnownHosts,
    keys: Vec<PublicKey>,
}

impl<'a> Known<'a> {
    /// Reads the record of a host.
    pub fn read(at: String, source: &'a KnownHosts, host: &str, port: u16) -> Result<Self, GitError> {
        let keys = match source {
            KnownHosts::None => Vec::new(),
            KnownHosts::Given(path) | KnownHosts::Found(path) => {
                let unusable = |why: String| unusable(path, why);
                // The library takes a file that cannot be read for an empty one.
                let text = std::fs::read_to_string(path)
                    .map_err(|error| unusable(format!("cannot be read: {error}")))?;
                if text.lines().any(|line| line.starts_with('@')) {
                    let words =
                        "has lines that begin with `@` (authorities, revoked keys), which are not understood";
                    return Err(unusable(words.to_owned()));
                }
                known_host_keys_path(host, port, path)
                    .map_err(|error| unusable(error.to_string()))?
                    .into_iter()
                    .map(|(_, key)| key)
                    .collect()
            }
        };
        Ok(Self { at, source, keys })
    }

    /// The kinds of key to ask for: those on record, so that a server with several shows the one that can be checked.
    pub fn kinds(&self) -> Option<Vec<Algorithm>> {
        let mut kinds = Vec::new();
        for key in &self.keys {
            match key.algorithm() {
                Algorithm::Rsa { .. } => {
                    let hashes = [Some(HashAlg::Sha512), Some(HashAlg::Sha256)];
                    kinds.extend(hashes.map(|hash| Algorithm::Rsa { hash }));
                }
                kind => kinds.push(kind),
            }
        }
        (!kinds.is_empty()).then_some(kinds)
    }

    /// Whether to go on with a host that shows this key.
    pub fn check(&self, shown: &PublicKey, line: &str) -> Result<(), GitError> {
        if self.keys.iter().any(|known| known.key_data() == shown.key_data()) {
            return Ok(());
        }
        let seen = format!("{} {}", shown.algorithm(), shown.fingerprint(HashAlg::Sha256));
        match self.source {
            KnownHosts::Given(path) | KnownHosts::Found(path) if !self.keys.is_empty() => {
                Err(GitError::NotTrusted {
                    at: self.at.clone(),
                    why: format!("the host shows the key {seen}, and {} has another one", path.display()),
                    next: "somebody may be in between; if the host has a new key, put it there".to_owned(),
                })
            }
            KnownHosts::Given(path) => Err(GitError::NotTrusted {
                at: self.at.clone(),
                why: format!("the host shows the key {seen}, and {} does not know it", path.display()),
                next: format!("if that is its key, add the line `{line}`"),
            }),
            KnownHosts::Found(_) | KnownHosts::None => {
                tracing::warn!(
                    "{}: the host's key {seen} is not checked; to pin it, put a file `known_hosts` beside the SSH key \
                     with the line `{line}`",
                    self.at
                );
                Ok(())
            }
        }
    }
}

fn unusable(path: &Path, why: String) -> GitError {
    GitError::Credentials {
        what: format!("known hosts {}", path.display()),
        why,
        next: "write one line per host key, as `ssh-keyscan` prints them".to_owned(),
    }
}
