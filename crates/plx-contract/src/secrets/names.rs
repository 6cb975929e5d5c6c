//! Names of variables, options and members.

/// How much a name says that its value is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// Nothing.
    None,
    /// As `KEY` and `AUTH` do: secret in an environment, and often not elsewhere.
    Weak,
    /// As `PASSWORD` does.
    Strong,
}

/// What makes a name a secret's, wherever it stands in it, without `_`, `-` and `.`.
const STRONG: [&str; 17] = [
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "APIKEY",
    "ACCESSKEY",
    "ACCOUNTKEY",
    "PRIVATEKEY",
    "SIGNINGKEY",
    "ENCRYPTIONKEY",
    "AUTHKEY",
    "AUTHORIZATION",
    "SHAREDKEY",
    "KEYFILEDICT",
    "CONNECTIONSTRING",
    "ACCESSTOKEN",
];
/// The same as a word of its own, or the last of a word: a `TOKENIZER` is none.
const STRONG_WORDS: [&str; 7] = ["TOKEN", "TOKENS", "SIG", "SIGNATURE", "JWT", "COOKIE", "CREDS"];
/// As a word of its own.
const WEAK_WORDS: [&str; 10] = ["KEY", "KEYS", "AUTH", "PASS", "PWD", "PW", "PAT", "SAS", "DSN", "SALT"];
/// The last word of a name whose value is a name, a place, a kind or a number of the thing.
const ABOUT: [&str; 32] = [
    "NAME",
    "NAMES",
    "PATH",
    "FILE",
    "DIR",
    "FOLDER",
    "STORE",
    "TYPE",
    "KIND",
    "MODE",
    "METHOD",
    "ENABLED",
    "DISABLED",
    "HEADER",
    "LENGTH",
    "SIZE",
    "COUNT",
    "TTL",
    "SECONDS",
    "TIMEOUT",
    "EXPIRY",
    "EXPIRATION",
    "VERSION",
    "HOST",
    "PORT",
    "REGION",
    "SERVICE",
    "PROVIDER",
    "LOCATION",
    "ALGORITHM",
    // As in `--password-stdin`.
    "STDIN",
    "FD",
];
/// Names of Polyaxon's that hold the name of a file.
const NAMES_OF_FILES: [&str; 1] = ["POLYAXON_SSH_PRIVATE_KEY"];

/// How much a name says.
pub(super) fn suspicion(name: &str) -> Suspicion {
    let words = words(name);
    if words.last().is_some_and(|last| ABOUT.contains(&last.as_str())) || NAMES_OF_FILES.contains(&name) {
        return Suspicion::None;
    }
    let joined = words.concat();
    let ends = |word: &String| STRONG_WORDS.iter().any(|secret| word.ends_with(secret));
    if STRONG.iter().any(|secret| joined.contains(secret)) || words.iter().any(ends) {
        return Suspicion::Strong;
    }
    if words.iter().any(|word| WEAK_WORDS.contains(&word.as_str())) {
        Suspicion::Weak
    } else {
        Suspicion::None
    }
}

/// Whether a value is harmless although its name is a secret's.
pub(super) fn excuses(name: &str, value: &str) -> bool {
    let value = value.trim();
    let is_switch = || crate::env::parse_bool(value).is_some() && value.parse::<u8>().is_err();
    // Another variable, whose own value is judged where it stands; or nobody's yet.
    let is_reference = || {
        let inner = value.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'));
        inner.is_some_and(|inner| inner.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)))
    };
    let words = words(name);
    let last = words.last().map(String::as_str).unwrap_or_default();
    // How many, as in `MAX_TOKENS`; a file, as in `GOOGLE_APPLICATION_CREDENTIALS`.
    let counts = || last == "TOKENS" && value.parse::<f64>().is_ok();
    let is_file = || last == "CREDENTIALS" && value.starts_with('/') && !value.contains(char::is_whitespace);
    value.is_empty() || is_switch() || is_reference() || counts() || is_file()
}

/// The words of a name, in capitals: `awsSecretKey`, `aws-secret-key` and `AWS_SECRET_KEY` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = '_';
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() {
            before = '_';
            continue;
        }
        let begins = !before.is_ascii_alphanumeric() || c.is_ascii_uppercase() && before.is_ascii_lowercase();
        if begins || words.is_empty() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c.to_ascii_uppercase());
        }
        before = c;
    }
    words
}
