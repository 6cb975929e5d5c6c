//! The url of a submodule, relative to that of its repository, by the rules of git's `relative_url` (`remote.c`).

use super::parse::{checked, parse};
use super::{Address, AddressError, Login, Scheme};

impl Address {
    /// The address that `url` of a `.gitmodules` means: `./` and `../` are relative to this one, all others stand for
    /// themselves. Other than git this never climbs into the host: `https://h/r` with `../../x` is `https://x` there.
    ///
    /// # Errors
    /// As [`parse`], and when there are more `../` than segments.
    pub fn join(&self, relative: &str) -> Result<(Self, Option<Login>), AddressError> {
        let mut rest = checked(relative)?;
        if !rest.starts_with("./") && !rest.starts_with("../") {
            return parse(rest);
        }
        let mut base = self.path.strip_suffix('/').unwrap_or(&self.path);
        // What is not absolute loses its last segment together with the separator.
        let mut separator = if base.is_empty() && self.is_path_relative() { "" } else { "/" };
        loop {
            if let Some(after) = rest.strip_prefix("../") {
                (base, separator) = self.parent(base, separator).ok_or_else(|| {
                    AddressError::TooManyParents { base: self.to_string(), relative: relative.to_owned() }
                })?;
                rest = after;
            } else if let Some(after) = rest.strip_prefix("./") {
                rest = after;
            } else {
                break;
            }
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let path = format!("{base}{separator}{rest}");
        let path =
            if self.scheme == Scheme::Local { path.strip_prefix("./").unwrap_or(&path) } else { &path };
        let joined = Self { path: path.to_owned(), ..self.clone() };
        // Once more through the gate: `../host:path` beside the path `repo` would be somewhere else.
        let (address, _) = parse(&joined.to_string())?;
        let place = |address: &Self| Self { path: String::new(), ..address.clone() };
        if place(&address) != place(self) {
            return Err(AddressError::Malformed {
                what: "a submodule's relative url reads as another host's",
            });
        }
        Ok((address, None))
    }

    fn is_path_relative(&self) -> bool {
        !self.path.starts_with('/') && (self.scp || self.scheme.is_local())
    }

    fn parent<'p>(&self, base: &'p str, separator: &'static str) -> Option<(&'p str, &'static str)> {
        if base.is_empty() || matches!(base, "." | "..") || base.ends_with("/..") {
            return None;
        }
        match base.rsplit_once('/') {
            Some((parent, _)) => Some((parent, separator)),
            None if self.is_path_relative() => Some(("", "")),
            None => None,
        }
    }
}
