//! Where a repository is: the urls that git takes, taken apart, with their secrets set aside.
//!
//! Own code and not the `url` crate, since git's addresses are more than urls (`git@host:path`, `host/path`, paths) and
//! are written again as the user wrote them. `url` has the last word on what HTTP will be asked for.

mod error;
mod names;
mod parse;
mod relative;
mod route;
#[cfg(test)]
mod tests;

pub use error::AddressError;
pub use names::repository_name;
pub use parse::parse;
pub use route::{Means, Route, route};

use parse::decoded;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use std::fmt;
use std::net::Ipv6Addr;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `https://`.
    Https,
    /// `http://`.
    Http,
    /// `ssh://`, `git+ssh://`, `ssh+git://` and `user@host:path`.
    Ssh,
    /// `git://`, without any login.
    Git,
    /// `file://`.
    File,
    /// A plain path.
    Local,
}

impl Scheme {
    /// The scheme as it stands in a url; empty for a plain path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Git => "git",
            Self::File => "file",
            Self::Local => "",
        }
    }

    /// True for `https` and `http`.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Https | Self::Http)
    }

    /// True for a repository on this machine.
    pub fn is_local(self) -> bool {
        matches!(self, Self::File | Self::Local)
    }

    fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
            Self::Ssh => 22,
            Self::Git => 9418,
            Self::File | Self::Local => 0,
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "https" => Some(Self::Https),
            "http" => Some(Self::Http),
            "ssh" | "git+ssh" | "ssh+git" => Some(Self::Ssh),
            "git" => Some(Self::Git),
            "file" => Some(Self::File),
            _ => None,
        }
    }
}

/// Where a repository is, without any secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// How it is reached.
    pub scheme: Scheme,
    /// Who logs in, decoded; SSH only.
    pub user: Option<String>,
    /// The host as written, an IPv6 address without its brackets; empty for what is on this machine.
    pub host: String,
    /// The port, when one was written.
    pub port: Option<u16>,
    /// The path as written: with its leading `/` and its query in a url, as it is after the colon of `host:path`.
    pub path: String,
    /// Written as `user@host:path`.
    scp: bool,
}

/// A user and a password, decoded. `Debug` shows neither: a token alone stands where the user does.
#[derive(Clone)]
pub struct Login {
    /// The user, or a token.
    pub user: String,
    /// The password or token; may be empty.
    pub password: SecretString,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// What a path from `host:path` must not hold as it is when it stands in a url.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#').add(b'"').add(b'<').add(b'>');
/// The same for a user: letters, digits and what RFC 3986 leaves unreserved stay.
const USER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Address {
    fn local(scheme: Scheme, host: String, path: String) -> Self {
        Self { scheme, user: None, host, port: None, path, scp: false }
    }

    /// What a transport takes: a url for what is elsewhere, a decoded path for what is on this machine. The user of an
    /// SSH address is `git` unless it names one; what `host:path` has for a path is encoded.
    pub fn to_request(&self) -> String {
        match self.scheme {
            Scheme::Local => self.path.clone(),
            Scheme::File => decoded(&self.path).unwrap_or_else(|_| self.path.clone()),
            Scheme::Ssh => {
                let user = utf8_percent_encode(self.user.as_deref().unwrap_or("git"), USER);
                let path = if self.scp {
                    format!("/{}", utf8_percent_encode(self.path.trim_start_matches('/'), PATH))
                } else {
                    self.path.clone()
                };
                format!("ssh://{user}@{}{path}", self.authority())
            }
            // What is only not shown is asked with all the same.
            Scheme::Https | Scheme::Http | Scheme::Git => {
                format!("{}://{}{}", self.scheme.as_str(), self.authority(), self.path)
            }
        }
    }

    /// The argument of `git-upload-pack` on an SSH server, decoded, as git gives it: `host:path` is relative to the home
    /// folder, a url's path is absolute, `/~user` begins with `~`. None for other schemes.
    pub fn upload_pack_path(&self) -> Option<String> {
        if self.scheme != Scheme::Ssh {
            return None;
        }
        let path = if self.scp { self.path.clone() } else { decoded(&self.path).ok()? };
        Some(match path.strip_prefix('/') {
            Some(home) if home.starts_with('~') => home.to_owned(),
            // What begins with a dash would be an option over there.
            None if path.starts_with('-') => format!("./{path}"),
            _ => path,
        })
    }

    /// The host and the port that is connected to; none for what is on this machine.
    pub fn host_port(&self) -> Option<(&str, u16)> {
        (!self.scheme.is_local()).then(|| (self.host.as_str(), self.port.unwrap_or(self.scheme.port())))
    }

    /// True when both are asked for over HTTP at the same scheme, host and port, so that a login for one is one for the
    /// other.
    pub fn same_host(&self, other: &Self) -> bool {
        let ip = |address: &Self| address.host.parse::<Ipv6Addr>().ok();
        self.scheme.is_http()
            && self.scheme == other.scheme
            && self.host_port().map(|(_, port)| port) == other.host_port().map(|(_, port)| port)
            && (self.host.eq_ignore_ascii_case(&other.host)
                || ip(self).is_some_and(|it| ip(other) == Some(it)))
    }

    /// `host[:port]`, an IPv6 address in brackets.
    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        self.port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
    }
}

/// The address as it goes to `.git/config` and to logs: what the user wrote, without a password or, over HTTP, a user.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = |user: &Option<String>| user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
        match self.scheme {
            Scheme::Local => f.write_str(&self.path),
            Scheme::Ssh if self.scp => {
                let host = self.authority();
                let host = if self.port.is_some() { format!("[{host}]") } else { host };
                write!(f, "{}{host}:{}", user(&self.user), self.path)
            }
            _ => {
                let name = self.user.as_ref().map(|name| utf8_percent_encode(name, USER).to_string());
                // A query may hold a token.
                let end = self.path.find(['?', '#']).filter(|_| self.scheme.is_http());
                let path = &self.path[..end.unwrap_or(self.path.len())];
                write!(f, "{}://{}{}{path}", self.scheme.as_str(), user(&name), self.authority())
            }
        }
    }
}
