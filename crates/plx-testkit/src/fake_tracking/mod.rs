//! The tracking API of Polyaxon, on loopback.

mod api;
mod state;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::header::CONTENT_ENCODING;
use serde_json::Value;
use tokio::sync::watch;

use self::state::{Answered, State};
use crate::http_server::{Request, Reset, Response, all_headers, answer, collect, lock, serve};
use crate::loopback::{self, Background};
use crate::planted::{Planted, Searched, Wire};

/// A running API that keeps what it is told and answers as `haupt` 2.18 does:
///
/// | call, below `/api/v1` | answer |
/// |---|---|
/// | `POST /O/P/runs/R/impersonate` | `{"token": …}`, by default `run-token-1` |
/// | `GET /users` | `{"username": …}` of the token, by default `jane`; 401 without one |
/// | `GET /O/P/runs?limit=&offset=&query=uuid:A\|B` | a page of the runs that were added |
/// | `POST`, `GET /O/P/runs/R/statuses` | 201; what was posted |
/// | `POST`, `GET /O/P/runs/R/lineage/artifacts[?query=name:N]` | 201; a page of what was posted or added |
/// | `GET /O/P/runs/R/lineage/artifacts/N` | that one |
/// | `PATCH /O/P/runs/R` | the run, after outputs were merged or replaced |
/// | `GET /O/P/versions/KIND/V` | a version that was added |
///
/// Everything else is 404, or 405 for another method. Answers are packed when that makes them smaller, asked for or
/// not, as there. As long as no run was added any run is known; as long as no token was added any token is.
/// Dropping it closes its port.
#[derive(Debug)]
pub struct FakeTracking {
    address: SocketAddr,
    shared: Arc<Shared>,
    _background: Background,
    _searched: Searched,
}

/// A call the API was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenCall {
    /// As `GET`.
    pub method: String,
    /// Without the query, as it was sent.
    pub path: String,
    /// What follows the question mark, as it was sent; empty when nothing does.
    pub query: String,
    /// All headers, as they were sent.
    pub headers: Vec<(String, String)>,
    /// The body as it was sent.
    pub text: String,
    /// The body as JSON; null when it is empty or none.
    pub body: Value,
    /// What the client was told; `None` when its connection was reset, or while it still waits.
    pub status: Option<u16>,
}

impl SeenCall {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    log: Mutex<Vec<SeenCall>>,
    count: watch::Sender<usize>,
    wire: Arc<Wire>,
}

impl FakeTracking {
    /// One on a free port.
    pub async fn start() -> Self {
        let listener = loopback::listener();
        let address = loopback::address_of(&listener);
        let (wire, searched) = Wire::start("tracking API");
        let count = watch::Sender::new(0);
        let shared = Arc::new(Shared { state: Mutex::default(), log: Mutex::default(), count, wire });
        Planted::here().token(&lock(&shared.state).given.0);
        let serving = Arc::clone(&shared);
        let background = Background::run("fake-tracking", move || {
            serve(listener, move |request| handle(Arc::clone(&serving), request))
        });
        Self { address, shared, _background: background, _searched: searched }
    }

    /// As `http://127.0.0.1:PORT`, which is what `POLYAXON_HOST` takes.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Adds a run of a project. From now on other runs are not there.
    pub fn add_run(&self, owner: &str, project: &str, uuid: &str, name: Option<&str>) {
        lock(&self.shared.state).add_run(owner, project, uuid, name);
    }

    /// Adds an artifact, as `{"name", "kind", "path", …}`, to a run's lineage.
    pub fn add_artifact(&self, uuid: &str, artifact: Value) {
        lock(&self.shared.state).add_artifact(uuid, artifact);
    }

    /// Adds a version of a project, of kind `model` or `artifact`. It is answered as it is given.
    pub fn add_version(&self, owner: &str, project: &str, kind: &str, name: &str, version: Value) {
        lock(&self.shared.state).add_version([owner, project, kind, name], version);
    }

    /// The token that impersonation gives from now on, and whose it is.
    pub fn give(&self, token: &str, username: &str) {
        Planted::here().token(token);
        lock(&self.shared.state).given = (token.to_owned(), username.to_owned());
    }

    /// Adds an `Authorization` that is accepted, as `Token abc`. From now on others are refused with 401; what
    /// impersonation gives is accepted too.
    pub fn accept(&self, authorization: &str) {
        Planted::here().token(authorization.rsplit(' ').next().unwrap_or_default());
        lock(&self.shared.state).accepted.push(authorization.to_owned());
    }

    /// The next `n` calls whose path ends like that get this status, and nothing else happens.
    pub fn fail(&self, path_suffix: &str, status: u16, n: usize) {
        lock(&self.shared.state).failing.push((path_suffix.to_owned(), status, n));
    }

    /// The next `n` calls whose path ends like that find their connection reset.
    pub fn reset(&self, path_suffix: &str, n: usize) {
        self.fail(path_suffix, 0, n);
    }

    /// Calls whose path ends like that are never answered.
    pub fn hang(&self, path_suffix: &str) {
        lock(&self.shared.state).hanging.push(path_suffix.to_owned());
    }

    /// All calls so far, in the order they came.
    pub fn calls(&self) -> Vec<SeenCall> {
        lock(&self.shared.log).clone()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        lock(&self.shared.log).clear();
        self.shared.count.send_replace(0);
    }

    /// The same, and searches them now, for what is planted by now, and not at the end: a long life would fill the memory.
    pub fn forget_all(&self) {
        self.forget_calls();
        self.shared.wire.search_and_forget(&Planted::here());
    }

    /// Waits until so many calls have come.
    pub async fn came(&self, calls: usize) {
        let mut count = self.shared.count.subscribe();
        // The sender lives as long as this server.
        count.wait_for(|count| *count >= calls).await.ok();
    }

    /// The bodies posted to a run's statuses, in order.
    pub fn statuses(&self, uuid: &str) -> Vec<Value> {
        lock(&self.shared.state).statuses.get(uuid).cloned().unwrap_or_default()
    }

    /// The outputs of a run; null when none were set.
    pub fn outputs(&self, uuid: &str) -> Value {
        lock(&self.shared.state).outputs.get(uuid).cloned().map_or(Value::Null, Value::Object)
    }

    /// The artifacts of a run's lineage, in the order they came.
    pub fn artifacts(&self, uuid: &str) -> Vec<Value> {
        lock(&self.shared.state).artifacts.get(uuid).cloned().unwrap_or_default()
    }
}

async fn handle(shared: Arc<Shared>, request: Request) -> Result<Response, Reset> {
    let asked = shared.wire.note_request(&request);
    let (head, body) = request.into_parts();
    let body = collect(body).await?;
    asked.more(&body);
    let text = String::from_utf8_lossy(&body).into_owned();
    let seen = SeenCall {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: all_headers(&head.headers),
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
        status: None,
    };
    let place = {
        let mut log = lock(&shared.log);
        log.push(seen.clone());
        shared.count.send_replace(log.len());
        log.len() - 1
    };
    let (hangs, answered) = {
        let mut state = lock(&shared.state);
        (state.hangs(&seen.path), api::answer(&mut state, &seen))
    };
    if hangs {
        // Longer than anybody waits; the server's end ends it.
        tokio::time::sleep(Duration::from_secs(86_400)).await;
    }
    let answered = answered?;
    if let Some(seen) = lock(&shared.log).get_mut(place) {
        seen.status = Some(answered.status);
    }
    Ok(packed(answered))
}

/// As `haupt/common/apis/gzip.py`.
fn packed(answered: Answered) -> Response {
    let plain = answered.body.map(|body| body.to_string()).unwrap_or_default();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(plain.as_bytes()).and_then(|()| encoder.finish());
    match packed {
        Ok(packed) if packed.len() < plain.len() => {
            let mut response = answer(answered.status, "application/json", packed);
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
        _ => answer(answered.status, "application/json", plain),
    }
}
