//! SSH.

use std::path::Path;

use plx_testkit::git::{KeyType, PASSPHRASE};
use plx_testkit::{GitRepo, GitSsh};
use tempfile::TempDir;

use crate::{clone_with, read};

/// Clones as ssh does it with that key and those known hosts.
fn clone_ssh(url: &str, key: &Path, known_hosts: &str) -> Result<TempDir, String> {
    let known = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(known.path(), known_hosts).unwrap();
    let ssh = format!(
        "ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -i {} \
         -o GlobalKnownHostsFile=/dev/null -o UserKnownHostsFile={}",
        key.display(),
        known.path().display()
    );
    clone_with(url, &[], &[("GIT_SSH_COMMAND", &ssh)])
}

#[tokio::test]
async fn it_lets_every_kind_of_key_in() {
    let (ssh, repo) = (GitSsh::start().await, GitRepo::sample());
    let url = ssh.url(&repo.path());
    for kind in KeyType::ALL {
        let folder = ssh.key_folder(kind, "id_some");
        assert_eq!(std::fs::read_link(folder.join("id_some")).unwrap(), Path::new("..data/id_some"));
        let copy = clone_ssh(&url, &folder.join("id_some"), &ssh.known_hosts_line(kind)).unwrap();
        assert_eq!(read(&copy, "a"), "2");
    }
    let known = ssh.known_hosts_line(KeyType::Rsa);
    let pem = ssh.secret_folder(&[("id_rsa", &ssh.pem_key()), ("known_hosts", &known)]);
    assert!(ssh.pem_key().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    clone_ssh(&url, &pem.join("id_rsa"), &std::fs::read_to_string(pem.join("known_hosts")).unwrap()).unwrap();
    assert_eq!((ssh.logins(), ssh.refusals(), ssh.connections()), (4, 0, 4), "{}", ssh.log());
}

#[tokio::test]
async fn it_refuses_strangers_and_counts_them() {
    let (ssh, repo) = (GitSsh::start().await, GitRepo::sample());
    let url = ssh.url(&repo.path());
    let known = ssh.known_hosts_line(KeyType::Ed25519);
    let stranger = ssh.secret_folder(&[("id_ed25519", &ssh.stranger_key(KeyType::Ed25519))]);
    let told = clone_ssh(&url, &stranger.join("id_ed25519"), &known).unwrap_err();
    assert!(told.contains("Permission denied"), "{told}");
    assert_eq!((ssh.logins(), ssh.refusals(), ssh.connections()), (0, 1, 1), "{}", ssh.log());
    // Nobody types the passphrase: the key is not shown.
    let locked = ssh.secret_folder(&[("id_rsa", &ssh.locked_key(KeyType::Rsa))]);
    assert!(clone_ssh(&url, &locked.join("id_rsa"), &known).unwrap_err().contains("Permission denied"));
    assert_eq!(ssh.logins(), 0);
}

#[tokio::test]
async fn it_knows_the_passphrase_of_its_locked_key() {
    let (ssh, folder) = (GitSsh::with_host_keys(&[KeyType::Ed25519]).await, tempfile::tempdir().unwrap());
    for kind in KeyType::ALL {
        let name = format!("{kind:?}");
        std::fs::write(folder.path().join(&name), ssh.locked_key(kind)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.path().join(&name), mode).unwrap();
        let open = |passphrase: &str| {
            let mut command = std::process::Command::new("ssh-keygen");
            command.current_dir(folder.path()).args(["-y", "-P", passphrase, "-f", &name]);
            command.output().unwrap().status.success()
        };
        assert_eq!((open(PASSPHRASE), open("wrong")), (true, false));
    }
}

#[tokio::test]
async fn it_shows_the_host_keys_it_was_given() {
    let (ssh, repo) = (GitSsh::with_host_keys(&[KeyType::Ecdsa]).await, GitRepo::sample());
    let (url, key) = (ssh.url(&repo.path()), ssh.key_folder(KeyType::Ed25519, "key").join("key"));
    clone_ssh(&url, &key, &ssh.known_hosts_line(KeyType::Ecdsa)).unwrap();
    for (known, what) in [
        (String::new(), "No ECDSA host key is known"),
        (ssh.false_known_hosts_line(KeyType::Ecdsa), "REMOTE HOST IDENTIFICATION HAS CHANGED"),
        (ssh.false_known_hosts_line(KeyType::Rsa), "HOST IDENTIFICATION HAS CHANGED"),
    ] {
        let told = clone_ssh(&url, &key, &known).unwrap_err();
        assert!(told.contains(what), "{told}");
    }
    assert_eq!(ssh.logins(), 1, "{}", ssh.log());
}
