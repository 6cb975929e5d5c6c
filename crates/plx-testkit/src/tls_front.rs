//! TLS in front of a plain server.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::PrivateCa;
use crate::loopback::{self, Background};
use crate::private_ca::Leaf;

/// Ends TLS and passes bytes on to a server that speaks plainly. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    _background: Background,
}

impl TlsFront {
    /// One with a good certificate, for `localhost` and `127.0.0.1`.
    pub async fn start(upstream: SocketAddr, ca: &PrivateCa) -> Self {
        Self::with(upstream, &ca.leaf())
    }

    /// One whose certificate expired years ago.
    pub async fn expired(upstream: SocketAddr, ca: &PrivateCa) -> Self {
        Self::with(upstream, &ca.expired_leaf())
    }

    /// One whose certificate is for another host.
    pub async fn wrong_name(upstream: SocketAddr, ca: &PrivateCa) -> Self {
        Self::with(upstream, &ca.other_leaf())
    }

    fn with(upstream: SocketAddr, leaf: &Leaf) -> Self {
        let listener = loopback::listener();
        let address = loopback::address_of(&listener);
        let acceptor = TlsAcceptor::from(leaf.server_config());
        let background = Background::run("tls-front", move || accept(listener, acceptor, upstream));
        Self { address, _background: background }
    }

    /// As `https://localhost:PORT`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: std::net::TcpListener, acceptor: TlsAcceptor, upstream: SocketAddr) {
    let listener = TcpListener::from_std(listener).expect("a non-blocking listener joins the runtime");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that does not like the certificate, or goes away, is what some tests are about.
            pass(stream, &acceptor, upstream).await.ok();
        });
    }
}

async fn pass(stream: TcpStream, acceptor: &TlsAcceptor, upstream: SocketAddr) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut inside = acceptor.accept(stream).await?;
    let mut server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut inside, &mut server).await?;
    Ok(())
}
