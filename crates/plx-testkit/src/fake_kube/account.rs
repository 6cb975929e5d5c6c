//! The service account of a pod: a folder, as the kubelet mounts it.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::{FakeKube, Planted, PrivateCa};

#[derive(Debug)]
pub(super) struct Account {
    folder: TempDir,
    ca: PrivateCa,
}

impl Account {
    pub(super) fn new() -> Self {
        let (folder, ca) = (TempDir::new().expect("a temporary folder"), PrivateCa::new());
        ca.write_to(&folder.path().join("ca.crt")).expect("writes the authority");
        fs::write(folder.path().join("namespace"), FakeKube::NAMESPACE).expect("writes the namespace");
        let account = Self { folder, ca };
        account.rotate();
        account
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn ca(&self) -> &PrivateCa {
        &self.ca
    }

    pub(super) fn token(&self) -> String {
        fs::read_to_string(self.folder().join("token")).expect("its token")
    }

    /// Writes a new token, by a rename as the kubelet does, and plants it.
    pub(super) fn rotate(&self) -> String {
        let token = format!("account-token-{:016x}", fastrand::u64(..));
        Planted::here().plant(&token);
        let whole = self.folder().join("..token");
        fs::write(&whole, &token)
            .and_then(|()| fs::rename(&whole, self.folder().join("token")))
            .expect("writes");
        token
    }
}
