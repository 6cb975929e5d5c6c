//! The services that say who a program is: those of AWS, Google and Azure, on one loopback port.

mod amazon;
mod azure;
mod google;
mod state;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use url::form_urlencoded;

pub use self::state::AwsKeys;
use self::state::{Answered, State};
use crate::http_server::{Request, Reset, Response, all_headers, answer, collect, lock, serve};
use crate::loopback::{self, Background};
use crate::planted::{Planted, Searched, Wire};

/// A running server that answers as each cloud's identity service does, on that service's own paths:
///
/// | what | path | refuses |
/// |---|---|---|
/// | EC2 (IMDSv2) | `/latest/api/token`, `/latest/meta-data/iam/security-credentials/` | reads without a token it gave |
/// | EKS pod identity, ECS | `/v1/credentials`, `/v2/credentials/…` | another `Authorization` than [`IdentityServer::set_pod_token`] |
/// | AWS STS, web identity | `POST /` | another token than [`IdentityServer::set_federated_token`] |
/// | Google metadata | `/computeMetadata/v1/…` | requests without `Metadata-Flavor: Google` |
/// | Azure IMDS | `/metadata/identity/oauth2/token` | requests without `Metadata: true`; another client id |
/// | Azure App Service | `/msi/token`, or the one above | another `X-IDENTITY-HEADER` than was set |
/// | Entra ID | `POST /{tenant}/oauth2/v2.0/token` | another secret or federated token than was set |
///
/// What it gives out is the same until it is set again, and expires when it was said to, as with the real ones.
#[derive(Debug)]
pub struct IdentityServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _background: Background,
    _searched: Searched,
}

/// A request the server was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenIdentity {
    /// As `GET`.
    pub method: String,
    /// As it was sent.
    pub path_and_query: String,
    /// All headers, as they were sent.
    pub headers: Vec<(String, String)>,
    /// As text.
    pub body: String,
    /// What the client was told; `None` when its connection was reset.
    pub status: Option<u16>,
}

impl SeenIdentity {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Option<String> {
        in_form(self.path_and_query.split_once('?')?.1, name)
    }

    /// A field of a form in the body.
    pub fn form(&self, name: &str) -> Option<String> {
        in_form(&self.body, name)
    }

    fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    log: Mutex<Vec<SeenIdentity>>,
    wire: Arc<Wire>,
    planted: Planted,
}

impl IdentityServer {
    /// One on a free port, that knows nobody yet.
    pub async fn start() -> Self {
        let listener = loopback::listener();
        let address = loopback::address_of(&listener);
        let (wire, searched) = Wire::start("identity-server");
        let planted = Planted::here();
        let shared = Shared { state: Mutex::default(), log: Mutex::default(), wire, planted };
        let shared = Arc::new(shared);
        let serving = Arc::clone(&shared);
        let background = Background::run("identity-server", move || {
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

    /// What EC2, pods and STS are given from now on.
    pub fn set_aws(&self, keys: AwsKeys) {
        self.shared.planted.key(&keys.secret_key);
        self.shared.planted.token(&keys.token);
        lock(&self.shared.state).set_aws(keys);
    }

    /// What Google and Azure give out from now on, until its lifetime from now is over.
    pub fn set_bearer(&self, token: &str, lifetime: Duration) {
        self.shared.planted.token(token);
        lock(&self.shared.state).set_bearer(token, lifetime);
    }

    /// What a pod must show in `Authorization`. Without it nothing must be shown, as on ECS.
    pub fn set_pod_token(&self, token: &str) {
        self.shared.planted.token(token);
        lock(&self.shared.state).pod_token = Some(token.to_owned());
    }

    /// What an application must show to Entra ID as `client_secret`.
    pub fn set_client_secret(&self, secret: &str) {
        self.shared.planted.token(secret);
        lock(&self.shared.state).client_secret = Some(secret.to_owned());
    }

    /// What a pod must show to Entra ID as `client_assertion`, and to STS as `WebIdentityToken`.
    pub fn set_federated_token(&self, token: &str) {
        self.shared.planted.token(token);
        lock(&self.shared.state).federated_token = Some(token.to_owned());
    }

    /// What an app must show in `X-IDENTITY-HEADER`. Without it any value will do.
    pub fn set_identity_header(&self, secret: &str) {
        self.shared.planted.token(secret);
        lock(&self.shared.state).identity_header = Some(secret.to_owned());
    }

    /// The one managed identity of this Azure machine: another `client_id` is not found.
    pub fn set_client_id(&self, client_id: &str) {
        lock(&self.shared.state).client_id = Some(client_id.to_owned());
    }

    /// The next `n` requests get 503, as from a service that is not up yet.
    pub fn not_ready(&self, n: usize) {
        lock(&self.shared.state).not_ready = n;
    }

    /// The connections of the next `n` requests are reset.
    pub fn unreachable(&self, n: usize) {
        lock(&self.shared.state).unreachable = n;
    }

    /// Every request gets that status, until [`IdentityServer::refuse_none`].
    pub fn refuse_all(&self, status: u16) {
        lock(&self.shared.state).refuse_all = Some(status);
    }

    /// Takes [`IdentityServer::refuse_all`] back.
    pub fn refuse_none(&self) {
        lock(&self.shared.state).refuse_all = None;
    }

    /// All requests so far, in the order they came.
    pub fn requests(&self) -> Vec<SeenIdentity> {
        lock(&self.shared.log).clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        lock(&self.shared.log).clear();
    }
}

async fn handle(shared: Arc<Shared>, request: Request) -> Result<Response, Reset> {
    let asked = shared.wire.note_request(&request);
    let (head, body) = request.into_parts();
    let mut seen = SeenIdentity {
        method: head.method.to_string(),
        path_and_query: head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: all_headers(&head.headers),
        body: String::from_utf8_lossy(&collect(body).await?).into_owned(),
        status: None,
    };
    asked.more(seen.body.as_bytes());
    let answered = decide(&mut lock(&shared.state), &seen);
    // A session of IMDSv2 is made by being asked for.
    if let Some(Ok(session)) = (seen.path() == "/latest/api/token").then_some(&answered) {
        shared.planted.token(&session.body);
    }
    seen.status = answered.as_ref().ok().map(|answered| answered.status);
    lock(&shared.log).push(seen);
    answered.map(Answered::into_response)
}

fn decide(state: &mut State, seen: &SeenIdentity) -> Result<Answered, Reset> {
    if state.unreachable > 0 {
        state.unreachable -= 1;
        return Err(Reset);
    }
    if state.not_ready > 0 {
        state.not_ready -= 1;
        return Ok(Answered::text(503, "Service Unavailable"));
    }
    if let Some(status) = state.refuse_all {
        return Ok(Answered::text(status, "refused"));
    }
    let answered = amazon::answer(state, seen)
        .or_else(|| google::answer(state, seen))
        .or_else(|| azure::answer(state, seen))
        .unwrap_or_else(|| Answered::text(404, "Not Found"));
    Ok(answered)
}

impl Answered {
    fn into_response(self) -> Response {
        let mut response = answer(self.status, self.kind, self.body);
        for (name, value) in self.headers {
            response.headers_mut().insert(name, http::HeaderValue::from_static(value));
        }
        response
    }
}

fn in_form(form: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(form.as_bytes())
        .find(|(have, _)| have == name)
        .map(|(_, value)| value.into_owned())
}
