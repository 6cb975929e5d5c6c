//! The environment of each container: nothing of the caller's but what is named here.

use plx_contract::connection::{Catalog, Connection};
use plx_contract::{Env, credential, env};
use serde_json::Value;
use std::collections::BTreeMap;

/// Variables of one container.
pub type Vars = BTreeMap<String, String>;

/// What every program needs from the machine it runs on.
const MACHINE: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "AWS_CA_BUNDLE",
    env::SSL_CA_CERT,
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// What main gets beyond that.
const PERSON: &[&str] = &["TERM", "USER"];

/// Knobs of our own two programs.
const OWN: &[&str] = &[
    env::DEBUG,
    env::LOG_FORMAT,
    env::OPTIONAL_INPUTS,
    env::RETRY_SECONDS,
    env::STALL_SECONDS,
    env::BUFFER_BYTES,
    env::SSH_KNOWN_HOSTS,
    env::GIT_SSL_CAINFO,
    env::GIT_SSL_NO_VERIFY,
];

/// Adds the caller's variables of these names.
pub fn pass<'a>(vars: &mut Vars, caller: &impl Env, names: impl IntoIterator<Item = &'a str>) {
    for name in names {
        if let Some(value) = caller.get(name) {
            vars.insert(name.to_owned(), value);
        }
    }
}

/// The start of every container's environment.
pub fn base(caller: &impl Env, env_pass: &[String]) -> Vars {
    let mut vars = Vars::new();
    pass(&mut vars, caller, MACHINE.iter().copied());
    pass(&mut vars, caller, env_pass.iter().map(String::as_str));
    vars
}

/// Adds what a person's own program expects.
pub fn person(vars: &mut Vars, caller: &impl Env) {
    pass(vars, caller, PERSON.iter().copied());
}

/// Adds the knobs of `plx-init` and `plx-sidecar`.
pub fn own(vars: &mut Vars, caller: &impl Env) {
    pass(vars, caller, OWN.iter().copied());
}

/// Adds the catalog of these connections and the caller's credentials for them, in each spelling the lookup reads.
/// A container that uses no connection gets neither.
pub fn connections(vars: &mut Vars, caller: &impl Env, used: &[&Connection]) {
    if used.is_empty() {
        return;
    }
    for connection in used {
        for key in credential::keys(&connection.kind) {
            let lower = key.to_ascii_lowercase();
            let squeezed = lower.replace('_', "");
            for spelling in [(*key).to_owned(), lower, squeezed] {
                pass(vars, caller, [spelling.as_str(), format!("POLYAXON_{spelling}").as_str()]);
            }
        }
    }
    let catalog = Catalog { connections: used.iter().map(|one| (*one).clone()).collect() };
    let json = serde_json::to_string(&catalog).expect("a catalog always serialises");
    vars.insert(env::CONNECTIONS_CATALOG.to_owned(), json);
}

/// A connection's own variables, as main gets them.
pub fn of_connection(connection: &Connection) -> Vars {
    let entries: Vec<(&str, &Value)> = match &connection.env {
        Some(Value::Object(map)) => map.iter().map(|(key, value)| (key.as_str(), value)).collect(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| match item {
                Value::Array(pair) if pair.len() == 2 => Some((pair[0].as_str()?, &pair[1])),
                Value::Object(entry) => Some((entry.get("name")?.as_str()?, entry.get("value")?)),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), text(value)?))).collect()
}

/// A scalar as the text of a variable.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
