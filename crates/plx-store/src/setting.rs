//! What a connection is opened with, kept for as long as it is open: mounted secrets are read again when they rotate.

use crate::StoreError;
use plx_contract::Env;
use plx_contract::connection::Connection;
use plx_contract::credential::{CredentialError, Files, Found, Lookup, SharedFiles};
use plx_contract::env::SharedEnv;
use plx_contract::network::Network;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A connection in its container.
#[derive(Clone)]
pub(crate) struct Setting {
    pub connection: Arc<Connection>,
    env: Arc<dyn Env + Send + Sync>,
    files: Arc<dyn Files + Send + Sync>,
}

impl Setting {
    pub fn new(connection: &Connection, env: &impl SharedEnv, files: &impl SharedFiles) -> Self {
        Self {
            connection: Arc::new(connection.clone()),
            env: Arc::new(env.clone()),
            files: Arc::new(files.clone()),
        }
    }

    pub fn name(&self) -> &str {
        &self.connection.name
    }

    fn lookup(&self) -> Lookup<'_, dyn Env + Send + Sync, dyn Files + Send + Sync> {
        Lookup::new(&self.connection, &*self.env, &*self.files)
    }

    pub fn find(&self, key: &str) -> Result<Option<Found>, CredentialError> {
        self.lookup().find(key)
    }

    pub fn find_first(&self, keys: &[&str]) -> Result<Option<Found>, CredentialError> {
        self.lookup().find_first(keys)
    }

    /// The value alone, where it does not matter where it came from.
    pub fn text(&self, key: &str) -> Result<Option<String>, CredentialError> {
        Ok(self.find(key)?.map(|found| found.expose().to_owned()))
    }

    pub fn flag(&self, key: &'static str) -> Result<Option<bool>, CredentialError> {
        self.lookup().flag(key)
    }

    /// A whole number of seconds.
    pub fn seconds(&self, key: &'static str) -> Result<Option<u64>, CredentialError> {
        let Some(found) = self.find(key)? else { return Ok(None) };
        found.expose().trim().parse().map(Some).map_err(|_| {
            self.malformed(format!("{key} from {}", found.source), "is no whole number", "give it in seconds")
        })
    }

    pub fn network(&self) -> Result<Network, StoreError> {
        Ok(Network::read(&*self.env, &*self.files)?)
    }

    pub fn env(&self) -> &(dyn Env + Send + Sync) {
        &*self.env
    }

    pub fn files(&self) -> &(dyn Files + Send + Sync) {
        &*self.files
    }

    /// A file that was named by `what`; an error when it is not there. What does not look like a path is not repeated: it
    /// may be the credential itself, in the variable that should name its file.
    pub fn file(&self, what: &str, path: &Path) -> Result<String, CredentialError> {
        if !looks_like_a_path(path) {
            return Err(self.malformed(
                what.to_owned(),
                "holds no path",
                "name a file there; a key itself belongs into the variable for it, such as GC_KEYFILE_DICT",
            ));
        }
        match self.files.read(path) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(self.malformed(
                format!("{what}: {}", path.display()),
                "does not exist",
                "mount it in this container, or correct the path",
            )),
            Err(error) => Err(CredentialError::Unreadable {
                connection: self.name().to_owned(),
                path: path.to_owned(),
                source: error.into(),
            }),
        }
    }

    /// A file below the home folder.
    pub fn home(&self, below: &str) -> Option<PathBuf> {
        Some(Path::new(&self.env.non_empty("HOME")?).join(below))
    }

    pub fn malformed(&self, what: String, why: impl Into<String>, next: &'static str) -> CredentialError {
        CredentialError::Malformed { connection: self.name().to_owned(), what, why: why.into(), next }
    }

    pub fn partial(&self, have: &Found, key: &str, missing: &'static str) -> CredentialError {
        CredentialError::Partial {
            connection: self.name().to_owned(),
            have: format!("{key} ({})", have.source),
            missing,
        }
    }
}

/// Short, of one word, and with a folder in it or of a plain name.
fn looks_like_a_path(path: &Path) -> bool {
    const LONGEST: usize = 255;
    path.to_str().is_some_and(|text| {
        let named = text.contains('/') || text.contains('.');
        let odd = text.chars().any(|c| c.is_control() || c == '{' || c == '"') || text.contains("-----");
        named && !odd && !text.starts_with("eyJ") && text.len() <= LONGEST
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_place_of_its_path_is_no_path() {
        for path in ["/sec/key.json", "key.json", "./key", "/a b/key"] {
            assert!(looks_like_a_path(Path::new(path)), "{path}");
        }
        let long = "a/".repeat(200);
        for secret in [
            "{\"private_key\":\"x/y\"}",
            "eyJhbGciOiJSUzI1NiJ9.e30.abc/d",
            "-----BEGIN PRIVATE KEY-----/",
            "s3cret",
            &long,
        ] {
            assert!(!looks_like_a_path(Path::new(secret)), "{secret}");
        }
    }
}
