//! What looks like a secret: by the name it stands under, or by itself.
//!
//! For what is about to be stored where many may read it, as the spec of a pod. Nothing here knows whether something is a
//! secret; in doubt it is taken for one, except where a name says that the value is only a name, a place or a number.

mod names;
mod pairs;
mod text;

use names::Suspicion;

/// What stands in a secret's place.
pub const REDACTED: &str = "[redacted]";
/// Nothing this short is searched for in other texts: it would be found everywhere.
const SHORTEST: usize = 6;
/// Members of an object of Kubernetes below which people write what they like.
const FREE: [&str; 8] =
    ["annotations", "args", "command", "env", "exec", "httpGet", "message", "volumeAttributes"];

/// What became of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may be shown.
    Harmless,
    /// All of it is secret.
    Secret,
    /// It holds something secret, and this is the rest of it.
    Partly(String),
}

/// Judges the value of a variable, a header, or whatever else has a name and a value.
///
/// ```
/// # use plx_contract::secrets::{Verdict, of_variable};
/// assert_eq!(of_variable("DB_PASSWORD", "hunter2"), Verdict::Secret);
/// assert_eq!(of_variable("MAX_TOKENS", "4096"), Verdict::Harmless);
/// let proxy = of_variable("HTTP_PROXY", "http://me:hunter2@proxy:3128");
/// assert_eq!(proxy, Verdict::Partly("http://[redacted]@proxy:3128".to_owned()));
/// ```
pub fn of_variable(name: &str, value: &str) -> Verdict {
    if value == REDACTED {
        return Verdict::Harmless;
    }
    if names::suspicion(name) != Suspicion::None && !names::excuses(name, value) || text::is_bare_key(value) {
        return Verdict::Secret;
    }
    let document = serde_json::from_str::<serde_json::Value>(value);
    if let Ok(mut document @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) = document {
        // As it was written, when there is nothing in it.
        return if redact(&mut document, &[]) {
            Verdict::Partly(document.to_string())
        } else {
            Verdict::Harmless
        };
    }
    let login = text::without_login(value);
    match redacted(login.as_deref().unwrap_or(value), &[]).or(login) {
        Some(rest) => Verdict::Partly(rest),
        None => Verdict::Harmless,
    }
}

/// Takes what looks like a secret out of a document: an object of Kubernetes, or anything in JSON. Says whether there was any.
///
/// An object with `name` and `value` is a variable. Other members are judged by their names, less strictly, and all text by
/// what stands in it; text that is JSON is a document of its own, as in an annotation. `known` are secrets to be taken out
/// wherever people write what they like: a password may be the name of the namespace, too.
pub fn redact(document: &mut serde_json::Value, known: &[String]) -> bool {
    redact_in(document, known, false)
}

/// The same; `free` below a member of [`FREE`].
fn redact_in(document: &mut serde_json::Value, known: &[String], free: bool) -> bool {
    use serde_json::Value;
    match document {
        Value::String(text) => match redacted(text, if free { known } else { &[] }) {
            Some(rest) => {
                *text = rest;
                true
            }
            None => false,
        },
        Value::Array(list) => {
            let options = redact_options(list);
            list.iter_mut().fold(options, |any, one| redact_in(one, known, free) | any)
        }
        Value::Object(members) => {
            let mut any = redact_variable(members);
            for (name, member) in members.iter_mut() {
                // Selectors and labels hold nothing but names, and what fields an object has is told by names alone.
                if ["labels", "matchLabels", "nodeSelector", "managedFields"].contains(&name.as_str()) {
                    continue;
                }
                let is_secret = |text: &str| {
                    text != REDACTED
                        && names::suspicion(name) == Suspicion::Strong
                        && !names::excuses(name, text)
                };
                match member {
                    Value::String(text) if is_secret(text) => {
                        *text = REDACTED.to_owned();
                        any = true;
                    }
                    member => any |= redact_in(member, known, free || FREE.contains(&name.as_str())),
                }
            }
            any
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The secrets that stand in variables of a document as their whole value, long enough to be searched for elsewhere.
pub fn secrets_of(document: &serde_json::Value) -> Vec<String> {
    use serde_json::Value;
    let mut found = Vec::new();
    let mut left = vec![document];
    while let Some(next) = left.pop() {
        match next {
            Value::Array(list) => left.extend(list),
            Value::Object(members) => {
                if let (Some(Value::String(name)), Some(Value::String(value))) =
                    (members.get("name"), members.get("value"))
                    && value.len() >= SHORTEST
                    && of_variable(name, value) == Verdict::Secret
                {
                    found.push(value.clone());
                }
                left.extend(members.values());
            }
            _ => {}
        }
    }
    // A secret may be the beginning of another.
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.dedup();
    found
}

/// Text without its secrets; none when there are none.
fn redacted(text: &str, known: &[String]) -> Option<String> {
    if let Some(document) = document_in(text) {
        return redacted_document(document, known);
    }
    // As in `--config={…}`.
    let option = text.match_indices('=').find_map(|(at, _)| {
        let (before, after) = text.split_at(at + 1);
        after.trim_start().starts_with(['{', '[']).then_some((before, after))
    });
    if let Some((before, after)) = option
        && let Some(document) = document_in(after)
    {
        let (name, value) = (text::redacted(before, known), redacted_document(document, known));
        return (name.is_some() || value.is_some())
            .then(|| format!("{}{}", name.as_deref().unwrap_or(before), value.as_deref().unwrap_or(after)));
    }
    text::redacted(text, known)
}

/// An object or a list that is written in text and nothing beside it.
fn document_in(text: &str) -> Option<serde_json::Value> {
    text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str(text).ok()).flatten()
}

fn redacted_document(mut document: serde_json::Value, known: &[String]) -> Option<String> {
    redact_in(&mut document, known, true).then(|| document.to_string())
}

fn redact_variable(members: &mut serde_json::Map<String, serde_json::Value>) -> bool {
    use serde_json::Value;
    let (Some(Value::String(name)), Some(Value::String(value))) = (members.get("name"), members.get("value"))
    else {
        return false;
    };
    let rest = match of_variable(name, value) {
        Verdict::Harmless => return false,
        Verdict::Secret => REDACTED.to_owned(),
        Verdict::Partly(rest) => rest,
    };
    let changed = *value != rest;
    members.insert("value".to_owned(), Value::String(rest));
    changed
}

/// `--password` with its value as the next argument.
fn redact_options(list: &mut [serde_json::Value]) -> bool {
    use serde_json::Value;
    let mut any = false;
    for at in 1..list.len() {
        let Some(Value::String(option)) = list.get(at - 1) else { continue };
        let Some(name) = option.strip_prefix('-').filter(|name| !name.contains('=')) else { continue };
        if names::suspicion(name) != Suspicion::Strong {
            continue;
        }
        let name = name.to_owned();
        if let Some(Value::String(value)) = list.get_mut(at)
            && !value.starts_with('-')
            && value != REDACTED
            && !names::excuses(&name, value)
        {
            *value = REDACTED.to_owned();
            any = true;
        }
    }
    any
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
