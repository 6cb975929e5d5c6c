//! A server of git over SSH: the real sshd.

mod keys;
mod sshd;

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;

use self::keys::Key;
pub use self::keys::KeyType;
use super::inetd::Inetd;
use crate::http_server::lock;

/// What [`GitSsh::locked_key`] wants.
pub const PASSPHRASE: &str = "pass phrase";

/// A running sshd that lets this process's user in, to all repositories of this machine, by keys of its own.
///
/// Dropping it closes its port and all connections. It forgives a hundred wrong keys on one connection, so that clients
/// must end by themselves.
#[derive(Debug)]
pub struct GitSsh {
    inetd: Inetd,
    folder: TempDir,
    user: String,
    host_keys: Vec<(KeyType, Key)>,
    client_keys: Mutex<HashMap<&'static str, Key>>,
    secrets: Mutex<usize>,
}

impl GitSsh {
    /// One on a free port with a host key of each kind.
    ///
    /// # Panics
    /// When sshd is not installed, or the machine gives no folder or port.
    pub async fn start() -> Self {
        Self::with_host_keys(&KeyType::ALL).await
    }

    /// One that has these kinds of host keys alone.
    ///
    /// # Panics
    /// As [`GitSsh::start`].
    pub async fn with_host_keys(kinds: &[KeyType]) -> Self {
        let host_keys: Vec<_> = kinds.iter().map(|&kind| (kind, Key::new(kind))).collect();
        let folder = TempDir::with_prefix("plx-git-ssh-").expect("a temporary folder");
        let inetd = sshd::start(folder.path(), &host_keys);
        let (client_keys, secrets) = (Mutex::default(), Mutex::default());
        Self { inetd, folder, user: sshd::user(), host_keys, client_keys, secrets }
    }

    /// As `ssh://USER@127.0.0.1:PORT/PATH` for a repository of this machine.
    pub fn url(&self, repo: &Path) -> String {
        format!("ssh://{}@{}{}", self.user, self.addr(), repo.display())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.inetd.addr()
    }

    /// Who is let in: the user of this process.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// A private key that is let in, in OpenSSH's own format.
    pub fn key(&self, kind: KeyType) -> String {
        self.welcome(kind.name(), || Key::new(kind)).private
    }

    /// An RSA key that is let in, in the older format: `BEGIN RSA PRIVATE KEY`.
    pub fn pem_key(&self) -> String {
        self.welcome("pem", || Key::pem(KeyType::Rsa)).private
    }

    /// A private key that is let in and wants [`PASSPHRASE`].
    pub fn locked_key(&self, kind: KeyType) -> String {
        let name = match kind {
            KeyType::Ed25519 => "locked-ed25519",
            KeyType::Ecdsa => "locked-ecdsa",
            KeyType::Rsa => "locked-rsa",
        };
        self.welcome(name, || Key::locked(kind, PASSPHRASE)).private
    }

    /// A good private key that is not let in.
    pub fn stranger_key(&self, kind: KeyType) -> String {
        Key::new(kind).private
    }

    /// A new folder as Kubernetes mounts a secret, with [`GitSsh::key`] as that file, as `id_rsa`.
    pub fn key_folder(&self, kind: KeyType, file_name: &str) -> PathBuf {
        self.secret_folder(&[(file_name, &self.key(kind))])
    }

    /// A new folder as Kubernetes mounts a secret: its files are links through `..data`, and their mode is 0400.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn secret_folder(&self, files: &[(&str, &str)]) -> PathBuf {
        let number = {
            let mut secrets = lock(&self.secrets);
            *secrets += 1;
            *secrets
        };
        let mount = self.folder.path().join(format!("secret-{number}"));
        let version = "..2024_01_02_03_04_05.678901234";
        fs::create_dir_all(mount.join(version)).expect("a new folder");
        symlink(version, mount.join("..data")).expect("a new link");
        for (name, text) in files {
            write(&mount.join(version).join(name), text);
            symlink(Path::new("..data").join(name), mount.join(name)).expect("a new link");
        }
        mount
    }

    /// The line of `known_hosts` for a host key of this server.
    ///
    /// # Panics
    /// When it has no host key of that kind.
    pub fn known_hosts_line(&self, kind: KeyType) -> String {
        let key = self.host_keys.iter().find(|(have, _)| *have == kind);
        self.known_host(&key.expect("a host key of that kind").1)
    }

    /// A line of `known_hosts` for this server with a key that is not its own, as after an attack.
    pub fn false_known_hosts_line(&self, kind: KeyType) -> String {
        self.known_host(&Key::new(kind))
    }

    /// What sshd said so far. Waits until all clients are gone, so that nothing is missing.
    ///
    /// # Panics
    /// When a client is still there after a minute.
    pub fn log(&self) -> String {
        self.inetd.settle();
        fs::read_to_string(sshd::log_file(self.folder.path())).unwrap_or_default()
    }

    /// How many clients came so far.
    pub fn connections(&self) -> usize {
        self.inetd.connections()
    }

    /// How often a key was let in so far. Waits as [`GitSsh::log`] does.
    pub fn logins(&self) -> usize {
        self.log().matches("Accepted publickey for ").count()
    }

    /// How often a key was not let in so far. Waits as [`GitSsh::log`] does.
    pub fn refusals(&self) -> usize {
        self.log().matches("Failed publickey for ").count()
    }

    fn known_host(&self, key: &Key) -> String {
        format!("[{}]:{} {}\n", self.addr().ip(), self.addr().port(), key.public)
    }

    /// A key by its name, which is let in from the time that it is first asked for.
    fn welcome(&self, name: &'static str, make: impl FnOnce() -> Key) -> Key {
        let mut keys = lock(&self.client_keys);
        let key = keys.entry(name).or_insert_with(make).clone();
        let lines: Vec<_> = keys.values().map(|key| format!("{}\n", key.public)).collect();
        fs::write(sshd::authorized_keys(self.folder.path()), lines.concat()).expect("a file can be written");
        key
    }
}

/// A new file as ssh wants its keys.
fn write(file: &Path, text: &str) {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o400).open(file).expect("a new file");
    std::io::Write::write_all(&mut file, text.as_bytes()).expect("a file can be written");
}
