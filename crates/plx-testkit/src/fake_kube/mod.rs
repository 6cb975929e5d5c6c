//! The API server of a Kubernetes cluster, on loopback, as a pod meets it.

mod account;
mod api;
mod lists;
mod logs;
mod objects;
mod pods;
mod seen;
mod state;
mod stream;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use self::account::Account;
pub use self::seen::SeenKube;
use self::state::State;
use crate::http_server::{Request, Reset, Response, collect, lock, serve};
use crate::loopback::{self, Background};
use crate::planted::{Planted, Searched, Wire};
use crate::{Times, TlsFront};

/// A cluster that holds pods of one namespace, `polyaxon`, and answers as an API server does:
///
/// | call, below `/api/v1/namespaces/NS` | answer |
/// |---|---|
/// | `GET /pods/P`, `GET /pods/P/status` | the pod |
/// | `GET /pods`, `/services`, `/events` `[?labelSelector=][&fieldSelector=][&limit=][&continue=]` | a list or a part of it, with the version that a watch goes on from |
/// | `GET /apis/metrics.k8s.io/v1beta1/namespaces/NS/pods/P` | what its containers use, when [`FakeKube::uses`] said so |
/// | `GET /pods/P/log?container=C[&timestamps][&follow][&previous][&sinceTime=T]` | its lines, while it runs; 400 before it starts |
/// | `GET /pods?watch=true&resourceVersion=…` | each change since then as a line, until `timeoutSeconds` are over |
///
/// Without a token that it knows the answer is 401, without the right it is 403, both as a `Status`; a version that it has
/// forgotten is an `ERROR` event with 410 inside a 200. Versions are one count for all of the cluster. A right that is taken
/// away ends no watch that is open. Everything else is 404. It listens behind TLS with a private authority; dropping it
/// closes its port.
#[derive(Debug)]
pub struct FakeKube {
    tls: TlsFront,
    shared: Arc<Shared>,
    account: Account,
    _background: Background,
    _searched: Searched,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KubeFault {
    /// A `Status` with that code.
    Status(u16),
    /// 429 with `Retry-After`, in seconds.
    TooMany(u64),
    /// The connection is reset.
    Reset,
    /// It is never answered.
    Silence,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts what happens to the state: whoever watches looks again.
    changed: watch::Sender<u64>,
    log: Mutex<Vec<SeenKube>>,
    /// Counts calls and answers.
    logged: watch::Sender<u64>,
    wire: Arc<Wire>,
}

impl FakeKube {
    /// The namespace of its pods.
    pub const NAMESPACE: &str = "polyaxon";
    /// The main container of its pods.
    pub const MAIN: &str = "polyaxon-main";

    /// One on a free port, with a service account that may do everything.
    pub async fn start() -> Self {
        let listener = loopback::listener();
        let address = loopback::address_of(&listener);
        let (wire, searched) = Wire::start("Kubernetes API");
        let account = Account::new();
        let state = Mutex::new(State::new(account.token()));
        let (changed, logged) = (watch::Sender::new(0), watch::Sender::new(0));
        let shared = Arc::new(Shared { state, changed, log: Mutex::default(), logged, wire });
        let serving = Arc::clone(&shared);
        let background = Background::run("fake-kube", move || {
            serve(listener, move |request| handle(Arc::clone(&serving), request))
        });
        let tls = TlsFront::start(address, account.ca()).await;
        Self { tls, shared, account, _background: background, _searched: searched }
    }

    /// What the kubelet sets in each container, and Polyaxon's converter.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1".to_owned()),
            ("KUBERNETES_SERVICE_PORT", self.tls.addr().port().to_string()),
            ("PLX_SERVICE_ACCOUNT_DIR", self.account.folder().display().to_string()),
            ("POLYAXON_K8S_NAMESPACE", Self::NAMESPACE.to_owned()),
        ]
    }

    /// The folder of the service account: `ca.crt`, `token`, `namespace`.
    pub fn account(&self) -> &Path {
        self.account.folder()
    }

    /// A new token stands in the service account's folder, and the old one is refused.
    pub fn rotate_token(&self) {
        let token = self.account.rotate();
        lock(&self.shared.state).token = token;
    }

    /// Takes a right away: a verb (`get`, `list`, `watch`) on a resource (`pods`, `pods/status`, `pods/log`, `events`,
    /// `services`, `pods.metrics.k8s.io`); `*` is any.
    pub fn deny(&self, verb: &str, resource: &str) {
        lock(&self.shared.state).denied.push((verb.to_owned(), resource.to_owned()));
    }

    /// Gives all rights back.
    pub fn allow_all(&self) {
        lock(&self.shared.state).denied.clear();
    }

    /// Calls of a verb, `*` for any, or of a verb and a resource, as `get pods/log`, fail so and so often.
    pub fn fail(&self, verb: &str, fault: KubeFault, times: Times) {
        lock(&self.shared.state).fail(verb, fault, times);
    }

    /// From now on nothing is answered, and open watches say nothing any more. A connection that fell in stays dead.
    pub fn black_hole(&self) {
        self.tell(State::black_hole);
    }

    /// No call fails any more. What hangs then hangs on.
    pub fn recover(&self) {
        lock(&self.shared.state).recover();
    }

    /// Ends all open watches in the middle of a line.
    pub fn cut_watches(&self) {
        self.tell(|state| state.cuts += 1);
    }

    /// Forgets all changes so far: a watch from a version before now is answered with 410.
    pub fn forget_changes(&self) {
        lock(&self.shared.state).forget();
    }

    /// Sends a bookmark to all watches that want them.
    pub fn bookmark(&self) {
        self.tell(State::bookmark);
    }

    /// Adds a pod whose main container runs.
    pub fn start_pod(&self, name: &str, restart_policy: &str) {
        self.tell(|state| state.add(name, pods::running(name, restart_policy)));
    }

    /// Adds a pod, or puts it in the place of another of its name; it gets a uid of its own.
    pub fn put_pod(&self, name: &str, pod: Value) {
        self.tell(|state| state.add(name, pod));
    }

    /// Changes a pod in any way.
    ///
    /// # Panics
    /// When there is none of that name; so do all that follow.
    pub fn change_pod(&self, name: &str, change: impl FnOnce(&mut Value)) {
        self.tell(|state| state.change(name, change));
    }

    /// Main runs; again, when it ended before.
    pub fn main_runs(&self, name: &str) {
        self.change_pod(name, pods::main_runs);
    }

    /// Main ended, as with 137 and `OOMKilled`.
    pub fn main_ended(&self, name: &str, exit_code: i64, reason: &str) {
        self.change_pod(name, |pod| pods::main_ended(pod, exit_code, reason));
    }

    /// Main waits, as for `CrashLoopBackOff`.
    pub fn main_waits(&self, name: &str, reason: &str) {
        self.change_pod(name, |pod| pods::main_waits(pod, reason));
    }

    /// The pod as a whole is in a phase, with a reason and words when they are not empty.
    pub fn pod_phase(&self, name: &str, phase: &str, reason: &str, message: &str) {
        self.change_pod(name, |pod| pods::phase(pod, phase, reason, message));
    }

    /// What tells a pod from another of its name.
    pub fn uid(&self, name: &str) -> String {
        let state = lock(&self.shared.state);
        let pod = state.pods.get(name).expect("a pod that is there");
        pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
    }

    /// A container prints a line at that time, in nanoseconds.
    pub fn print(&self, pod: &str, container: &str, at: i64, line: impl AsRef<[u8]>) {
        let line = [line.as_ref(), b"\n"].concat();
        self.tell(|state| state.print(pod, container, at, &line));
    }

    /// A container prints a last line and does not end it.
    pub fn print_without_end(&self, pod: &str, container: &str, at: i64, line: impl AsRef<[u8]>) {
        self.tell(|state| state.print(pod, container, at, line.as_ref()));
    }

    /// A line of a log with the time that it has in there, whatever that is.
    pub fn print_as_it_is(&self, pod: &str, container: &str, at: i64, line: impl AsRef<[u8]>) {
        let line = [line.as_ref(), b"\n"].concat();
        self.tell(|state| state.print_as_it_is(pod, container, at, &line));
    }

    /// Of all that a container printed so many lines are left. What follows its log now has seen them.
    pub fn rotate_log(&self, pod: &str, container: &str, keep: usize) {
        self.tell(|state| state.rotate_log(pod, container, keep));
    }

    /// A start of a container is removed, as old ones are: the pod's status may still name it.
    pub fn remove_log(&self, pod: &str, container: &str, start: u64) {
        self.tell(|state| state.remove_log(pod, container, start));
    }

    /// Cuts all open logs.
    pub fn cut_logs(&self) {
        self.tell(|state| state.logs.cuts += 1);
    }

    /// Logs end where they are, those of containers that run as well: as where a kubelet tells nobody of their end.
    pub fn end_logs(&self, end: bool) {
        self.tell(|state| state.logs.end = end);
    }

    /// Cuts the next answers with logs, one after the other, after so many bytes each.
    pub fn cut_next_logs_after(&self, bytes: impl IntoIterator<Item = usize>) {
        self.tell(|state| state.logs.limits.extend(bytes));
    }

    /// Somebody asked for its deletion: it is there until its containers have ended.
    pub fn deletion_began(&self, name: &str) {
        self.change_pod(name, pods::deletion_began);
    }

    /// It is no more.
    pub fn delete_pod(&self, name: &str) {
        self.tell(|state| state.delete(name));
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.shared.state));
        self.shared.changed.send_modify(|count| *count += 1);
    }

    /// All calls so far, in the order they came.
    pub fn calls(&self) -> Vec<SeenKube> {
        lock(&self.shared.log).clone()
    }

    /// Forgets the calls so far. One that still waits for its answer is not heard of again.
    pub fn forget_calls(&self) {
        lock(&self.shared.log).clear();
    }

    /// The same, and searches them now, for what is planted by now, and not at the end: a long life would fill the memory.
    pub fn forget_all(&self) {
        self.forget_calls();
        self.shared.wire.search_and_forget(&Planted::here());
    }

    /// Waits until so many calls of a verb, `*` for any, have come.
    pub async fn came(&self, verb: &str, n: usize) {
        self.until(|call| call.is(verb), n).await;
    }

    /// Waits until so many calls of a verb, `*` for any, were answered with that status. A watch is answered as soon as
    /// it is open.
    pub async fn answered(&self, verb: &str, status: u16, n: usize) {
        self.until(|call| call.is(verb) && call.status == Some(status), n).await;
    }

    async fn until(&self, fits: impl Fn(&SeenKube) -> bool, n: usize) {
        let mut logged = self.shared.logged.subscribe();
        let enough = |_: &u64| lock(&self.shared.log).iter().filter(|call| fits(call)).count() >= n;
        // The sender lives as long as this server.
        logged.wait_for(enough).await.ok();
    }
}

async fn handle(shared: Arc<Shared>, request: Request) -> Result<Response, Reset> {
    let asked = shared.wire.note_request(&request);
    let (head, body) = request.into_parts();
    asked.more(&collect(body).await?);
    let seen = SeenKube::of(&head);
    let id = seen.id;
    lock(&shared.log).push(seen.clone());
    shared.logged.send_modify(|count| *count += 1);
    let fault = lock(&shared.state).fault(&seen);
    match fault {
        Some(KubeFault::Reset) => return Err(Reset),
        // Longer than anybody waits; the server's end ends it.
        Some(KubeFault::Silence) => tokio::time::sleep(Duration::from_secs(86_400)).await,
        Some(KubeFault::Status(_) | KubeFault::TooMany(_)) | None => {}
    }
    let response = api::answer(&shared, &seen, fault);
    let mut log = lock(&shared.log);
    if let Some(seen) = log.iter_mut().find(|seen| seen.id == id) {
        seen.status = Some(response.status().as_u16());
    }
    drop(log);
    shared.logged.send_modify(|count| *count += 1);
    Ok(response)
}
