//! An HTTP/1.1 proxy on loopback that makes the failures of a network and of a server under load.
//!
//! Heads and bodies are passed on as they came, the `Host` header too: S3 signatures cover it, so the client signs for
//! the proxy's address and the server checks what it receives.
//!
//! ```no_run
//! # async fn story(server: std::net::SocketAddr) {
//! use plx_testkit::{FaultProxy, Match};
//! let proxy = FaultProxy::start(server).await;
//! proxy.on(Match::method("PUT").path_contains("model.bin")).first(2).answer(503, "", &[("Retry-After", "1")]);
//! proxy.on(Match::any()).every(3).cut_after_response_bytes(1000);
//! proxy.seen(Match::method("PUT"), 2).await;
//! # }
//! ```

mod connection;
mod flow;
mod http1;
mod limits;
mod rules;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

pub use self::rules::{Match, RuleBuilder};
use self::{
    http1::Head,
    limits::{Limits, lock},
    rules::{Action, Rule},
};
use crate::Times;
use crate::loopback::{self, Background};
use crate::planted::{Asked, Searched, Wire};

/// How long [`FaultProxy::seen`] and [`FaultProxy::answered`] wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running proxy. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    _background: Background,
    _searched: Searched,
}

/// A request the proxy was asked, and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// As `PUT`.
    pub method: String,
    /// As it was sent.
    pub path_and_query: String,
    /// All headers, as they were sent.
    pub headers: Vec<(String, String)>,
    /// What the client was told; `None` when it was told nothing (yet).
    pub status: Option<u16>,
    /// Bytes of the body that came from the client, with chunk framing if any.
    pub request_bytes: u64,
    /// Bytes of the body that went to the client, with chunk framing if any.
    pub response_bytes: u64,
    /// The exchange is over, in whatever way.
    pub finished: bool,
}

impl Seen {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl FaultProxy {
    /// Starts one in front of a server.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = loopback::listener();
        let address = loopback::address_of(&listener);
        let (wire, searched) = Wire::start("fault-proxy");
        let shared = Arc::new(Shared::new(upstream, wire));
        let serving = Arc::clone(&shared);
        let background = Background::run("fault-proxy", move || connection::serve(listener, serving));
        Self { shared, address, _background: background, _searched: searched }
    }

    /// As `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Begins a rule. The first rule that applies wins, in the order they were added.
    pub fn on(&self, matching: Match) -> RuleBuilder<'_> {
        RuleBuilder { proxy: self, matching, times: Times::Always }
    }

    /// Forgets all rules. Requests that stall go on stalling until [`FaultProxy::release`].
    pub fn clear_rules(&self) {
        lock(&self.shared.state).rules.clear();
    }

    /// Lets every request go on that stalls now.
    pub fn release(&self) {
        self.shared.releases.send_modify(|count| *count += 1);
    }

    /// Bodies go no faster than that, both ways and all connections together; 0 lifts the limit.
    pub fn limit_bytes_per_second(&self, n: u64) {
        self.shared.limits.set_bytes(n);
    }

    /// More requests than that within a second are answered with `status`, before any rule; 0 lifts the limit.
    pub fn limit_requests_per_second(&self, n: usize, status: u16) {
        self.shared.limits.set_requests(n, status);
    }

    /// All requests so far, in the order they came.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.shared.state).log.iter().map(|entry| entry.seen()).collect()
    }

    /// How many requests match.
    pub fn count(&self, matching: &Match) -> usize {
        self.requests().iter().filter(|seen| matching.matches(seen)).count()
    }

    /// Forgets the requests so far, not the rules or what they counted.
    pub fn forget_requests(&self) {
        lock(&self.shared.state).log.clear();
    }

    /// The most requests that were under way at once.
    pub fn max_in_flight(&self) -> usize {
        lock(&self.shared.state).max_in_flight
    }

    /// Waits until the `n`-th matching request has arrived; at once when it has.
    ///
    /// # Panics
    /// After a minute, with the requests that did come.
    pub async fn seen(&self, matching: Match, n: usize) {
        self.wait(&matching, n, "arrived", |_| true).await;
    }

    /// Waits until `n` matching requests are over, in whatever way.
    ///
    /// # Panics
    /// After a minute, with the requests that did come.
    pub async fn answered(&self, matching: Match, n: usize) {
        self.wait(&matching, n, "ended", |seen| seen.finished).await;
    }

    #[expect(clippy::panic, reason = "a test waits for what does not come")]
    async fn wait(&self, matching: &Match, n: usize, verb: &str, also: impl Fn(&Seen) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        let enough = changes
            .wait_for(|_| self.requests().iter().filter(|s| matching.matches(s) && also(s)).count() >= n);
        if !matches!(tokio::time::timeout(PATIENCE, enough).await, Ok(Ok(_))) {
            let came: Vec<String> = self.requests().iter().map(Seen::line).collect();
            panic!("{n} requests like {matching:?} never {verb}; these came:\n{}", came.join("\n"));
        }
    }

    fn add(&self, rule: Rule) {
        lock(&self.shared.state).rules.push(rule);
    }
}

impl Seen {
    fn line(&self) -> String {
        let Seen { method, path_and_query, status, request_bytes, response_bytes, .. } = self;
        format!("{method} {path_and_query} → {status:?}, {request_bytes} bytes up, {response_bytes} down")
    }
}

/// What the proxy and its connections share.
#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    limits: Limits,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    releases: watch::Sender<u64>,
    wire: Arc<Wire>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    log: Vec<Arc<Entry>>,
    in_flight: usize,
    max_in_flight: usize,
}

impl Shared {
    fn new(upstream: SocketAddr, wire: Arc<Wire>) -> Self {
        let (changes, releases) = (watch::Sender::new(0), watch::Sender::new(0));
        Self { upstream, limits: Limits::default(), state: Mutex::default(), changes, releases, wire }
    }

    /// Notes a request and says what happens to it.
    fn arrive(self: &Arc<Self>, head: &Head) -> (Exchange, Option<Action>) {
        let asked = self.wire.note(head.method(), head.target(), head.headers.clone());
        let entry = Arc::new(Entry::new(head, asked));
        let action = {
            let mut state = lock(&self.state);
            state.log.push(Arc::clone(&entry));
            state.in_flight += 1;
            state.max_in_flight = state.max_in_flight.max(state.in_flight);
            let body = "<Error><Code>SlowDown</Code><Message>too many requests</Message></Error>".to_owned();
            match self.limits.refuses() {
                Some(status) => Some(Action::Answer { status, body, headers: Vec::new() }),
                None => state.rules.iter_mut().find_map(|rule| rule.meet(&entry.request)),
            }
        };
        self.changes.send_modify(|count| *count += 1);
        (Exchange { entry, shared: Arc::clone(self) }, action)
    }
}

/// A request in the log.
#[derive(Debug)]
struct Entry {
    request: Seen,
    asked: Arc<Asked>,
    status: AtomicU16,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    finished: AtomicBool,
}

impl Entry {
    fn new(head: &Head, asked: Arc<Asked>) -> Self {
        let request = Seen {
            method: head.method().to_owned(),
            path_and_query: head.target().to_owned(),
            headers: head.headers.clone(),
            status: None,
            request_bytes: 0,
            response_bytes: 0,
            finished: false,
        };
        let (up, down) = (AtomicU64::new(0), AtomicU64::new(0));
        let (status, finished) = (AtomicU16::new(0), AtomicBool::new(false));
        Self { request, asked, status, request_bytes: up, response_bytes: down, finished }
    }

    fn seen(&self) -> Seen {
        let status = self.status.load(Ordering::SeqCst);
        Seen {
            status: (status != 0).then_some(status),
            request_bytes: self.request_bytes.load(Ordering::SeqCst),
            response_bytes: self.response_bytes.load(Ordering::SeqCst),
            finished: self.finished.load(Ordering::SeqCst),
            ..self.request.clone()
        }
    }
}

/// A request under way; it is over when this is dropped.
#[derive(Debug)]
struct Exchange {
    entry: Arc<Entry>,
    shared: Arc<Shared>,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.entry.finished.store(true, Ordering::SeqCst);
        lock(&self.shared.state).in_flight -= 1;
        self.shared.changes.send_modify(|count| *count += 1);
    }
}
