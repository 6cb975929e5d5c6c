//! Servers that are programs of others, in processes of their own.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::environment::variable;

const START: Duration = Duration::from_secs(60);

/// Runs a server until standard input closes: that happens even when the test process is killed.
const SCRIPT: &str =
    r#""$@" </dev/null 2>&1 & server=$!; exec >/dev/null 2>&1; read -r _; kill -9 "$server"; wait "$server""#;

/// A server in a process of its own. It ends with this value, or with the test process.
#[derive(Debug)]
pub(crate) struct Keeper {
    address: SocketAddr,
    process: Child,
}

/// What to start.
pub(crate) struct Program {
    /// In messages.
    pub name: &'static str,
    /// A variable that overrides where it is.
    pub variable: &'static str,
    /// Where `tests/servers.sh` puts it, from the workspace.
    pub installed: &'static str,
    /// What makes it listen on a free loopback port and say where.
    pub arguments: Vec<String>,
}

impl Keeper {
    /// Starts a program and waits until it says where it listens, as `http://ADDRESS` or `https://ADDRESS`.
    ///
    /// # Panics
    /// When it is not installed, or names no address in a minute.
    #[expect(clippy::panic, reason = "a test that needs a server cannot go on without it")]
    pub(crate) async fn start(program: Program) -> Self {
        let launch = tokio::task::spawn_blocking(move || Self::launch(&program));
        launch.await.expect("starting a server does not panic").unwrap_or_else(|error| panic!("{error}"))
    }

    fn launch(program: &Program) -> io::Result<Self> {
        let file = program.file();
        if !file.is_file() {
            let message =
                format!("{} is missing: run tests/servers.sh, or set {}", file.display(), program.variable);
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        let mut process = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "keeper"])
            .arg(&file)
            .args(&program.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let said = process.stdout.take().expect("standard output is piped");
        let mut keeper = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), process };
        keeper.address = wait_for_address(program.name, said)?;
        Ok(keeper)
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // Nothing can be done about a process that cannot be waited for.
        self.process.wait().ok();
    }
}

impl Program {
    fn file(&self) -> PathBuf {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .expect("a crate stands two folders deep");
        variable(self.variable).map_or_else(|| workspace.join(self.installed), PathBuf::from)
    }
}

/// Reads the server's words on a thread of their own, for ever, and returns the address it names once it listens.
fn wait_for_address(name: &'static str, said: ChildStdout) -> io::Result<SocketAddr> {
    let (tell, told) = mpsc::channel::<Result<SocketAddr, String>>();
    let read = move || {
        let mut so_far = String::new();
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            if so_far.len() > 16 * 1024 {
                continue; // it is only still read so that the server can go on writing
            }
            so_far.push_str(&line);
            so_far.push('\n');
            let address =
                line.split_once("://").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
            if let Some(address) = address {
                tell.send(Ok(address)).ok();
            }
        }
        tell.send(Err(so_far)).ok();
    };
    std::thread::Builder::new().name(format!("{name}-words")).spawn(read)?;
    match told.recv_timeout(START) {
        Ok(Ok(address)) => Ok(address),
        Ok(Err(words)) => Err(io::Error::other(format!("{name} ended before it listened:\n{words}"))),
        Err(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("{name} named no address in {START:?}")))
        }
    }
}
