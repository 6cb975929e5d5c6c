//! HTTP clients: trust, proxies, time-outs. Every request of this crate goes through one of the two made here.

use crate::StoreError;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpService};
use plx_contract::network::{Network, NetworkError, Proxy};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const USER_AGENT: &str = concat!("plx-runtime/", env!("CARGO_PKG_VERSION"));
/// Of a store, as in the other tools.
const CONNECT: Duration = Duration::from_secs(10);
/// Metadata services are next door; STS and Entra are not, but answer with a few kilobytes.
const IDENTITY_CONNECT: Duration = Duration::from_secs(3);
const IDENTITY_WHOLE: Duration = Duration::from_secs(10);

/// How one connection reaches the network.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    /// The connection's name, for errors.
    pub connection: String,
    /// Trust and proxies.
    pub network: Network,
    /// Whether certificates are checked at all.
    pub verify: bool,
}

impl Wire {
    /// The client of a store at a URL.
    pub fn store(&self, url: &Url) -> Result<reqwest::Client, StoreError> {
        // The time of a whole request depends on its size: plx-transfer bounds it, by progress.
        let builder = self.through(self.builder(url), url)?;
        self.built(builder.connect_timeout(CONNECT).pool_max_idle_per_host(256))
    }

    /// The client of a service that hands out credentials.
    pub fn identity(&self, url: &Url) -> Result<reqwest::Client, StoreError> {
        let builder = self.through(self.builder(url), url)?;
        self.built(builder.connect_timeout(IDENTITY_CONNECT).timeout(IDENTITY_WHOLE))
    }

    /// The client of what hands out credentials on this machine. A proxy would answer with the identity of its own, and
    /// read what is handed out.
    pub fn agent(&self, url: &Url) -> Result<reqwest::Client, StoreError> {
        self.built(self.builder(url)?.connect_timeout(IDENTITY_CONNECT).timeout(IDENTITY_WHOLE))
    }

    /// The proxy that a URL is reached through, without its password; none when it is reached directly.
    pub fn proxy_of(&self, url: &Url) -> Option<String> {
        let network = &self.network;
        let proxy = network.proxy_for(url.scheme())?;
        if self.is_direct(url) {
            return None;
        }
        // The same matcher that the client has inside.
        let matcher = hyper_util::client::proxy::matcher::Matcher::builder()
            .all(proxy.url())
            .no(network.direct())
            .build();
        matcher.intercept(&url.as_str().parse().ok()?)?;
        Some(format!("{} ({})", proxy.host(), proxy.variable))
    }

    fn is_direct(&self, url: &Url) -> bool {
        self.network.is_direct(url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0))
    }

    fn builder(&self, url: &Url) -> Result<reqwest::ClientBuilder, StoreError> {
        let builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            // HTTP/2 puts all transfers of a host into one connection, and that is slower for large ones.
            .http1_only()
            // A signature is made for one host: who follows a redirect arrives without a valid one.
            .redirect(reqwest::redirect::Policy::none())
            // Nothing of the process environment: the settings come from the container's own.
            .no_proxy()
            .danger_accept_invalid_certs(!self.verify);
        let mut certificates = Vec::new();
        for bundle in &self.network.ca {
            let parsed = reqwest::Certificate::from_pem_bundle(bundle.pem.as_bytes())
                .map_err(|_| StoreError::Ca { variable: bundle.variable, path: bundle.path.clone() })?;
            certificates.extend(parsed);
        }
        // A container without a CA bundle can speak plain HTTP, as long as nothing else is asked of it.
        let tls_proxy =
            self.network.http_proxy.as_ref().is_some_and(|proxy| proxy.url().starts_with("https:"));
        Ok(if url.scheme() == "http" && !tls_proxy {
            builder.tls_certs_only(certificates)
        } else {
            builder.tls_certs_merge(certificates)
        })
    }

    /// Puts the proxies in between that a URL is to be reached through.
    fn through(
        &self,
        builder: Result<reqwest::ClientBuilder, StoreError>,
        url: &Url,
    ) -> Result<reqwest::ClientBuilder, StoreError> {
        let mut builder = builder?;
        if self.is_direct(url) {
            return Ok(builder);
        }
        let network = &self.network;
        let direct = reqwest::NoProxy::from_string(&network.direct());
        let wrong = |proxy: &Proxy| NetworkError::Proxy { variable: proxy.variable };
        if let Some(proxy) = &network.http_proxy {
            let made = reqwest::Proxy::http(proxy.url()).map_err(|_| wrong(proxy))?;
            builder = builder.proxy(made.no_proxy(direct.clone()));
        }
        if let Some(proxy) = &network.https_proxy {
            let made = reqwest::Proxy::https(proxy.url()).map_err(|_| wrong(proxy))?;
            builder = builder.proxy(made.no_proxy(direct));
        }
        Ok(builder)
    }

    fn built(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::Client, StoreError> {
        builder.build().map_err(|source| StoreError::Client {
            connection: self.connection.clone(),
            source: Box::new(source.without_url()),
        })
    }
}

/// Hands the library a client that is there already.
#[derive(Debug, Clone)]
pub(crate) struct Ready(pub Arc<dyn HttpService>);

impl HttpConnector for Ready {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Shared(Arc::clone(&self.0))))
    }
}

#[derive(Debug)]
struct Shared(Arc<dyn HttpService>);

#[async_trait::async_trait]
impl HttpService for Shared {
    async fn call(
        &self,
        request: object_store::client::HttpRequest,
    ) -> Result<object_store::client::HttpResponse, object_store::client::HttpError> {
        self.0.call(request).await
    }
}
