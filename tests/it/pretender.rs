//! A server that shows a certificate for whatever names, and is trusted by who trusts that certificate: what stands for
//! a cloud's own address behind a proxy.

use crate::bench::{Vars, connection, opened, vars};
use crate::carry::{look_with, once};
use plx_testkit::ForwardProxy;
use plx_transfer::WantKind::File;
use rustls::pki_types::PrivateKeyDer;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub struct Pretender {
    address: SocketAddr,
    folder: TempDir,
}

impl Pretender {
    /// Goes on to a plain server, as long as the test's runtime lives.
    pub async fn start(names: &[&str], upstream: SocketAddr) -> Self {
        let made = rcgen::generate_simple_self_signed(
            names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(),
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that does not trust it goes away.
                    let Ok(mut inside) = acceptor.accept(stream).await else { return };
                    let mut server = TcpStream::connect(upstream).await.unwrap();
                    tokio::io::copy_bidirectional(&mut inside, &mut server).await.ok();
                });
            }
        });
        Self { address, folder }
    }

    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The file to trust.
    pub fn ca(&self) -> String {
        let path: PathBuf = self.folder.path().join("ca.pem");
        path.display().to_string()
    }
}

/// Before a cloud's real name is used: whether these variables lead to the proxy at all. A name that nobody has is asked
/// for, so that a program without proxies ends the test and asks nobody.
pub async fn all_goes_through(proxy: &ForwardProxy, env: &Vars) {
    let keys = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let mut env = env.clone();
    env.retain(|key, _| key.eq_ignore_ascii_case("https_proxy"));
    env.extend(vars(keys.into_iter().chain([("AWS_ENDPOINT_URL", "https://store.invalid")])));
    look_with(&once(), &opened(&connection("s3", "s3://bkt", ""), &env), File).await;
    assert!(proxy.targets().iter().any(|to| to == "store.invalid:443"), "{:?}", proxy.targets());
}
