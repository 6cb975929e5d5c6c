//! The second S3 server: moto, a Python program, in a process of its own.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::environment::variable;
use crate::{S3Target, loopback};

const START: Duration = Duration::from_secs(60);

/// Runs moto until standard input closes: that happens even when the test process is killed.
const KEEPER: &str =
    r#""$@" </dev/null & moto=$!; exec 2>/dev/null; read -r _; kill -9 "$moto"; wait "$moto""#;

/// A running moto server. It knows every S3 call, keeps all in memory and checks no signatures.
#[derive(Debug)]
pub struct Moto {
    address: SocketAddr,
    keeper: Child,
}

impl Moto {
    /// The one that all tests of this process share; choose bucket names that no other test uses.
    ///
    /// # Panics
    /// As [`Moto::start`].
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Moto> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// A new one on a free port.
    ///
    /// # Panics
    /// When moto is not installed, or does not come up in a minute.
    #[expect(clippy::panic, reason = "a test that needs a server cannot go on without it")]
    pub async fn start() -> Self {
        let started = tokio::task::spawn_blocking(Self::launch).await.expect("starting moto does not panic");
        started.unwrap_or_else(|error| panic!("{error}"))
    }

    fn launch() -> io::Result<Self> {
        let program = program();
        if !program.is_file() {
            let message =
                format!("{} is missing: run tests/servers.sh, or set PLX_TEST_MOTO", program.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "moto-keeper"])
            .arg(&program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let said = keeper.stderr.take().expect("standard error is piped");
        let mut moto = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), keeper };
        moto.address = wait_for_address(said)?;
        Ok(moto)
    }

    /// As `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Makes a bucket, unless it is there.
    pub async fn create_bucket(&self, name: &str) -> io::Result<()> {
        let answer = loopback::request(self.address, "PUT", &format!("/{name}"), b"").await?;
        match answer.status {
            200 | 409 => Ok(()),
            status => {
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                Err(io::Error::other(format!("moto made no bucket {name}: {status} {body}")))
            }
        }
    }

    /// A bucket of this server as a target. The bucket is made when it is missing.
    ///
    /// # Panics
    /// When the bucket cannot be made.
    pub async fn target(&self, bucket: &str) -> S3Target {
        self.create_bucket(bucket).await.expect("moto makes buckets");
        S3Target {
            endpoint: self.endpoint(),
            access_key: "moto".to_owned(),
            secret_key: "unchecked".to_owned(),
            bucket: bucket.to_owned(),
            region: "us-east-1".to_owned(),
        }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Nothing can be done about a process that cannot be waited for.
        self.keeper.wait().ok();
    }
}

fn program() -> PathBuf {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a crate stands two folders deep");
    variable("PLX_TEST_MOTO").map_or_else(|| workspace.join(".cache/venv/bin/moto_server"), PathBuf::from)
}

/// Reads moto's words on a thread of their own, for ever, and returns the address it names once it listens.
fn wait_for_address(said: ChildStderr) -> io::Result<SocketAddr> {
    let (tell, told) = mpsc::channel::<Result<SocketAddr, String>>();
    let read = move || {
        let mut so_far = String::new();
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            if so_far.len() > 16 * 1024 {
                continue; // it is only still read so that moto can go on writing
            }
            so_far.push_str(&line);
            so_far.push('\n');
            let address =
                line.split_once("http://").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
            if let Some(address) = address {
                tell.send(Ok(address)).ok();
            }
        }
        tell.send(Err(so_far)).ok();
    };
    std::thread::Builder::new().name("moto-words".to_owned()).spawn(read)?;
    match told.recv_timeout(START) {
        Ok(Ok(address)) => Ok(address),
        Ok(Err(words)) => Err(io::Error::other(format!("moto ended before it listened:\n{words}"))),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("moto named no address in {START:?}"))),
    }
}
