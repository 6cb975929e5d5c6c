//! What `-c` says about a transfer.

use crate::address;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::path::PathBuf;
use url::Url;

/// Settings that count while a repository is fetched, and that are not written to the clone.
#[derive(Clone, Default)]
pub struct Transfer {
    /// `http[.URL].sslVerify`, in order; see [`Transfer::verifies`].
    pub ssl_verify: Vec<(Option<String>, bool)>,
    /// `http.sslCAInfo`: a file of certificates.
    pub ca_info: Option<String>,
    /// `http.proxy`: a URL, perhaps with a login.
    pub proxy: Option<SecretString>,
    /// `http.extraHeader`: `Name: value` each.
    pub headers: Vec<SecretString>,
    /// `http.userAgent`.
    pub user_agent: Option<String>,
    /// `http.followRedirects`; none is git's `initial`.
    pub follow_redirects: Option<bool>,
    /// `credential.helper=store --file=PATH`: credential stores, absolute paths.
    pub stores: Vec<PathBuf>,
    /// `url.BASE.insteadOf=FROM`: BASE, which may hold a login, and FROM.
    pub instead_of: Vec<(String, String)>,
    /// `protocol.file.allow`: whether a submodule may be a repository of this machine. None is git's own rule.
    pub allow_file: Option<bool>,
}

impl Transfer {
    /// What is said about the certificate of a URL's host. As in git: scheme, host, port and whole segments of the path
    /// must fit (`*` stands for one label of a host), the more exact setting wins, and among equals the last.
    pub fn verifies(&self, url: &Url) -> Option<bool> {
        let fitting = self.ssl_verify.iter().filter_map(|(scope, verify)| {
            let rank = scope.as_deref().map_or(Some((0, 0)), |scope| rank(&Url::parse(scope).ok()?, url))?;
            Some((rank, *verify))
        });
        fitting.max_by_key(|(rank, _)| *rank).map(|(_, verify)| verify)
    }

    /// The settings that decide what a clone holds, without logins.
    pub(super) fn shaping(&self) -> impl Iterator<Item = String> {
        let allow = self
            .allow_file
            .map(|allow| format!("protocol.file.allow={}", if allow { "always" } else { "never" }));
        self.instead_of
            .iter()
            .map(|(base, from)| format!("url.{}.insteadof={}", bare(base), bare(from)))
            .chain(allow)
    }

    fn parts(&self) -> impl PartialEq + '_ {
        let headers: Vec<_> = self.headers.iter().map(ExposeSecret::expose_secret).collect();
        (
            (&self.ssl_verify, &self.ca_info, self.proxy.as_ref().map(ExposeSecret::expose_secret), headers),
            (&self.user_agent, self.follow_redirects, &self.stores, &self.instead_of, self.allow_file),
        )
    }
}

/// How exactly a scope fits a URL; none when it does not.
fn rank(scope: &Url, url: &Url) -> Option<(usize, usize)> {
    let (wanted, host) = (scope.host_str()?, url.host_str()?);
    let label = |(wanted, label): (&str, &str)| wanted == "*" || wanted == label;
    let same = wanted.split('.').count() == host.split('.').count()
        && wanted.split('.').zip(host.split('.')).all(label);
    let path = scope.path().trim_end_matches('/');
    let beneath = url.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let fits = scope.scheme() == url.scheme()
        && scope.port_or_known_default() == url.port_or_known_default()
        && same
        && beneath;
    // A star counts less than any name; a scope always counts more than none.
    fits.then(|| (wanted.split('.').filter(|label| *label != "*").count() + 1, path.len()))
}

/// A URL or the beginning of one, without a login.
fn bare(url: &str) -> String {
    match address::parse(url) {
        Ok((address, _)) => address.to_string(),
        Err(_) => url.rsplit('@').next().unwrap_or_default().to_owned(),
    }
}

impl PartialEq for Transfer {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Transfer {}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instead_of: Vec<_> =
            self.instead_of.iter().map(|(base, from)| (bare(base), bare(from))).collect();
        f.debug_struct("Transfer")
            .field("ssl_verify", &self.ssl_verify)
            .field("ca_info", &self.ca_info)
            .field("proxy", &self.proxy)
            .field("headers", &self.headers)
            .field("user_agent", &self.user_agent)
            .field("follow_redirects", &self.follow_redirects)
            .field("stores", &self.stores)
            .field("instead_of", &instead_of)
            .field("allow_file", &self.allow_file)
            .finish()
    }
}
