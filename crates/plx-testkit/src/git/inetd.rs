//! Servers of others that are started once for each connection, with the connection as their input and output.
//!
//! So they need no port that might be taken meanwhile, and end with their client even when the test process is killed.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::Child;

use crate::http_server::lock;
use crate::loopback::{self, Background};

const PATIENCE: Duration = Duration::from_secs(60);

/// A port whose connections get a process each. Dropping it closes the port and ends the processes.
#[derive(Debug)]
pub(super) struct Inetd {
    address: SocketAddr,
    connections: Arc<Connections>,
    _background: Background,
}

#[derive(Debug, Default)]
struct Connections {
    /// All so far, and those that are still open.
    counts: Mutex<(usize, usize)>,
    closed: Condvar,
}

impl Inetd {
    /// Listens on a free port; `program` is what each connection gets.
    pub(super) fn start(name: &str, program: impl Fn() -> Command + Send + 'static) -> Self {
        let listener = loopback::listener();
        let address = loopback::address_of(&listener);
        let connections = Arc::new(Connections::default());
        let counted = Arc::clone(&connections);
        let background = Background::run(name, move || accept(listener, counted, program));
        Self { address, connections, _background: background }
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> SocketAddr {
        self.address
    }

    /// How many clients came so far.
    pub(super) fn connections(&self) -> usize {
        lock(&self.connections.counts).0
    }

    /// Waits until every process has ended.
    ///
    /// # Panics
    /// When one is still there after a minute.
    pub(super) fn settle(&self) {
        let counts = lock(&self.connections.counts);
        let waited = self.connections.closed.wait_timeout_while(counts, PATIENCE, |(_, open)| *open > 0);
        let (counts, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(counts.1 == 0, "a client still holds its connection after {PATIENCE:?}");
    }
}

impl Connections {
    fn opened(&self) {
        let mut counts = lock(&self.counts);
        *counts = (counts.0 + 1, counts.1 + 1);
    }

    fn closed(&self) {
        lock(&self.counts).1 -= 1;
        self.closed.notify_all();
    }
}

async fn accept(listener: TcpListener, connections: Arc<Connections>, program: impl Fn() -> Command) {
    let listener =
        tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener joins the runtime");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        connections.opened();
        let child = spawn(stream, program());
        let connections = Arc::clone(&connections);
        tokio::spawn(async move {
            match child {
                // What it ended with is the client's business.
                Ok(mut child) => drop(child.wait().await),
                Err(error) => eprintln!("a test server did not start: {error}"),
            }
            connections.closed();
        });
    }
}

fn spawn(stream: TcpStream, mut program: Command) -> io::Result<Child> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    let second = stream.try_clone()?;
    program.stdin(Stdio::from(OwnedFd::from(stream))).stdout(Stdio::from(OwnedFd::from(second)));
    tokio::process::Command::from(program).kill_on_drop(true).spawn()
}
