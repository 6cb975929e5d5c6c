//! The HTTP client of one host: trust, proxies, time-outs.

use super::Session;
use crate::GitError;
use crate::address::Address;
use plx_contract::network::{CaBundle, Network, NetworkError, Proxy};
use secrecy::ExposeSecret;
use std::sync::PoisonError;
use std::time::Duration;
use url::Url;

const CONNECT: Duration = Duration::from_secs(10);
/// Git servers tell a git client from a browser by the first word.
pub(super) const USER_AGENT: &str = concat!("git/2.0 (plx-init/", env!("CARGO_PKG_VERSION"), ")");

impl Session {
    /// The client of a URL's host; the same for every request to it.
    pub(super) fn client(&self, url: &Url) -> Result<reqwest::Client, GitError> {
        let verify = self.transfer.verifies(url).unwrap_or(self.access.verify);
        // What is said of one path of a host does not hold for another.
        let origin = format!("{} {verify}", url.origin().ascii_serialization());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&origin) {
            return Ok(client.clone());
        }
        let client = self.build(url, verify)?;
        clients.insert(origin, client.clone());
        Ok(client)
    }

    fn build(&self, url: &Url, verify: bool) -> Result<reqwest::Client, GitError> {
        let network = &self.access.network;
        let mut builder = reqwest::Client::builder()
            .user_agent(self.transfer.user_agent.as_deref().unwrap_or(USER_AGENT))
            .http1_only()
            // A login is for one host, so redirects are looked at before they are followed.
            .redirect(reqwest::redirect::Policy::none())
            // Nothing of the process environment: the settings come from the container's own.
            .no_proxy()
            .connect_timeout(CONNECT)
            .danger_accept_invalid_certs(!verify);
        let mut certificates = Vec::new();
        for bundle in &network.ca {
            certificates.extend(parsed(bundle)?);
        }
        // Without a CA bundle in the container plain HTTP works all the same.
        let own_proxy = self.transfer.proxy.as_ref().map(|proxy| proxy.expose_secret());
        let proxy = own_proxy.or_else(|| network.http_proxy.as_ref().map(Proxy::url));
        let tls_proxy = proxy.is_some_and(|proxy| proxy.starts_with("https:"));
        builder = if url.scheme() == "http" && !tls_proxy {
            builder.tls_certs_only(certificates)
        } else {
            builder.tls_certs_merge(certificates)
        };
        let port = url.port_or_known_default().unwrap_or(0);
        if let Some(proxy) = &self.transfer.proxy {
            let wrong = |_| NetworkError::Proxy { variable: "http.proxy" };
            let proxy = reqwest::Proxy::all(proxy.expose_secret()).map_err(wrong)?;
            let direct = reqwest::NoProxy::from_string(&network.direct());
            if !network.is_direct(url.host_str().unwrap_or_default(), port) {
                builder = builder.proxy(proxy.no_proxy(direct));
            }
        } else if !network.is_direct(url.host_str().unwrap_or_default(), port) {
            builder = through(builder, network)?;
        }
        builder.build().map_err(|error| GitError::Unavailable {
            at: without_secrets(url),
            why: format!("an HTTP client cannot be made: {}", super::chain(&error.without_url())),
        })
    }
}

fn parsed(bundle: &CaBundle) -> Result<Vec<reqwest::Certificate>, NetworkError> {
    reqwest::Certificate::from_pem_bundle(bundle.pem.as_bytes()).map_err(|_| NetworkError::Ca {
        variable: bundle.variable,
        path: bundle.path.clone(),
        why: "it holds something that is no certificate".to_owned(),
    })
}

fn through(
    mut builder: reqwest::ClientBuilder,
    network: &Network,
) -> Result<reqwest::ClientBuilder, NetworkError> {
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

/// A URL as it may be shown: without user, password and query.
pub(super) fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that have no host, and these have no user either.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_query(None);
    url.into()
}

/// Whether what is only for the main repository's host may go to an address.
pub(super) fn is_main(session: &Session, address: &Address) -> bool {
    session.main.same_host(address)
}
