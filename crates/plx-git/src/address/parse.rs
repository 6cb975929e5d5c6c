//! Takes addresses apart as git reads them, and refuses what would mean two things.

use super::{Address, AddressError, Login, Scheme};
use percent_encoding::percent_decode_str;
use std::net::Ipv6Addr;

/// Of a path that `git daemon` takes.
const LONGEST: usize = 4096;

/// Takes an address apart, and what it holds of a login.
///
/// The login of an SSH address is there only when it has a password; its user is in the address.
///
/// # Errors
/// When it is empty, uses a scheme that is not supported, or would mean two things. No error repeats the text.
pub fn parse(raw: &str) -> Result<(Address, Option<Login>), AddressError> {
    let text = checked(raw)?;
    if let Some((helper, _)) = text.split_once("::")
        && is_scheme(helper)
    {
        return Err(AddressError::Scheme { name: format!("{helper}::") });
    }
    if let Some((name, rest)) = split_scheme(text) {
        let scheme =
            Scheme::named(name).ok_or_else(|| AddressError::Scheme { name: format!("{name}://") })?;
        return parse_url(scheme, rest);
    }
    if lacks_slashes(text) {
        return Err(AddressError::Malformed { what: "its scheme lacks the `//` after the colon" });
    }
    if holds_a_login(text) {
        return Err(AddressError::LoginWithoutScheme);
    }
    if let Some(address) = parse_scp(text)? {
        return Ok((address, None));
    }
    Ok((Address::local(Scheme::Local, String::new(), text.to_owned()), None))
}

/// The text that is there, if it is one that can be an address at all.
pub(super) fn checked(raw: &str) -> Result<&str, AddressError> {
    let text = raw.trim_matches(' ');
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    if text.contains(char::is_control) {
        return Err(AddressError::Control);
    }
    Ok(text)
}

fn is_scheme(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.'))
}

pub(super) fn split_scheme(text: &str) -> Option<(&str, &str)> {
    text.split_once("://").filter(|(name, _)| is_scheme(name))
}

/// True for `https:host/path` and `ssh:/host/path`, which would name a host `https` or `ssh`.
pub(super) fn lacks_slashes(text: &str) -> bool {
    let Some((name, rest)) = text.split_once(':') else { return false };
    Scheme::named(name).is_some_and(|scheme| {
        rest.starts_with('/') || matches!(scheme, Scheme::Https | Scheme::Http | Scheme::File)
    })
}

/// True for `user:token@host/path` and `token@host.com/path`: a login whose url lost its scheme. Git would read the one
/// as the host `user` and the other as a path, and both would end up in logs.
pub(super) fn holds_a_login(text: &str) -> bool {
    // `https//user:token@host`, which lost its colon, and `//user:token@host`, which lost more.
    if text.split_once("//").is_some_and(|(_, rest)| rest.contains('@')) {
        return true;
    }
    if text.starts_with(['/', '.', '~']) {
        return false;
    }
    let (first, more) = text.split_once('/').map_or((text, false), |(first, _)| (first, true));
    let Some((user, host)) = first.rsplit_once('@') else { return false };
    let scp = host.contains(':');
    // `git@host:a@b/c`: nobody's mail address begins so.
    let git = user.starts_with("git@") && user.contains(':');
    (user.contains(':') && !git) || (more && !scp && !git && host.contains('.'))
}

fn parse_url(scheme: Scheme, rest: &str) -> Result<(Address, Option<Login>), AddressError> {
    // A question mark ends the host of an HTTP url, and of no other that git knows.
    let end = rest.find(if scheme.is_http() { &['/', '?', '#'][..] } else { &['/'] }).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if scheme == Scheme::File {
        if !matches!(authority, "" | "localhost") || path.is_empty() {
            return Err(AddressError::Malformed { what: "a file url is file:// and an absolute path" });
        }
        decoded(path)?;
        return Ok((Address::local(scheme, authority.to_owned(), path.to_owned()), None));
    }
    let (userinfo, host) = authority.rsplit_once('@').map_or((None, authority), |(u, h)| (Some(u), h));
    let (host, port) = split_host(host)?;
    let mut address = Address { scheme, user: None, host, port, path: path.to_owned(), scp: false };
    let login = userinfo.map(login_in).transpose()?.flatten();
    match scheme {
        // The path is decoded and sent as part of one line.
        Scheme::Git if decoded(path).is_err() || path.len() > LONGEST => {
            Err(AddressError::Malformed { what: "a git url has a path that is text, and not a long one" })
        }
        Scheme::Git if userinfo.is_some() => {
            Err(AddressError::Malformed { what: "a git url takes no login: nobody would ask for it" })
        }
        Scheme::Ssh => {
            decoded(path)?;
            let (user, password) = userinfo.unwrap_or("").split_once(':').unzip();
            let user = decoded(user.or(userinfo).unwrap_or(""))?;
            address.user = Some(user).filter(|user| !user.is_empty());
            check_user(address.user.as_deref())?;
            Ok((address, login.filter(|_| password.is_some_and(|password| !password.is_empty()))))
        }
        _ => {
            if scheme.is_http() && url::Url::parse(&address.to_request()).is_err() {
                return Err(AddressError::Malformed { what: "it is no url that HTTP can ask for" });
            }
            Ok((address, login))
        }
    }
}

/// `[user@]host:path`, if it is that: a colon before any slash.
fn parse_scp(text: &str) -> Result<Option<Address>, AddressError> {
    let Some(colon) = scp_colon(text) else { return Ok(None) };
    let (authority, path) = (&text[..colon], &text[colon + 1..]);
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(u, h)| (Some(u.to_owned()), h));
    // Git's own `[host:port]:path`.
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let ported =
        |inner: &&str| inner.parse::<Ipv6Addr>().is_err() && inner.contains(':') && !inner.ends_with(':');
    let (host, port) = split_host(inner.filter(ported).unwrap_or(host))?;
    check_user(user.as_deref())?;
    if path.is_empty() {
        return Err(AddressError::Malformed { what: "it has a host and no path" });
    }
    Ok(Some(Address { scheme: Scheme::Ssh, user, host, port, path: path.to_owned(), scp: true }))
}

pub(super) fn scp_colon(text: &str) -> Option<usize> {
    let host = text.find('@').filter(|at| !text[..*at].contains(['/', ':'])).map_or(0, |at| at + 1);
    let bracket = text[host..].starts_with('[').then(|| text[host..].find("]:")).flatten();
    let colon = match bracket {
        Some(end) => host + end + 1,
        None => text.find(':')?,
    };
    // `C:\x` and the like are paths, and so is whatever has a slash first.
    (!text[..colon].contains('/') && colon != 1).then_some(colon)
}

fn split_host(text: &str) -> Result<(String, Option<u16>), AddressError> {
    let malformed = |what| Err(AddressError::Malformed { what });
    let (host, port) = match text.strip_prefix('[').map(|inner| inner.split_once(']')) {
        Some(Some((inner, port))) => {
            if inner.parse::<Ipv6Addr>().is_err() {
                return malformed("what it has in brackets is no IPv6 address");
            }
            match port.strip_prefix(':') {
                None if !port.is_empty() => return malformed("something follows its IPv6 address"),
                port => (inner, port),
            }
        }
        Some(None) => return malformed("its IPv6 address lacks a bracket"),
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
            let named = |char: char| char.is_alphanumeric() || matches!(char, '.' | '-' | '_');
            if host.is_empty() {
                return malformed("it has no host");
            }
            if host.starts_with('-') {
                return malformed("its host begins with `-`");
            }
            if !host.chars().all(named) {
                return malformed("its host is no name of a host");
            }
            (host, port)
        }
    };
    let port = match port {
        None | Some("") => None,
        Some(port) => match port.parse() {
            // `parse` alone would take `+22`.
            Ok(number) if number != 0 && !port.starts_with('+') => Some(number),
            _ => return malformed("its port is no number from 1 to 65535"),
        },
    };
    Ok((host.to_owned(), port))
}

fn check_user(user: Option<&str>) -> Result<(), AddressError> {
    match user {
        Some(user) if user.is_empty() || user.starts_with('-') => {
            Err(AddressError::Malformed { what: "its user is empty or begins with `-`" })
        }
        _ => Ok(()),
    }
}

/// The login in the userinfo of a url; none when it is empty.
fn login_in(userinfo: &str) -> Result<Option<Login>, AddressError> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let (user, password) = (decoded(user)?, decoded(password)?);
    if user.is_empty() && password.is_empty() {
        return Ok(None);
    }
    Ok(Some(Login { user, password: password.into() }))
}

/// Decodes what stands in a url; hidden control characters are as little welcome as open ones.
pub(super) fn decoded(text: &str) -> Result<String, AddressError> {
    let text = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| AddressError::Malformed { what: "its percent-encoding is no UTF-8" })?;
    if text.contains(char::is_control) { Err(AddressError::Control) } else { Ok(text.into_owned()) }
}
