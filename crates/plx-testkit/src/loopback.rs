//! Small helpers for things that live on 127.0.0.1.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// A listener on a free loopback port.
///
/// # Panics
/// When the machine gives no port.
pub fn listener() -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on 127.0.0.1");
    listener.set_nonblocking(true).expect("a listener can be non-blocking");
    listener
}

/// A port that was free a moment ago. Prefer [`listener`], or port 0, where the server allows it.
pub fn free_port() -> u16 {
    address_of(&listener()).port()
}

/// Where a listener listens.
pub(crate) fn address_of(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound listener has an address")
}

/// What [`request`] got.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Status line and headers, as they came.
    pub head: String,
    /// The body as it came; a chunked one is not decoded.
    pub body: Vec<u8>,
}

/// One plain HTTP request on a connection of its own: enough to create a bucket or to ask whether a server lives.
pub async fn request(to: SocketAddr, method: &str, target: &str, body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(to).await?;
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {to}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let bad =
        || io::Error::new(io::ErrorKind::InvalidData, format!("{to} answered no HTTP to {method} {target}"));
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(bad)?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(bad)?;
    Ok(Answer { status, head, body: answer.split_off(end + 4) })
}

/// A thread with a runtime of its own. Dropping it ends every task there before it returns.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Runs `work` until it ends or this value is dropped.
    pub(crate) fn run<F>(name: &str, work: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime for a test server").block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = async { work().await } => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        Self { stop: Some(stop), thread: Some(thread.expect("a thread for a test server")) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            eprintln!("a test server panicked; its message stands above");
        }
    }
}
