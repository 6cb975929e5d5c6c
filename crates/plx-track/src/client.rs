//! The calls.

use crate::call::{self, Call, Segment};
use crate::refusal::{self, Unread};
use crate::settings::{Credential, Settings};
use crate::types::{Impersonated, Page, Recorded, RunInfo, User, Version, VersionKind};
use crate::{TrackError, keys};
use backon::{ExponentialBuilder, Retryable};
use plx_contract::lineage::{Artifact, Status, artifacts_body};
use plx_contract::network::NetworkError;
use plx_contract::run::RunInstance;
use reqwest::Method;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

const USER_AGENT: &str = concat!("plx-runtime/", env!("CARGO_PKG_VERSION"));
const CONNECT: Duration = Duration::from_secs(10);
/// Rows of one page, as in the reference's client.
const PAGE: usize = 20;

/// The tracking API.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    settings: Arc<Settings>,
}

impl Client {
    /// A client of what the settings say. Nothing is called yet.
    ///
    /// # Errors
    /// When a proxy, a certificate or a key cannot be used.
    pub fn new(settings: Arc<Settings>) -> Result<Self, TrackError> {
        let http = http(&settings)?;
        Ok(Self { http, settings })
    }

    /// The host, for messages.
    pub fn host(&self) -> String {
        self.settings.host()
    }

    /// A token that the run's pod may use.
    ///
    /// # Errors
    /// As every call: the API is away, refuses, or answers something else.
    pub async fn impersonate(&self, run: &RunInstance) -> Result<SecretString, TrackError> {
        let path = [&call::run(run)[..], &[("path", "impersonate")]].concat();
        let answer: Impersonated = self.json(&self.call(Method::POST, &path)?, self.own()).await?;
        // From here on it stands in a header: what can stand in none is no token.
        Credential::new(&self.settings.user_kind, answer.token.clone()).header()?;
        Ok(answer.token)
    }

    /// Name of the user that a token belongs to.
    ///
    /// # Errors
    /// As every call.
    pub async fn username(&self, token: &SecretString) -> Result<String, TrackError> {
        let call = self.call(Method::GET, &[("path", "users")])?;
        let credential = Credential::new(&self.settings.user_kind, token.clone());
        Ok(self.json::<User>(&call, Some(&credential)).await?.username)
    }

    /// Adds a status to a run.
    ///
    /// # Errors
    /// As every call.
    pub async fn create_status(&self, run: &RunInstance, status: &Status) -> Result<(), TrackError> {
        let path = [&call::run(run)[..], &[("path", "statuses")]].concat();
        let body = status.body(chrono::Utc::now());
        self.send(&self.call(Method::POST, &path)?.with_body(body), self.own()).await.map(|_| ())
    }

    /// Adds artifacts to a run's lineage.
    ///
    /// # Errors
    /// As every call.
    pub async fn create_artifacts(
        &self,
        run: &RunInstance,
        artifacts: &[Artifact],
    ) -> Result<(), TrackError> {
        let call = self.call(Method::POST, &lineage(run))?.with_body(artifacts_body(artifacts));
        self.send(&call, self.own()).await.map(|_| ())
    }

    /// Sets outputs of a run by name; others stay as they are.
    ///
    /// # Errors
    /// As every call.
    pub async fn merge_outputs(
        &self,
        run: &RunInstance,
        outputs: &Map<String, Value>,
    ) -> Result<(), TrackError> {
        let body = json!({ "outputs": outputs, "merge": true });
        let call = self.call(Method::PATCH, &call::run(run))?.with_body(body);
        self.send(&call, self.own()).await.map(|_| ())
    }

    /// The artifacts of a run that have this name: usually one, none when there is no such artifact.
    ///
    /// # Errors
    /// As every call; not found when there is no such run.
    pub async fn artifacts_named(&self, run: &RunInstance, name: &str) -> Result<Vec<Recorded>, TrackError> {
        // What means something in a query cannot be asked for: then all are read.
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let query = plain.then(|| format!("name:{name}"));
        let mut all: Vec<Recorded> = self.list(&lineage(run), query.as_deref()).await?;
        all.retain(|artifact| artifact.name == name);
        Ok(all)
    }

    /// The runs of a project that have one of these uuids, in the API's order. Those there are not are left out.
    ///
    /// # Errors
    /// As every call.
    pub async fn runs(
        &self,
        owner: &str,
        project: &str,
        uuids: &[impl AsRef<str>],
    ) -> Result<Vec<RunInfo>, TrackError> {
        let path = [("owner", owner), ("project", project), ("path", "runs")];
        let mut all = Vec::new();
        // One page each: a query is as long as its uuids together, and servers bound a URL.
        for some in uuids.chunks(PAGE) {
            let uuids: Vec<&str> = some.iter().map(AsRef::as_ref).collect();
            all.extend(self.list(&path, Some(&format!("uuid:{}", uuids.join("|")))).await?);
        }
        Ok(all)
    }

    /// A version of a project.
    ///
    /// # Errors
    /// As every call; not found when there is none.
    pub async fn version(
        &self,
        owner: &str,
        project: &str,
        kind: VersionKind,
        name: &str,
    ) -> Result<Version, TrackError> {
        let path = [
            ("owner", owner),
            ("project", project),
            ("path", "versions"),
            ("path", kind.as_str()),
            ("version", name),
        ];
        self.json(&self.call(Method::GET, &path)?, self.own()).await
    }

    fn own(&self) -> Option<&Credential> {
        self.settings.credential.as_ref()
    }

    fn call(&self, method: Method, path: &[Segment<'_>]) -> Result<Call, TrackError> {
        Call::new(method, &self.settings.base, path)
    }

    /// All rows of a list, page by page.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &[Segment<'_>],
        query: Option<&str>,
    ) -> Result<Vec<T>, TrackError> {
        let limit = PAGE.to_string();
        let mut all = Vec::new();
        loop {
            let mut pairs = vec![("limit", limit.as_str())];
            let offset = all.len().to_string();
            if !all.is_empty() {
                pairs.push(("offset", &offset));
            }
            pairs.extend(query.map(|query| ("query", query)));
            let call = self.call(Method::GET, path)?.with_query(&pairs);
            let page: Page<T> = self.json(&call, self.own()).await?;
            let (rows, count) = (page.results.len(), page.count);
            all.extend(page.results);
            if rows == 0 || count.is_none_or(|count| all.len() >= count) {
                return Ok(all);
            }
        }
    }

    async fn json<T: DeserializeOwned>(
        &self,
        call: &Call,
        credential: Option<&Credential>,
    ) -> Result<T, TrackError> {
        let body = self.send(call, credential).await?;
        // The position alone: serde's words may quote the answer, and some answers are tokens.
        serde_json::from_slice(&body).map_err(|error| TrackError::Answer {
            call: call.shown(),
            why: match error.classify() {
                serde_json::error::Category::Data => "a field is missing or has another type".to_owned(),
                _ => "it is no JSON".to_owned(),
            },
        })
    }

    /// Sends a call, and again while no connection comes about: then nobody has seen it.
    async fn send(&self, call: &Call, credential: Option<&Credential>) -> Result<Vec<u8>, TrackError> {
        let waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(self.settings.retries);
        (|| self.send_once(call, credential))
            .retry(waits)
            .when(|error| matches!(error, TrackError::Unreachable { .. }))
            .await
    }

    async fn send_once(&self, call: &Call, credential: Option<&Credential>) -> Result<Vec<u8>, TrackError> {
        let mut request = self
            .http
            .request(call.method.clone(), call.url.clone())
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "identity");
        if let Some((name, value)) = &self.settings.header {
            request = request.header(name, value);
        }
        if let Some(credential) = credential {
            request = request.header(AUTHORIZATION, credential.header()?);
        }
        request = match &call.body {
            Some(body) => request
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.to_string()),
            // Some proxies refuse a POST without a length.
            None if call.method == Method::POST => request.header(CONTENT_LENGTH, 0),
            None => request,
        };
        let response = request.send().await.map_err(|error| failed(call, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let read = refusal::body(response).await;
        tracing::debug!("{}: {}", call.shown(), status.as_u16());
        if !status.is_success() {
            // A body that breaks off leaves the status, which is what matters.
            let fault = refusal::fault(status, &headers, &read.unwrap_or_default(), credential);
            let fault = Box::new(fault);
            let (call, with_token) = (call.shown(), credential.is_some());
            return Err(TrackError::Refused { call, fault, with_token });
        }
        read.map_err(|unread| match unread {
            Unread::Broken(error) => failed(call, error),
            Unread::Garbled(why) => TrackError::Answer { call: call.shown(), why },
        })
    }
}

fn lineage(run: &RunInstance) -> Vec<Segment<'_>> {
    [&call::run(run)[..], &[("path", "lineage"), ("path", "artifacts")]].concat()
}

/// What went wrong on the way.
fn failed(call: &Call, error: reqwest::Error) -> TrackError {
    let error = error.without_url();
    let mut root: &(dyn Error + 'static) = &error;
    while let Some(source) = root.source() {
        root = source;
    }
    let (call, why) = (call.shown(), root.to_string());
    if why.contains("certificate") || why.contains("UnknownIssuer") {
        return TrackError::Certificate { call, why };
    }
    if error.is_connect() {
        return TrackError::Unreachable { call, why };
    }
    let why = if error.is_timeout() { format!("not within {}", keys::TIMEOUT) } else { why };
    TrackError::Broken { call, why }
}

fn http(settings: &Settings) -> Result<reqwest::Client, TrackError> {
    let network = &settings.network;
    let unmade = |error: reqwest::Error| TrackError::Client { why: error.without_url().to_string() };
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .http1_only()
        // A token goes to the host that was named, and nowhere else.
        .redirect(reqwest::redirect::Policy::none())
        // Nothing of the process environment: the settings come from the container's own.
        .no_proxy()
        .connect_timeout(CONNECT)
        .timeout(settings.timeout)
        .danger_accept_invalid_certs(!settings.verify);
    let direct = reqwest::NoProxy::from_string(&network.direct());
    let wrong = |variable| move |_| NetworkError::Proxy { variable };
    // One host alone is called.
    let host = settings.base.host_str().unwrap_or_default();
    let asked = !network.is_direct(host, settings.base.port_or_known_default().unwrap_or(80));
    if let Some(proxy) = network.http_proxy.as_ref().filter(|_| asked) {
        let made = reqwest::Proxy::http(proxy.url()).map_err(wrong(proxy.variable))?;
        builder = builder.proxy(made.no_proxy(direct.clone()));
    }
    if let Some(proxy) = network.https_proxy.as_ref().filter(|_| asked) {
        let made = reqwest::Proxy::https(proxy.url()).map_err(wrong(proxy.variable))?;
        builder = builder.proxy(made.no_proxy(direct));
    }
    let mut certificates = Vec::new();
    for bundle in &network.ca {
        let parsed = reqwest::Certificate::from_pem_bundle(bundle.pem.as_bytes()).map_err(|_| {
            TrackError::File { path: bundle.path.clone(), what: "holds no certificates".to_owned() }
        })?;
        certificates.extend(parsed);
    }
    if let Some(pem) = &settings.identity {
        let identity = reqwest::Identity::from_pem(pem.expose_secret().as_bytes()).map_err(|_| {
            TrackError::Variable { key: keys::CERT_FILE, wanted: "certificate with a key (PEM)" }
        })?;
        builder = builder.identity(identity);
    }
    // Where only plain HTTP is spoken, a container without a CA bundle will do.
    let https_proxy = network.http_proxy.as_ref().is_some_and(|proxy| proxy.url().starts_with("https:"));
    let plain = settings.base.scheme() == "http" && !https_proxy;
    let builder =
        if plain { builder.tls_certs_only(certificates) } else { builder.tls_certs_merge(certificates) };
    builder.build().map_err(unmade)
}
