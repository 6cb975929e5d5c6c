//! `git-upload-pack` at the other end of an SSH connection.

use super::known_hosts::Known;
use super::{Conversation, chain};
use crate::GitError;
use crate::access::KEYS;
use bytes::Bytes;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use russh::client::{self, AuthResult, Handle, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, decode_secret_key};
use russh::{Channel, ChannelMsg};
use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(10);
const ALIVE: Duration = Duration::from_secs(15);
/// Of what the other side says on stderr.
const SAID: usize = 2048;

pub(super) struct Ssh {
    talk: Arc<Conversation>,
}

impl Ssh {
    pub fn new(talk: Arc<Conversation>) -> Self {
        Self { talk }
    }
}

impl SmartSubtransport for Ssh {
    fn action(&self, _: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        match action {
            // The second goes on with the stream of the first.
            Service::UploadPackLs | Service::UploadPack => {
                Ok(Box::new(self.talk.wait_for_library(open(&self.talk))?))
            }
            Service::ReceivePackLs | Service::ReceivePack => {
                Err(git2::Error::from_str("nothing is pushed from here"))
            }
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

struct Stream {
    talk: Arc<Conversation>,
    channel: Channel<Msg>,
    /// The connection lasts as long as this.
    _connection: Handle<Host>,
    left: Bytes,
    said: Vec<u8>,
    heard: bool,
    /// How the program at the other end ended.
    status: Option<u32>,
    /// Nothing more comes from it.
    over: bool,
}

/// The other side, as it shows itself.
struct Host {
    talk: Arc<Conversation>,
}

#[derive(Debug)]
enum Broken {
    Git(Box<GitError>),
    Ssh(russh::Error),
}

impl From<russh::Error> for Broken {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl client::Handler for Host {
    type Error = Broken;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Broken> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let address = &self.talk.address;
        let (host, port) = address.host_port().unwrap_or_default();
        let name = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
        let line = format!("{name} {}", key.to_openssh().unwrap_or_default());
        let known = Known::read(address.to_string(), &self.talk.session.access.known_hosts, host, port);
        known.and_then(|known| known.check(key, &line)).map_err(|error| Broken::Git(Box::new(error)))?;
        Ok(true)
    }
}

impl Conversation {
    fn broken(&self, error: Broken) -> GitError {
        match error {
            Broken::Git(error) => *error,
            Broken::Ssh(error) => self.unavailable(format!("ssh: {}", chain(&error))),
        }
    }
}

async fn open(talk: &Arc<Conversation>) -> Result<Stream, GitError> {
    let address = &talk.address;
    let (host, port) = address.host_port().unwrap_or_default();
    let keys = keys(talk)?;
    let known = Known::read(address.to_string(), &talk.session.access.known_hosts, host, port)?;
    let mut config = client::Config {
        nodelay: true,
        inactivity_timeout: Some(talk.session.access.stall),
        keepalive_interval: Some(ALIVE),
        ..client::Config::default()
    };
    if let Some(kinds) = known.kinds() {
        config.preferred.key = Cow::Owned(kinds);
    }
    let connecting = client::connect(Arc::new(config), (host, port), Host { talk: Arc::clone(talk) });
    let mut connection = match tokio::time::timeout(CONNECT, connecting).await {
        Ok(made) => made.map_err(|error| talk.broken(error))?,
        Err(_) => return Err(talk.unavailable(format!("no connection within {} s", CONNECT.as_secs()))),
    };
    authenticate(talk, &mut connection, keys).await?;
    let failed = |error: russh::Error| talk.broken(Broken::Ssh(error));
    let channel = connection.channel_open_session().await.map_err(failed)?;
    let path = path(talk)?;
    channel.exec(true, format!("git-upload-pack {}", quoted(&path))).await.map_err(failed)?;
    Ok(Stream {
        talk: Arc::clone(talk),
        channel,
        _connection: connection,
        left: Bytes::new(),
        said: Vec::new(),
        heard: false,
        status: None,
        over: false,
    })
}

async fn authenticate(
    talk: &Conversation,
    connection: &mut Handle<Host>,
    keys: Vec<(PathBuf, PrivateKey)>,
) -> Result<(), GitError> {
    let failed = |error: russh::Error| talk.broken(Broken::Ssh(error));
    let user = talk.address.user.as_deref().unwrap_or("git");
    let mut tried = Vec::new();
    for (path, key) in keys {
        let hash = match key.algorithm().is_rsa() {
            true => connection.best_supported_rsa_hash().await.map_err(failed)?.flatten(),
            false => None,
        };
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        match connection.authenticate_publickey(user, key).await.map_err(failed)? {
            AuthResult::Success => return Ok(()),
            AuthResult::Failure { .. } => tried.push(path.display().to_string()),
        }
    }
    Err(GitError::Denied {
        at: talk.address.to_string(),
        why: format!("the server does not let user `{user}` in with the key {}", tried.join(" or ")),
        next: "put the key's public half on the server (a deploy key will do), or mount another key"
            .to_owned(),
    })
}

/// The keys to try: the one that is named, else every usual one that is there.
fn keys(talk: &Conversation) -> Result<Vec<(PathBuf, PrivateKey)>, GitError> {
    let access = &talk.session.access;
    let wrong = |what: String, why: String| {
        GitError::Credentials {
        what,
        why,
        next: "mount a private key without a passphrase (ed25519, ecdsa or rsa) and name its folder in POLYAXON_SSH_PATH, \
               its file in POLYAXON_SSH_PRIVATE_KEY"
            .to_owned(),
    }
    };
    let Some(folder) = &access.ssh else {
        return Err(wrong(
            talk.address.to_string(),
            "there is no SSH key: POLYAXON_SSH_PATH is not set".to_owned(),
        ));
    };
    let paths: Vec<PathBuf> = match &access.key {
        Some(name) => vec![folder.join(name)],
        None => KEYS.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect(),
    };
    if paths.is_empty() {
        let why = format!("holds none of {}", KEYS.join(", "));
        return Err(wrong(format!("SSH folder {}", folder.display()), why));
    }
    let mut keys = Vec::new();
    for path in paths {
        let what = || format!("SSH key {}", path.display());
        let text = std::fs::read_to_string(&path)
            .map_err(|error| wrong(what(), format!("cannot be read: {error}")))?;
        // Secrets are often made of a file without its last line feed, which the format wants.
        let key = decode_secret_key(&format!("{}\n", text.trim_end()), None).map_err(|error| {
            let why = match error {
                russh::keys::Error::KeyIsEncrypted => "has a passphrase".to_owned(),
                // Its words are about the form, never about the content.
                other => format!("is no private key: {other}"),
            };
            wrong(what(), why)
        })?;
        if key.is_encrypted() {
            return Err(wrong(what(), "has a passphrase".to_owned()));
        }
        keys.push((path, key));
    }
    Ok(keys)
}

/// The path as the server's `git-upload-pack` takes it.
fn path(talk: &Conversation) -> Result<String, GitError> {
    let wrong = |why: &str| GitError::NotGit { at: talk.address.to_string(), why: why.to_owned() };
    match talk.address.upload_pack_path() {
        // It would be an option there.
        Some(path) if path.starts_with('-') => Err(wrong("a path may not begin with `-`")),
        Some(path) => Ok(path),
        None => Err(wrong("the path is no text")),
    }
}

/// Quoted as git does it: servers that are no shell know this form alone.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''").replace('!', "'\\!'"))
}

impl Stream {
    /// The next bytes; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, GitError> {
        loop {
            // The status may come before the last of the data, and the end of the data before the status.
            match self.status.filter(|_| self.over) {
                Some(0) => return Ok(None),
                Some(status) => return Err(self.ended(&format!("git-upload-pack ends with {status}"))),
                None => {}
            }
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    self.heard = true;
                    return Ok(Some(data));
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let room = SAID.saturating_sub(self.said.len());
                    self.said.extend_from_slice(&data[..data.len().min(room)]);
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => self.status = Some(exit_status),
                Some(ChannelMsg::Eof) => self.over = true,
                Some(ChannelMsg::Failure) => return Err(self.ended("the server runs no git-upload-pack")),
                Some(ChannelMsg::Close) | None if self.status.is_none() => {
                    return Err(self.ended("the connection ended"));
                }
                Some(ChannelMsg::Close) | None => self.over = true,
                Some(_) => {}
            }
        }
    }

    /// What it means that the other side ended, by what it said.
    fn ended(&self, how: &str) -> GitError {
        let at = self.talk.address.to_string();
        let said = String::from_utf8_lossy(&self.said);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let low = said.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| low.contains(word));
        if !self.heard
            && has(&["not found", "does not exist", "does not appear to be", "could not be found", "no such"])
        {
            return GitError::NoRepository { at, why: said };
        }
        if !self.heard && has(&["denied", "not allowed", "unauthorized", "forbidden", "access"]) {
            return GitError::Denied {
                at,
                why: format!("the server says: {said}"),
                next: "let the key read the repository".to_owned(),
            };
        }
        let words = if said.is_empty() { String::new() } else { format!(": {said}") };
        GitError::Unavailable { at, why: format!("{how}{words}") }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.is_empty() {
            let talk = Arc::clone(&self.talk);
            let Some(next) = talk.wait_for_stream(self.next())? else { return Ok(0) };
            self.left = next;
        }
        let take = buffer.len().min(self.left.len());
        buffer[..take].copy_from_slice(&self.left.split_to(take));
        self.talk.session.received.add(take);
        Ok(take)
    }
}

impl Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let copy = Bytes::copy_from_slice(data);
        self.talk.wait_for_stream(async {
            self.channel.data_bytes(copy).await.map_err(|error| self.talk.broken(Broken::Ssh(error)))
        })?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
