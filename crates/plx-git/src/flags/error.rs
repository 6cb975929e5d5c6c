//! Why a flag cannot be used.

use plx_contract::{Class, Classified};

/// A flag that cannot be used. It never repeats a value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// It begins as a JSON list and is none.
    #[error("git flags: no JSON list of texts, at line {line} column {column}")]
    Json {
        /// Where it ends being one.
        line: usize,
        /// Where it ends being one.
        column: usize,
    },
    /// A quote that nothing closes.
    #[error("git flags: a quote is not closed")]
    Quotes,
    /// A newline or the like within a word.
    #[error("git flags: a control character in a value")]
    Control,
    /// A word that belongs to no option.
    #[error("git flags: a word that belongs to no option{}", after.as_ref().map_or_else(String::new, |option| format!(", after {option}")))]
    Word {
        /// The option before it.
        after: Option<String>,
    },
    /// No option of git's.
    #[error("git flags: unknown option {option}")]
    Unknown {
        /// The option.
        option: String,
        /// The option that is meant, perhaps, without its dashes.
        nearest: Option<&'static str>,
    },
    /// An option that makes no sense here, or that libgit2 has not.
    #[error("git flags: {option} is not supported")]
    Refused {
        /// The option.
        option: String,
        /// The way around.
        way: &'static str,
    },
    /// A value is missing or wrong.
    #[error("git flags: {option} wants {wants}")]
    Value {
        /// The option, or `-c` and the key.
        option: String,
        /// What it wants.
        wants: &'static str,
    },
    /// A value where none belongs.
    #[error("git flags: {option} takes no value")]
    NoValue {
        /// The option.
        option: String,
    },
    /// A setting of `-c` that is not understood.
    #[error("git flags: unknown setting -c {key}")]
    UnknownKey {
        /// The key, without its middle part.
        key: String,
        /// The key that is meant, perhaps.
        nearest: Option<&'static str>,
    },
    /// A setting of `-c` that is not taken.
    #[error("git flags: -c {key} is not supported")]
    RefusedKey {
        /// The key, without its middle part.
        key: String,
        /// The way around.
        way: &'static str,
    },
}

impl Classified for FlagError {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Json { .. } => "write them as [\"--depth 1\",\"--single-branch\"]".to_owned(),
            Self::Quotes => "close it, or write it behind a backslash".to_owned(),
            Self::Control => "write each flag on one line".to_owned(),
            Self::Word { .. } => "quote a value with spaces, as in -c 'KEY=VALUE WITH SPACES'".to_owned(),
            Self::Unknown { nearest: Some(nearest), .. } => format!("perhaps --{nearest} is meant"),
            Self::Unknown { nearest: None, .. } => {
                "use options of git clone, such as --depth, --branch, --single-branch, --recurse-submodules, -c"
                    .to_owned()
            }
            Self::Refused { way, .. } | Self::RefusedKey { way, .. } => (*way).to_owned(),
            Self::Value { option, wants } => format!("give {option} {wants}"),
            Self::NoValue { option } => format!("write {option} alone"),
            Self::UnknownKey { nearest: Some(nearest), .. } => format!("perhaps {nearest} is meant"),
            Self::UnknownKey { nearest: None, .. } => {
                "leave it out; main can set it with `git config`".to_owned()
            }
        })
    }
}
