//! The proxy by which a company lets its machines out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::http_server::{Request, Reset, Response, Upstream, answer, boxed, drain, header, lock, serve};
use crate::loopback::{self, Background};
use crate::planted::{Noted, Planted, Searched, Wire};

/// A running proxy: whole URLs for plain HTTP, `CONNECT` for everything else. Dropping it ends all tunnels.
#[derive(Debug)]
pub struct ForwardProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _background: Background,
    _searched: Searched,
}

#[derive(Debug)]
struct Shared {
    /// As the header says it.
    login: Option<String>,
    routes: Mutex<HashMap<String, SocketAddr>>,
    targets: Mutex<Vec<String>>,
    wire: Arc<Wire>,
}

impl ForwardProxy {
    /// One for everybody.
    pub async fn start() -> Self {
        Self::serve(None)
    }

    /// One that answers 407 to who does not show user and password.
    pub async fn start_with_login(user: &str, password: &str) -> Self {
        let login = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        Planted::here().token(password);
        Self::serve(Some(login))
    }

    fn serve(login: Option<String>) -> Self {
        let listener = loopback::listener();
        let address = loopback::address_of(&listener);
        let (wire, searched) = Wire::start("forward-proxy");
        let shared = Shared { login, routes: Mutex::default(), targets: Mutex::default(), wire };
        let shared = Arc::new(shared);
        let serving = Arc::clone(&shared);
        let background = Background::run("forward-proxy", move || {
            serve(listener, move |request| handle(Arc::clone(&serving), request))
        });
        Self { address, shared, _background: background, _searched: searched }
    }

    /// As `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Who asks for that `host:port` gets there, wherever its name may lead: so a name that only the proxy knows.
    pub fn route(&self, target: &str, to: SocketAddr) {
        lock(&self.shared.routes).insert(target.to_owned(), to);
    }

    /// Where it was asked to go, as `host:port`, each time, also when it refused.
    pub fn targets(&self) -> Vec<String> {
        lock(&self.shared.targets).clone()
    }
}

async fn handle(shared: Arc<Shared>, mut request: Request) -> Result<Response, Reset> {
    let asked = shared.wire.note_request(&request);
    let Some(target) = target(&request) else {
        drain(request.into_body()).await?;
        return Ok(answer(400, "text/plain", "this is a proxy: ask it for a whole URL"));
    };
    lock(&shared.targets).push(target.clone());
    let shown = header(request.headers(), PROXY_AUTHORIZATION.as_str());
    if shared.login.as_ref().is_some_and(|login| login != shown) {
        drain(request.into_body()).await?;
        let mut refused = answer(407, "text/plain", "who are you?");
        let challenge = HeaderValue::from_static("Basic realm=\"plx-test\"");
        refused.headers_mut().insert(PROXY_AUTHENTICATE, challenge);
        return Ok(refused);
    }
    let server = match shared.connect(&target).await {
        Ok(server) => server,
        Err(error) => {
            drain(request.into_body()).await?;
            return Ok(answer(502, "text/plain", format!("no way to {target}: {error}")));
        }
    };
    if request.method() != Method::CONNECT {
        let address = server.peer_addr().map_err(|_| Reset)?;
        for name in [PROXY_AUTHORIZATION.as_str(), "proxy-connection"] {
            request.headers_mut().remove(name);
        }
        return Ok(Upstream::new(address).send(request.map(|body| boxed(Noted { body, asked }))).await);
    }
    tokio::spawn(tunnel(request, server));
    Ok(answer(200, "text/plain", ""))
}

/// Bytes both ways, until one side has enough.
async fn tunnel(request: Request, mut server: TcpStream) {
    let Ok(client) = hyper::upgrade::on(request).await else { return };
    // What goes wrong in a tunnel, its two ends see.
    tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut server).await.ok();
}

impl Shared {
    async fn connect(&self, target: &str) -> std::io::Result<TcpStream> {
        let route = lock(&self.routes).get(target).copied();
        let stream = match route {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect(target).await?,
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// `host:port`, where the request is for a proxy at all.
fn target(request: &Request) -> Option<String> {
    let uri = request.uri();
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    Some(format!("{}:{port}", uri.host()?))
}
