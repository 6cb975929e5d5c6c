//! `-c KEY=VALUE`: which settings are taken, which are refused, and why.
//!
//! A setting can name a program that git would run, here or in main. None of these is taken; nor is one that is not
//! known, since it may be the next of that kind.

use super::options::nearest;
use super::{FlagError, Flags};
use std::path::PathBuf;
use url::Url;

/// What a key means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// `http.sslVerify`, `http.URL.sslVerify`.
    SslVerify(Option<String>),
    /// `http.sslCAInfo`.
    CaInfo,
    /// `http.proxy`.
    Proxy,
    /// `http.extraHeader`.
    ExtraHeader,
    /// `http.userAgent`.
    UserAgent,
    /// `http.followRedirects`.
    FollowRedirects,
    /// `credential.helper`.
    CredentialHelper,
    /// `url.BASE.insteadOf`, with BASE.
    InsteadOf(String),
    /// `protocol.file.allow`.
    AllowFile,
    /// `protocol.allow`.
    AllowAll,
    /// For the configuration of the clone, under the key as git writes it.
    Written(String),
}

/// Sections whose settings are for main's git, but for those that name a program.
const SECTIONS: [&str; 26] = [
    "advice",
    "apply",
    "author",
    "blame",
    "branch",
    "color",
    "column",
    "commit",
    "committer",
    "diff",
    "fetch",
    "gc",
    "grep",
    "i18n",
    "index",
    "init",
    "log",
    "merge",
    "pack",
    "pull",
    "push",
    "rebase",
    "rerere",
    "safe",
    "status",
    "user",
];

/// Single settings that are written too: how files are checked out, and what is without effect here.
const KEYS: [&str; 31] = [
    "core.abbrev",
    "core.autocrlf",
    "core.bigfilethreshold",
    "core.checkstat",
    "core.commentchar",
    "core.commitgraph",
    "core.compression",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.logallrefupdates",
    "core.longpaths",
    "core.loosecompression",
    "core.multipackindex",
    "core.precomposeunicode",
    "core.preloadindex",
    "core.quotepath",
    "core.safecrlf",
    "core.symlinks",
    "core.trustctime",
    "core.untrackedcache",
    "core.warnambiguousrefs",
    "core.whitespace",
    "http.lowspeedlimit",
    "http.lowspeedtime",
    "http.maxrequests",
    "http.postbuffer",
    "http.version",
    "protocol.version",
    "submodule.fetchjobs",
    "submodule.recurse",
];

/// How the names of settings end that hold a program, or a folder with some.
const PROGRAMS: [&str; 15] = [
    "askpass",
    "browser",
    "clean",
    "cmd",
    "command",
    "driver",
    "editor",
    "external",
    "helper",
    "hook",
    "pager",
    "process",
    "program",
    "templatedir",
    "textconv",
];

const IN_MAIN: &str = "leave it out: it names a program; main can set it with `git config`";
const LFS: &str = "leave it out: run `git lfs pull` in main, or get large files by an artifacts connection";
const LOGIN: &str = "use POLYAXON_GIT_CREDENTIALS, POLYAXON_GIT_CREDENTIALS_STORE, or -c 'credential.helper=store --file=PATH' with an absolute path";
const CHECKOUT: &str = "leave it out: all files are checked out beside .git";
const CERTIFICATE: &str = "use credentials or an SSH key: client certificates are not supported";
const UNSCOPED: &str = "write it without a url; a header only goes to the repository's own host";

/// What is refused for a reason of its own; `section.` stands for all of it.
const REFUSED: [(&str, &str); 40] = [
    ("alias.", IN_MAIN),
    ("core.alternaterefscommand", IN_MAIN),
    ("core.askpass", LOGIN),
    ("core.attributesfile", "commit a .gitattributes"),
    ("core.bare", CHECKOUT),
    ("core.editor", IN_MAIN),
    ("core.excludesfile", "commit a .gitignore"),
    ("core.fsmonitor", IN_MAIN),
    ("core.gitproxy", "use https:// with HTTPS_PROXY or -c http.proxy=URL"),
    ("core.hookspath", "leave it out: no hooks are run here; main can set it with `git config`"),
    ("core.pager", IN_MAIN),
    ("core.protecthfs", "leave it out: names that mean .git somewhere are never written"),
    ("core.protectntfs", "leave it out: names that mean .git somewhere are never written"),
    ("core.sparsecheckout", CHECKOUT),
    ("core.sparsecheckoutcone", CHECKOUT),
    ("core.sshcommand", "give the folder with the SSH key in POLYAXON_SSH_PATH"),
    ("core.worktree", CHECKOUT),
    ("credential.", LOGIN),
    ("difftool.", IN_MAIN),
    ("extensions.", "leave it out: the repository's format is libgit2's"),
    ("fetch.bundleuri", "leave it out, or use --depth=1 to fetch less"),
    ("filter.", LFS),
    ("gpg.", IN_MAIN),
    ("http.cookiefile", "use -c 'http.extraHeader=Cookie: …'"),
    ("http.emptyauth", LOGIN),
    ("http.sslcapath", "use -c http.sslCAInfo=FILE"),
    ("http.sslcert", CERTIFICATE),
    ("http.sslkey", CERTIFICATE),
    ("include.", "give the settings themselves"),
    ("includeif.", "give the settings themselves"),
    ("interactive.", IN_MAIN),
    ("lfs.", LFS),
    ("mergetool.", IN_MAIN),
    ("protocol.", "leave it out: only protocol.file.allow can be set"),
    ("receive.", "leave it out: nothing is received here"),
    ("remote.", "leave it out: the remote is origin, at the url of the repository"),
    ("sequence.", IN_MAIN),
    ("submodule.", "correct .gitmodules, or choose with --recurse-submodules=PATH"),
    ("uploadpack.", "leave it out: nothing is sent from here"),
    ("url.", "use url.BASE.insteadOf"),
];

/// What a key means, or why it is not taken.
///
/// # Errors
/// When it is no key, not known, or refused.
pub fn config_key(key: &str) -> Result<Meaning, FlagError> {
    let Key { section, middle, name } = Key::parse(key)?;
    let refused = |way| FlagError::RefusedKey { key: shown(&section, middle, &name), way };
    let whole = format!("{section}.{name}");
    match (section.as_str(), middle, name.as_str()) {
        ("http", None, "sslverify") => return Ok(Meaning::SslVerify(None)),
        ("http", Some(url), "sslverify") => return Ok(Meaning::SslVerify(Some(scope(url, &whole)?))),
        ("http", Some(_), _) => return Err(refused(UNSCOPED)),
        ("http", None, "sslcainfo") => return Ok(Meaning::CaInfo),
        ("http", None, "proxy") => return Ok(Meaning::Proxy),
        ("http", None, "extraheader") => return Ok(Meaning::ExtraHeader),
        ("http", None, "useragent") => return Ok(Meaning::UserAgent),
        ("http", None, "followredirects") => return Ok(Meaning::FollowRedirects),
        ("credential", None, "helper") => return Ok(Meaning::CredentialHelper),
        ("url", Some(base), "insteadof") => return Ok(Meaning::InsteadOf(base.to_owned())),
        ("protocol", Some("file"), "allow") => return Ok(Meaning::AllowFile),
        ("protocol", None, "allow") => return Ok(Meaning::AllowAll),
        _ => {}
    }
    if middle.is_none() && KEYS.contains(&whole.as_str()) {
        return Ok(Meaning::Written(whole));
    }
    let all = |refused: &str| refused.strip_suffix('.').is_some_and(|refused| refused == section);
    if let Some((_, way)) = REFUSED.iter().find(|(refused, _)| *refused == whole || all(refused)) {
        return Err(refused(way));
    }
    if SECTIONS.contains(&section.as_str()) {
        // `color.pager` is a yes or no.
        if section != "color" && PROGRAMS.iter().any(|program| name.ends_with(program)) {
            return Err(refused(IN_MAIN));
        }
        let middle = middle.map_or_else(String::new, |middle| format!("{middle}."));
        return Ok(Meaning::Written(format!("{section}.{middle}{name}")));
    }
    let transfer = ["http.sslverify", "http.sslcainfo", "http.proxy", "http.extraheader", "http.useragent"];
    let others = ["http.followredirects", "credential.helper", "protocol.file.allow"];
    let known = KEYS.into_iter().chain(transfer).chain(others);
    let key = shown(&section, middle, &name);
    Err(FlagError::UnknownKey { nearest: nearest(&whole, known), key })
}

/// Takes one setting into the flags.
pub(super) fn apply(flags: &mut Flags, setting: &str) -> Result<(), FlagError> {
    // A key alone is a yes, as in git.
    let (key, value) = setting.split_once('=').unwrap_or((setting, "true"));
    let key = key.trim();
    let wrong = |wants| {
        let key = Key::parse(key).map(|key| shown(&key.section, key.middle, &key.name)).unwrap_or_default();
        FlagError::Value { option: format!("-c {key}"), wants }
    };
    let yes_or_no = |value| boolean(value).ok_or_else(|| wrong("true or false"));
    let transfer = &mut flags.transfer;
    match config_key(key)? {
        Meaning::SslVerify(scope) => transfer.ssl_verify.push((scope, yes_or_no(value)?)),
        Meaning::CaInfo if value.is_empty() => return Err(wrong("a file of certificates")),
        Meaning::CaInfo => transfer.ca_info = Some(value.to_owned()),
        Meaning::Proxy => {
            transfer.proxy = Some(proxy(value).ok_or_else(|| wrong("the url of an HTTP proxy"))?.into())
        }
        // An empty one takes back those before it.
        Meaning::ExtraHeader if value.is_empty() => transfer.headers.clear(),
        Meaning::ExtraHeader if is_header(value) => transfer.headers.push(value.into()),
        Meaning::ExtraHeader => return Err(wrong("a header, as in 'Name: value'")),
        Meaning::UserAgent if http::HeaderValue::from_str(value).is_ok() && !value.is_empty() => {
            transfer.user_agent = Some(value.to_owned());
        }
        Meaning::UserAgent => return Err(wrong("a name that a header can hold")),
        Meaning::FollowRedirects if value == "initial" => transfer.follow_redirects = None,
        Meaning::FollowRedirects => transfer.follow_redirects = Some(yes_or_no(value)?),
        Meaning::CredentialHelper if value.is_empty() => transfer.stores.clear(),
        Meaning::CredentialHelper => transfer.stores.push(store(value).ok_or_else(|| {
            FlagError::RefusedKey { key: "credential.helper of this form".to_owned(), way: LOGIN }
        })?),
        Meaning::InsteadOf(base) => transfer.instead_of.push((base, value.to_owned())),
        Meaning::AllowFile | Meaning::AllowAll if value == "always" => transfer.allow_file = Some(true),
        Meaning::AllowFile if value == "never" => transfer.allow_file = Some(false),
        Meaning::AllowFile | Meaning::AllowAll if value == "user" => transfer.allow_file = None,
        Meaning::AllowFile => return Err(wrong("always, never or user")),
        Meaning::AllowAll => return Err(wrong("always or user")),
        Meaning::Written(key) => flags.written.push((key, value.to_owned())),
    }
    Ok(())
}

/// A key in its parts: `section.name`, or `section.middle.name` where only the middle keeps its case.
struct Key<'k> {
    section: String,
    middle: Option<&'k str>,
    name: String,
}

impl<'k> Key<'k> {
    fn parse(key: &'k str) -> Result<Self, FlagError> {
        let wrong = || FlagError::Value { option: "-c".to_owned(), wants: "SECTION.NAME=VALUE" };
        let (section, rest) = key.split_once('.').ok_or_else(wrong)?;
        let (middle, name) = rest.rsplit_once('.').map_or((None, rest), |(m, n)| (Some(m), n));
        let word = |text: &str| {
            !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '-')
        };
        if !word(section) || !word(name) || !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err(wrong());
        }
        Ok(Self { section: section.to_ascii_lowercase(), middle, name: name.to_ascii_lowercase() })
    }
}

/// A key for people: the middle may be a url with a login.
fn shown(section: &str, middle: Option<&str>, name: &str) -> String {
    format!("{section}{}.{name}", if middle.is_some() { ".…" } else { "" })
}

/// The url that a setting of `http` is for.
fn scope(raw: &str, key: &str) -> Result<String, FlagError> {
    let fits = Url::parse(raw).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let wants = "in its middle the url of a host, without a login";
    if fits { Ok(raw.to_owned()) } else { Err(FlagError::Value { option: format!("-c {key}"), wants }) }
}

/// Git's yes and no.
fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" | "" => Some(false),
        number => number.parse::<i64>().ok().map(|number| number != 0),
    }
}

/// The proxy's url; without a scheme it is HTTP, as for curl. The HTTP client is built without SOCKS.
fn proxy(value: &str) -> Option<String> {
    let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let parsed = Url::parse(&url).ok()?;
    (parsed.has_host() && matches!(parsed.scheme(), "http" | "https")).then_some(url)
}

fn is_header(value: &str) -> bool {
    value.split_once(':').is_some_and(|(name, value)| {
        http::HeaderName::from_bytes(name.trim().as_bytes()).is_ok()
            && http::HeaderValue::from_str(value.trim()).is_ok()
    })
}

/// The path in `store --file=PATH` and `store --file PATH`.
fn store(value: &str) -> Option<PathBuf> {
    let words = shlex::split(value)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let path = match words.as_slice() {
        ["store", "--file", path] => path,
        ["store", file] => file.strip_prefix("--file=")?,
        _ => return None,
    };
    path.starts_with('/').then(|| PathBuf::from(path))
}
