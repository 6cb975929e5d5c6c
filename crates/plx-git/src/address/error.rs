//! Why an address cannot be used.

use plx_contract::{Class, Classified};

/// An address that cannot be used. It never repeats the text it was found in, which may hold a login.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is none.
    #[error("Git initializer requires a valid url, received an empty one")]
    Empty,
    /// It holds a control character, such as a newline.
    #[error("Git initializer requires a valid url, received one with a control character")]
    Control,
    /// Nothing here speaks its scheme.
    #[error("git urls of the form `{name}` are not supported")]
    Scheme {
        /// The scheme with what follows it: `ftp://`, `ext::`.
        name: String,
    },
    /// It is no address.
    #[error("Git initializer requires a valid url: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// `user:token@host/path`, which git would read as something else.
    #[error("Git initializer requires a valid url: it holds a login but no scheme")]
    LoginWithoutScheme,
    /// A submodule's relative url climbs out of the repository's host or root.
    #[error("the submodule url `{relative}` leads out of {base}")]
    TooManyParents {
        /// The address it is relative to.
        base: String,
        /// The relative url.
        relative: String,
    },
}

impl Classified for AddressError {
    fn class(&self) -> Class {
        match self {
            Self::Scheme { .. } => Class::Config,
            Self::TooManyParents { .. } => Class::Integrity,
            Self::Empty | Self::Control | Self::Malformed { .. } | Self::LoginWithoutScheme => Class::Usage,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(
            match self {
                Self::Scheme { .. } => {
                    "use https://, http://, ssh://, git://, file://, user@host:path or a path"
                }
                Self::TooManyParents { .. } => "correct the url in .gitmodules, or clone without submodules",
                Self::LoginWithoutScheme => {
                    "write https://HOST/PATH and give the login in POLYAXON_GIT_CREDENTIALS, or git@HOST:PATH"
                }
                Self::Empty => "set the url of the git init step or of its connection",
                Self::Control | Self::Malformed { .. } => {
                    "correct the url; in a login, write `/`, `?`, `#`, `@` and `%` percent-encoded"
                }
            }
            .to_owned(),
        )
    }
}
