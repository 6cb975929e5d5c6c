//! Which way a repository is asked for, given what this container can log in with.
//!
//! The reference (`polyaxon/_init/git.py`) rewrites urls as text and breaks what it did not expect; here only
//! `https`, `http`, `user@host:path` and `host/path` are rewritten, and only as a whole.

use super::names::without_git;
use super::parse::{checked, holds_a_login, lacks_slashes, parse, scp_colon, split_scheme};
use super::{Address, AddressError, Login, Scheme};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

/// By which means this container can log in.
#[derive(Debug, Clone, Default)]
pub struct Means {
    /// `POLYAXON_GIT_CREDENTIALS`, also when it is empty.
    pub credentials: Option<SecretString>,
    /// The file of `POLYAXON_GIT_CREDENTIALS_STORE` is there.
    pub store: bool,
    /// `POLYAXON_SSH_PATH` is there.
    pub ssh: bool,
}

/// Where to ask, and as whom.
#[derive(Debug, Clone)]
pub struct Route {
    /// Where the repository is.
    pub address: Address,
    /// Who asks; for HTTP, or for an SSH url with a password.
    pub login: Option<Login>,
}

/// The route to a repository. The first of the means that is there decides:
///
/// | means | `https`, `http` | `user@host:path` | `host/path` |
/// |---|---|---|---|
/// | credentials | login replaced | `https://host/path` | `https://host/path` |
/// | store | – | `https://host/path` if the user is `git` or it ends in `.git` | the same |
/// | ssh | `git@host:path.git` | – | – |
/// | none | – | – | – |
///
/// Empty credentials replace no login. `https://` made of another form loses a final `.git`.
///
/// # Errors
/// As [`parse`].
pub fn route(raw: &str, means: &Means) -> Result<Route, AddressError> {
    let text = checked(raw)?;
    if let Some(credentials) = &means.credentials {
        let (address, own) = match schemeless(text) {
            Some(rest) => over_https(&rest)?,
            None => parse(text)?,
        };
        let login = match address.scheme.is_http() {
            true => login_of(credentials.expose_secret()).or(own),
            false => own,
        };
        return Ok(Route { address, login });
    }
    let git = text.starts_with("git@") || text.trim_end_matches('/').ends_with(".git");
    let (address, login) = match schemeless(text) {
        Some(rest) if means.store && git => over_https(&rest)?,
        _ => parse(text)?,
    };
    if means.ssh && !means.store && address.scheme.is_http() {
        return Ok(Route { address: over_ssh(&address)?, login: None });
    }
    Ok(Route { address, login })
}

fn over_https(rest: &str) -> Result<(Address, Option<Login>), AddressError> {
    let (address, login) = parse(&format!("https://{rest}"))?;
    // `git` is whom SSH asks for, not an account.
    Ok((address, login.filter(|login| login.user != "git")))
}

/// What follows `https://` when `user@host:path` or `host/path` is asked for over HTTPS; none for all other forms.
fn schemeless(text: &str) -> Option<String> {
    if split_scheme(text).is_some() || lacks_slashes(text) || text.starts_with(['/', '.', '~']) {
        return None;
    }
    // A colon that was lost: `https` would be the host, and the login a part of the path.
    if text.contains("//") {
        return None;
    }
    let text = without_git(text);
    let (first, rest) = text.split_once('/').unwrap_or((text, ""));
    let host = first.rsplit_once('@').map_or(first, |(_, host)| host);
    if holds_a_login(text) {
        return Some(text.to_owned());
    }
    let Some(colon) = scp_colon(text) else { return text.contains('/').then(|| text.to_owned()) };
    // `host:8443/path` without a user is what people write who forget the scheme.
    let port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if port && !first.contains('@') && !rest.is_empty() {
        return Some(text.to_owned());
    }
    let (address, _) = parse(text).ok()?;
    let user = text[..colon].rsplit_once('@').map_or_else(String::new, |(user, _)| format!("{user}@"));
    let host = Address { port: None, ..address.clone() }.authority();
    Some(format!("{user}{host}/{}", address.path.trim_start_matches('/')))
}

/// `git@host:path.git`, without user and port of HTTP.
fn over_ssh(address: &Address) -> Result<Address, AddressError> {
    let path = without_git(address.path.trim_start_matches('/'));
    if path.is_empty() {
        return Err(AddressError::Malformed { what: "it has a host and no path" });
    }
    Ok(Address {
        scheme: Scheme::Ssh,
        user: Some("git".to_owned()),
        host: address.host.clone(),
        port: None,
        path: format!("{path}.git"),
        scp: true,
    })
}

/// The login that `POLYAXON_GIT_CREDENTIALS` holds: `user:token` or a token alone, encoded as in a url. None when it is
/// empty. A newline at its end, as files have, is not part of it.
pub fn login_of(credentials: &str) -> Option<Login> {
    let credentials = credentials.trim_end_matches(['\r', '\n']);
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    if user.is_empty() && password.is_empty() {
        return None;
    }
    let decoded =
        |text: &str| percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Into::into);
    Some(Login { user: decoded(user), password: decoded(password).into() })
}
