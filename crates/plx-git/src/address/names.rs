//! What a repository is called: in its folder's name and in the code reference.

use super::parse::split_scheme;
use super::{Address, Scheme};

/// The name of the folder a repository is cloned to when no connection names it: the last segment up to its first dot.
/// None where that leaves nothing.
pub fn repository_name(raw: &str) -> Option<String> {
    let text = raw.trim_matches(' ');
    let last = match split_scheme(text) {
        Some((scheme, rest)) => {
            let http = Scheme::named(scheme).is_some_and(Scheme::is_http);
            let rest = if http { rest.split(['?', '#']).next()? } else { rest };
            rest.trim_end_matches('/').rsplit_once('/')?.1
        }
        None => {
            let text = text.trim_end_matches('/');
            text.rsplit_once('/').or_else(|| text.rsplit_once(':')).map_or(text, |(_, last)| last)
        }
    };
    let name = last.split('.').next()?;
    (!name.is_empty() && !name.contains(char::is_control)).then(|| name.to_owned())
}

impl Address {
    /// The url of the code reference, which people open: `git@host:path.git` and `ssh://git@host/path.git` become
    /// `https://host/path` (a port becomes a segment, as in the reference), everything else stays. The reference leaves
    /// userinfo in; this does not.
    pub fn code_url(&self) -> String {
        if self.scheme != Scheme::Ssh || self.user.as_deref() != Some("git") {
            return self.to_string();
        }
        let host = Self { port: None, ..self.clone() }.authority();
        let port = self.port.map_or_else(String::new, |port| format!("/{port}"));
        format!("https://{host}{port}/{}", without_git(self.path.trim_start_matches('/')))
    }
}

/// A path without slashes and a `.git` at its end.
pub(super) fn without_git(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.strip_suffix(".git").unwrap_or(path)
}
