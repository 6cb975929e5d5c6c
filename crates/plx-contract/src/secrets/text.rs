//! Secrets within text, by their shape.

use super::REDACTED;
use super::pairs::pairs;

/// What tokens begin with, and how long they are at least.
const PREFIXES: [(&str, usize); 19] = [
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("hf_", 20),
    ("sk-", 20),
    ("AIza", 30),
    ("ya29.", 20),
    ("npm_", 30),
    ("pypi-", 30),
    ("dckr_pat_", 20),
    ("sk_live_", 20),
    ("rk_live_", 20),
];
/// What ids of keys of AWS begin with; all have 20 capitals and digits.
const AWS_IDS: [&str; 3] = ["AKIA", "ASIA", "ABIA"];
/// In their URLs what stands before `@` is a container.
const CONTAINERS: [&str; 4] = ["wasb", "wasbs", "abfs", "abfss"];
/// Keys of AWS have so many characters.
const AWS_KEY: usize = 40;

/// Text without its secrets and those that are known; none when there are none.
pub(super) fn redacted(text: &str, known: &[String]) -> Option<String> {
    let mut now = text.to_owned();
    for secret in known {
        if now.contains(secret.as_str()) {
            now = now.replace(secret.as_str(), REDACTED);
        }
    }
    for step in [private_keys, logins_of_urls, pairs, tokens] {
        if let Some(next) = step(&now) {
            now = next;
        }
    }
    (now != text).then_some(now)
}

/// Whether a value has the form of one of AWS's keys and nothing else beside it.
pub(super) fn is_bare_key(value: &str) -> bool {
    let has = |fits: fn(&u8) -> bool| value.bytes().any(|byte| fits(&byte));
    value.len() == AWS_KEY
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'/' || byte == b'+')
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
        // A path has more.
        && value.matches('/').count() <= 3
}

/// `user:password@` at the beginning of a value that is no URL, as in `user:password@tcp(host)/db`.
pub(super) fn without_login(value: &str) -> Option<String> {
    let (login, rest) = value.split_once('@')?;
    let (user, password) = login.split_once(':')?;
    let plain =
        |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "/{[\"'".contains(c));
    (plain(user) && plain(password) && user != "mailto").then(|| format!("{REDACTED}@{rest}"))
}

fn private_keys(text: &str) -> Option<String> {
    const BEGIN: &str = "-----BEGIN ";
    let (mut made, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(BEGIN) {
        let (before, key) = rest.split_at(at);
        let title =
            key.get(BEGIN.len()..).and_then(|after| after.split_once("-----")).map(|(title, _)| title);
        if !title.is_some_and(|title| title.ends_with("PRIVATE KEY")) {
            let (skipped, after) = rest.split_at(at + BEGIN.len());
            made.push_str(skipped);
            rest = after;
            continue;
        }
        made.push_str(before);
        made.push_str(REDACTED);
        // One that is cut is secret to its end.
        let end = key.find("-----END ").and_then(|end| {
            let line = end + "-----END ".len();
            Some(line + key.get(line..)?.find("-----")? + "-----".len())
        });
        rest = end.and_then(|end| key.get(end..)).unwrap_or_default();
    }
    finished(made, rest, text)
}

fn logins_of_urls(text: &str) -> Option<String> {
    let (mut made, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        made.push_str(before);
        rest = after;
        let ends = |c: char| c.is_whitespace() || "/?#\"'<>\\`".contains(c);
        let authority = after.split(ends).next().unwrap_or_default();
        let Some(login) = authority.rfind('@') else { continue };
        let scheme = before.trim_end_matches("://").rsplit(|c: char| !c.is_ascii_alphanumeric()).next();
        let scheme = scheme.unwrap_or_default();
        let (user, host) = after.split_at(login);
        // The user of SSH is a name.
        let is_name = scheme == "ssh" && !user.contains(':') || CONTAINERS.contains(&scheme);
        if !is_name && user != REDACTED {
            made.push_str(REDACTED);
            rest = host;
        }
    }
    finished(made, rest, text)
}

/// JSON web tokens, ids of AWS's keys, tokens with a known beginning, and what follows `Bearer` and `Basic`.
fn tokens(text: &str) -> Option<String> {
    let (mut made, mut rest, mut last) = (String::new(), text, "");
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    while let Some(at) = rest.find(is_part) {
        let (before, after) = rest.split_at(at);
        made.push_str(before);
        if last.eq_ignore_ascii_case("basic")
            && let Some(login) = login_of(after)
        {
            made.push_str(REDACTED);
            (last, rest) = ("", &after[login.len()..]);
            continue;
        }
        let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
        let (word, next) = after.split_at(end);
        let bearer = last.eq_ignore_ascii_case("bearer");
        made.push_str(if bearer && word.len() >= 16 || is_token(word) { REDACTED } else { word });
        (last, rest) = (word, next);
    }
    finished(made, rest, text)
}

/// `user:password` in base64, at the beginning of text: `Basic` is a word of English, too.
fn login_of(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/_-".contains(c);
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let padding = text[end..].len() - text[end..].trim_start_matches('=').len();
    let (mut bits, mut held) = (0_u32, 0_u32);
    let has_colon = text[..end].bytes().any(|byte| {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            _ => 63,
        };
        (bits, held) = (bits << 6 | u32::from(six), held + 6);
        held >= 8 && {
            held -= 8;
            bits >> held & 0xff == u32::from(b':')
        }
    });
    has_colon.then(|| &text[..end + padding])
}

fn is_token(word: &str) -> bool {
    let is_aws = word.len() == 20
        && AWS_IDS.iter().any(|begin| word.starts_with(begin))
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let is_jwt = word.len() >= 30 && word.starts_with("eyJ") && word.matches('.').count() >= 2;
    is_aws
        || is_jwt
        || PREFIXES.iter().any(|(begin, length)| word.starts_with(begin) && word.len() >= *length)
}

pub(super) fn finished(mut made: String, rest: &str, text: &str) -> Option<String> {
    made.push_str(rest);
    (made != text).then_some(made)
}
