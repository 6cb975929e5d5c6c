//! STS as moto knows it, and what it was asked, in full.

use plx_testkit::SeenIdentity;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Stands before moto, writes down what comes, and says how long a session may be, which moto does not.
pub struct Sts {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    moto: SocketAddr,
    log: Mutex<Vec<SeenIdentity>>,
    longest: AtomicU64,
}

impl Sts {
    pub async fn before(moto: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { moto, log: Mutex::default(), longest: AtomicU64::new(u64::MAX) });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move { shared.serve(stream).await });
            }
        });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// A longer session than that is refused, as a role's own limit does.
    pub fn longest(&self, seconds: u64) {
        self.shared.longest.store(seconds, Ordering::SeqCst);
    }

    pub fn requests(&self) -> Vec<SeenIdentity> {
        self.shared.log.lock().unwrap().clone()
    }
}

impl Shared {
    /// One request a connection.
    async fn serve(&self, mut client: TcpStream) -> Option<()> {
        let mut all = Vec::new();
        let end = loop {
            if client.read_buf(&mut all).await.ok()? == 0 {
                return None;
            }
            if let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
        };
        let mut body = all.split_off(end + 4);
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let mut first = lines.next().unwrap().split(' ');
        let mut seen = SeenIdentity {
            method: first.next().unwrap().to_owned(),
            path_and_query: first.next().unwrap().to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: String::new(),
            status: None,
        };
        let length = seen.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while body.len() < length {
            client.read_buf(&mut body).await.ok()?;
        }
        seen.body = String::from_utf8(body).unwrap();
        self.log.lock().unwrap().push(seen.clone());
        let wish = seen.form("DurationSeconds").and_then(|text| text.parse::<u64>().ok());
        let answer = if wish.is_some_and(|wish| wish > self.longest.load(Ordering::SeqCst)) {
            let body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                        <Code>ValidationError</Code><Message>The requested DurationSeconds exceeds the \
                        MaxSessionDuration set for this role.</Message></Error></ErrorResponse>";
            let length = body.len();
            format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
                .into_bytes()
        } else {
            let mut moto = TcpStream::connect(self.moto).await.unwrap();
            let request = match seen.path_and_query.split_once("?Action=") {
                // STS takes a query for a form; moto reads forms alone.
                Some((_, query)) => {
                    let form = format!("Action={query}");
                    let kind = "Content-Type: application/x-www-form-urlencoded";
                    let length = form.len();
                    format!(
                        "POST / HTTP/1.1\r\nHost: sts\r\n{kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{form}"
                    )
                }
                None => format!("{head}\r\nConnection: close\r\n\r\n{}", seen.body),
            };
            moto.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            moto.read_to_end(&mut answer).await.unwrap();
            answer
        };
        client.write_all(&answer).await.ok()?;
        client.shutdown().await.ok()
    }
}
