//! The fault proxy in front of a small server that counts what it gets.

#![expect(clippy::unwrap_used, reason = "in helpers of tests, too, a surprise ends the test")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use plx_testkit::{FaultProxy, Match, Times, loopback};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Answers every request with as many bytes as its path's last part says, after reading its body; keeps connections.
async fn small_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&answered);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move { serve_small(stream, &counter).await });
        }
    });
    (address, answered)
}

async fn serve_small(stream: TcpStream, answered: &AtomicUsize) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut target, mut length, mut line) = (String::new(), 0, String::new());
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if target.is_empty() {
                target = line.split(' ').nth(1)?.to_owned();
            } else if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().ok()?;
            }
        }
        stream.read_exact(&mut vec![0; length]).await.ok()?;
        answered.fetch_add(1, Ordering::SeqCst);
        let size = target.split('?').next()?.rsplit('/').next()?.parse().unwrap_or(0);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(&vec![b'x'; size]).await.ok()?;
    }
}

async fn get(proxy: &FaultProxy, target: &str) -> std::io::Result<loopback::Answer> {
    loopback::request(proxy.addr(), "GET", target, b"").await
}

#[tokio::test]
async fn passes_everything_on_and_notes_it() {
    let (server, answered) = small_server().await;
    let proxy = FaultProxy::start(server).await;
    let answer = loopback::request(proxy.addr(), "PUT", "/b/5?x=1", b"hello world").await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 5));
    assert_eq!(answered.load(Ordering::SeqCst), 1);
    proxy.answered(Match::any(), 1).await;
    let seen = &proxy.requests()[0];
    assert_eq!(
        (seen.method.as_str(), seen.path_and_query.as_str(), seen.status),
        ("PUT", "/b/5?x=1", Some(200))
    );
    assert_eq!((seen.request_bytes, seen.response_bytes, seen.finished), (11, 5, true));
    assert_eq!(seen.header("host"), Some(proxy.addr().to_string().as_str()), "the host is the client's");
    assert_eq!(proxy.count(&Match::method("put").path_contains("/b").query_contains("x=").header("Host")), 1);
    assert_eq!(proxy.count(&Match::any().query_lacks("x=")), 0);
    assert_eq!(proxy.count(&Match::any().header_contains("host", "127.0.0.1:")), 1);
    assert_eq!(proxy.count(&Match::any().header_contains("host", "elsewhere")), 0);
    assert_eq!(proxy.count(&Match::any().header_contains("authorization", "")), 0);
}

#[tokio::test]
async fn one_connection_carries_many_requests_also_past_answers_of_the_proxy() {
    let (server, answered) = small_server().await;
    let proxy = FaultProxy::start(server).await;
    proxy.on(Match::method("PUT")).nth(2).answer(503, "slow", &[("Retry-After", "1")]);
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    let chunked = "PUT /0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let plain = "PUT /0 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    // The small server knows no chunks, so the chunked one must be the one the proxy answers.
    stream
        .write_all(format!("{plain}{chunked}{plain}HEAD /0 HTTP/1.1\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(statuses.len(), 4, "{text}");
    assert!(statuses[1].contains("503") && text.contains("Retry-After: 1\r\n\r\nslow"), "{text}");
    assert_eq!(answered.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn answers_refuses_and_cuts_by_rule() {
    let (server, answered) = small_server().await;
    let proxy = FaultProxy::start(server).await;
    proxy.on(Match::any().path_contains("slow")).times(Times::First(2)).answer(503, "busy", &[]);
    proxy.on(Match::any().path_contains("cut")).every(2).cut_after_response_bytes(1000);
    proxy.on(Match::any().path_contains("lost")).cut_before_response();
    proxy.on(Match::any().path_contains("refused")).refuse();
    proxy.on(Match::any().path_contains("up")).cut_after_request_bytes(10);

    for status in [503, 503, 200] {
        assert_eq!(get(&proxy, "/slow/1").await.unwrap().status, status);
    }
    assert_eq!(answered.load(Ordering::SeqCst), 1);

    assert_eq!(get(&proxy, "/cut/200000").await.unwrap().body.len(), 200_000);
    assert_eq!(get(&proxy, "/cut/200000").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(proxy.requests().last().unwrap().response_bytes, 1000);
    get(&proxy, "/cut/1000").await.unwrap();
    assert_eq!(get(&proxy, "/cut/1000").await.unwrap().body.len(), 1000, "a body that is no longer passes");

    let before = answered.load(Ordering::SeqCst);
    assert_eq!(get(&proxy, "/lost/5").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(answered.load(Ordering::SeqCst), before + 1, "the server did it");
    assert_eq!(proxy.requests().last().unwrap().status, None);

    assert!(get(&proxy, "/refused/5").await.is_err());
    assert!(loopback::request(proxy.addr(), "PUT", "/up/5", &[0; 100_000]).await.is_err());
    assert_eq!(answered.load(Ordering::SeqCst), before + 1, "the server never had these");

    proxy.clear_rules();
    assert_eq!(get(&proxy, "/refused/5").await.unwrap().status, 200);
}

#[tokio::test]
async fn stalls_until_released_and_tells_of_arrivals() {
    let (server, answered) = small_server().await;
    let proxy = Arc::new(FaultProxy::start(server).await);
    proxy.on(Match::any()).first(1).stall();
    proxy.on(Match::any()).first(1).delay(Duration::from_millis(30));
    let asking = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        async move { get(&proxy, "/7").await }
    });
    proxy.seen(Match::method("GET"), 1).await;
    assert_eq!(answered.load(Ordering::SeqCst), 0);
    let start = Instant::now();
    assert_eq!(get(&proxy, "/8").await.unwrap().status, 200, "others go on");
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert_eq!(proxy.max_in_flight(), 2);
    proxy.release();
    assert_eq!(asking.await.unwrap().unwrap().body.len(), 7);
}

#[tokio::test]
async fn limits_hold() {
    let (server, _) = small_server().await;
    let proxy = FaultProxy::start(server).await;
    proxy.limit_bytes_per_second(1_000_000);
    let start = Instant::now();
    let both = tokio::join!(get(&proxy, "/150000"), get(&proxy, "/150000"));
    assert_eq!(both.0.unwrap().body.len() + both.1.unwrap().body.len(), 300_000);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(270), "{took:?} for 0.3 s of bytes");
    proxy.limit_bytes_per_second(0);

    proxy.limit_requests_per_second(1, 503);
    let mut refused = 0;
    for _ in 0..6 {
        refused += usize::from(get(&proxy, "/1").await.unwrap().status == 503);
    }
    assert!(refused >= 1, "six at once are more than one a second");
}

#[tokio::test]
async fn ends_with_its_owner() {
    let (server, _) = small_server().await;
    let proxy = FaultProxy::start(server).await;
    let address = proxy.addr();
    proxy.on(Match::any()).stall();
    let asking = tokio::spawn(async move { loopback::request(address, "GET", "/1", b"").await });
    proxy.seen(Match::any(), 1).await;
    drop(proxy);
    assert!(asking.await.unwrap().is_err());
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
