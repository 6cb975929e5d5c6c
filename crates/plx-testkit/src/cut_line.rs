//! A line that can be cut: what it carries, it does not know.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::loopback::{self, Background};

/// Passes bytes on to a server, TLS or whatever they are, until it is cut. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct CutLine {
    address: SocketAddr,
    state: watch::Sender<State>,
    _background: Background,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    cuts: u64,
    /// Whoever comes is sent away.
    down: bool,
}

impl CutLine {
    /// One to that server.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = loopback::listener();
        let address = loopback::address_of(&listener);
        let state = watch::Sender::new(State::default());
        let changes = state.subscribe();
        let background = Background::run("cut-line", move || accept(listener, upstream, changes));
        Self { address, state, _background: background }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Resets all connections that are open, in the midst of what they carry.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Cuts it, and lets nothing through until it is mended.
    pub fn tear(&self) {
        self.state.send_modify(|state| *state = State { cuts: state.cuts + 1, down: true });
    }

    /// Lets through again.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.down = false);
    }
}

async fn accept(listener: std::net::TcpListener, upstream: SocketAddr, changes: watch::Receiver<State>) {
    let listener = TcpListener::from_std(listener).expect("a non-blocking listener joins the runtime");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let changes = changes.clone();
        tokio::spawn(async move {
            // Either side may go whenever it likes.
            pass(stream, upstream, changes).await.ok();
        });
    }
}

async fn pass(
    mut stream: TcpStream,
    upstream: SocketAddr,
    mut changes: watch::Receiver<State>,
) -> std::io::Result<()> {
    let State { cuts, down } = *changes.borrow();
    if down {
        return stream.set_zero_linger();
    }
    stream.set_nodelay(true)?;
    let mut server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    let was_cut = tokio::select! {
        passed = tokio::io::copy_bidirectional(&mut stream, &mut server) => passed.map(|_| false)?,
        changed = changes.wait_for(|state| state.cuts != cuts) => changed.is_ok(),
    };
    if was_cut {
        stream.set_zero_linger()?;
        server.set_zero_linger()?;
    }
    Ok(())
}
