//! One client connection: requests in, decisions, bytes both ways.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::flow::{Broken, Flow, NOWHERE};
use super::http1::{Framing, Head, read_head};
use super::{Action, Exchange, Shared};

/// Accepts for ever.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let listener =
        tokio::net::TcpListener::from_std(listener).expect("a non-blocking listener joins the runtime");
    loop {
        // Accepting fails for connections that are already gone, and when the process is out of files: both pass.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let mut connection =
            Connection { client: Side::new(stream), server: None, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            if !matches!(connection.run().await, Ok(End::Close)) {
                connection.reset();
            }
        });
    }
}

/// A socket and what was read of it too early.
struct Side {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Side {
    fn new(stream: TcpStream) -> Self {
        // It only makes small messages quicker.
        stream.set_nodelay(true).ok();
        Self { stream, buffer: BytesMut::new() }
    }

    /// Open, and nothing stands in it that nobody asked for.
    fn is_idle(&self) -> bool {
        let read = self.stream.try_read(&mut [0]);
        self.buffer.is_empty() && matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// What becomes of the client's connection after a request.
enum End {
    Keep,
    Close,
    Reset,
}

struct Connection {
    client: Side,
    server: Option<Side>,
    shared: Arc<Shared>,
}

impl Connection {
    async fn run(&mut self) -> io::Result<End> {
        while let Some(head) = read_head(&mut self.client.stream, &mut self.client.buffer).await? {
            // Before the arrival is known: a test that waits for it and then releases must not come too early.
            let releases = self.shared.releases.subscribe();
            let (exchange, action) = self.shared.arrive(&head);
            match self.handle(&head, &exchange, action, releases).await? {
                End::Keep => {}
                End::Close => {
                    // Closing with unread bytes would reset, and the reset could overtake the answer.
                    drop(exchange);
                    self.client.stream.shutdown().await?;
                    let mut rest = [0; 4096];
                    while self.client.stream.read(&mut rest).await? > 0 {}
                    return Ok(End::Close);
                }
                End::Reset => {
                    self.reset();
                    return Ok(End::Reset);
                }
            }
        }
        Ok(End::Close)
    }

    /// Both sides get a reset when they are dropped.
    fn reset(&mut self) {
        for side in [Some(&self.client), self.server.as_ref()].into_iter().flatten() {
            side.stream.set_zero_linger().ok();
        }
    }

    async fn handle(
        &mut self,
        head: &Head,
        exchange: &Exchange,
        action: Option<Action>,
        mut releases: watch::Receiver<u64>,
    ) -> io::Result<End> {
        let mut cuts = Cuts::default();
        match action {
            None => {}
            Some(Action::Answer { status, body, headers }) => {
                return self.answer(head, exchange, status, &body, &headers).await;
            }
            Some(Action::Refuse) => return Ok(End::Reset),
            Some(Action::Delay(time)) => tokio::time::sleep(time).await,
            Some(Action::Stall) => {
                releases.changed().await.map_err(io::Error::other)?;
            }
            Some(Action::CutResponse(n)) => cuts.response = Some(n),
            Some(Action::CutRequest(n)) => cuts.request = Some(n),
            Some(Action::LoseAnswer) => cuts.answer_lost = true,
        }
        self.forward(head, exchange, &cuts).await
    }

    async fn answer(
        &mut self,
        head: &Head,
        exchange: &Exchange,
        status: u16,
        body: &str,
        headers: &[(String, String)],
    ) -> io::Result<End> {
        // Who waits to be told to go on is told no, and sends no body.
        let unread = head.header("expect").is_some();
        if !unread {
            let mut framing = head.request_body()?;
            let up = Flow::up(exchange, None);
            up.pump(&mut self.client.stream, &mut self.client.buffer, &mut framing, NOWHERE).await?;
        }
        let keep = head.keeps_alive() && !unread;
        let mut text = format!("HTTP/1.1 {status} Fault\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(if keep { "\r\n" } else { "Connection: close\r\n\r\n" });
        if head.method() != "HEAD" {
            text.push_str(body);
            exchange.entry.response_bytes.store(body.len() as u64, Ordering::SeqCst);
        }
        exchange.entry.status.store(status, Ordering::SeqCst);
        self.client.stream.write_all(text.as_bytes()).await?;
        Ok(if keep { End::Keep } else { End::Close })
    }

    async fn forward(&mut self, head: &Head, exchange: &Exchange, cuts: &Cuts) -> io::Result<End> {
        let server = match self.server.take().filter(Side::is_idle) {
            Some(open) => self.server.insert(open),
            None => self.server.insert(Side::new(TcpStream::connect(self.shared.upstream).await?)),
        };
        let end = relay(&mut self.client, server, head, exchange, cuts).await?;
        if matches!(end, End::Close) {
            self.server = None;
        }
        Ok(end)
    }
}

/// A request to the server while its answer, or the leave to go on, may already come back.
async fn relay(
    client: &mut Side,
    server: &mut Side,
    head: &Head,
    exchange: &Exchange,
    cuts: &Cuts,
) -> io::Result<End> {
    let (mut from_client, mut to_client) = client.stream.split();
    let (mut from_server, mut to_server) = server.stream.split();
    let mut request = head.request_body()?;
    let send = async {
        to_server.write_all(&head.raw).await.map_err(Broken::Write)?;
        let up = Flow::up(exchange, cuts.request);
        up.pump(&mut from_client, &mut client.buffer, &mut request, Some(&mut to_server)).await
    };
    let receive = answer_back(&mut from_server, &mut server.buffer, &mut to_client, head, exchange, cuts);
    tokio::pin!(send, receive);
    let mut sent = None;
    let (whole, keep) = loop {
        tokio::select! {
            result = &mut send, if sent.is_none() => match result {
                Ok(true) => sent = Some(true),
                Ok(false) => return Ok(End::Reset),
                Err(Broken::Read(error)) => return Err(error),
                // The server closed early; it may have said why.
                Err(Broken::Write(_)) => sent = Some(false),
            },
            result = &mut receive => break result?,
        }
    };
    Ok(match whole {
        false => End::Reset,
        true if keep && sent == Some(true) && head.keeps_alive() => End::Keep,
        true => End::Close,
    })
}

/// The server's answer to the client. Whether all of it got there, and whether the connection lives on.
async fn answer_back(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    to: &mut (impl AsyncWrite + Unpin),
    head: &Head,
    exchange: &Exchange,
    cuts: &Cuts,
) -> io::Result<(bool, bool)> {
    let response = loop {
        let head = read_head(from, buffer).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if head.status()? >= 200 {
            break head;
        }
        to.write_all(&head.raw).await?;
    };
    let mut body = response.response_body(head.method())?;
    let (entry, limits) = (&exchange.entry, &exchange.shared.limits);
    if cuts.answer_lost {
        // Read to its end, so that the server is surely done.
        let unread = Flow { count: &AtomicU64::new(0), cut: None, limits, asked: None };
        unread.pump(from, buffer, &mut body, NOWHERE).await?;
        return Ok((false, false));
    }
    entry.status.store(response.status()?, Ordering::SeqCst);
    to.write_all(&response.raw).await?;
    let down = Flow { count: &entry.response_bytes, cut: cuts.response, limits, asked: None };
    let whole = down.pump(from, buffer, &mut body, Some(to)).await?;
    Ok((whole, response.keeps_alive() && body != Framing::UntilClose))
}

/// Where an exchange is broken off.
#[derive(Debug, Default)]
struct Cuts {
    request: Option<u64>,
    response: Option<u64>,
    answer_lost: bool,
}
