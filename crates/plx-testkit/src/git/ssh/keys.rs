//! Keys that the real ssh-keygen makes.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::git::program::find;

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// As `id_ed25519`.
    Ed25519,
    /// As `id_ecdsa`, on P-256.
    Ecdsa,
    /// As `id_rsa`, of 2048 bits.
    Rsa,
}

impl KeyType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ed25519, Self::Ecdsa, Self::Rsa];

    /// As ssh-keygen says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
        }
    }
}

/// Both halves of a key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// The whole file.
    pub private: String,
    /// Type and key, as `known_hosts` and `authorized_keys` have it.
    pub public: String,
}

impl Key {
    /// A new one, in OpenSSH's own format.
    pub(super) fn new(kind: KeyType) -> Self {
        Self::with(kind, "", &[])
    }

    /// A new one that wants a passphrase.
    pub(super) fn locked(kind: KeyType, passphrase: &str) -> Self {
        Self::with(kind, passphrase, &[])
    }

    /// A new one in the older format, as `BEGIN RSA PRIVATE KEY`.
    pub(super) fn pem(kind: KeyType) -> Self {
        Self::with(kind, "", &["-m", "PEM"])
    }

    fn with(kind: KeyType, passphrase: &str, more: &[&str]) -> Self {
        let folder = TempDir::with_prefix("plx-key-").expect("a temporary folder");
        let file = folder.path().join("key");
        let mut command = Command::new(find("ssh-keygen", "openssh-client"));
        command.args(["-q", "-C", "plx-test", "-N", passphrase, "-t", kind.name()]).args(more);
        if kind == KeyType::Rsa {
            command.args(["-b", "2048"]);
        }
        let made = command.arg("-f").arg(&file).output().expect("ssh-keygen can be started");
        assert!(made.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&made.stderr));
        let read = |file: &Path| fs::read_to_string(file).expect("ssh-keygen writes a key");
        let public = read(&file.with_extension("pub"));
        let public = public.rsplit_once(" plx-test").expect("a comment stands at the end").0;
        Self { private: read(&file), public: public.to_owned() }
    }
}
