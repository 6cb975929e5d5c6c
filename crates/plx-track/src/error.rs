//! Why a call, or the settings for it, failed. Holds no token.

use plx_contract::env::EnvError;
use plx_contract::fault::HttpFault;
use plx_contract::network::NetworkError;
use plx_contract::{Class, Classified};
use std::path::PathBuf;

use crate::keys;

/// A call that failed, or settings that allow none. `call` is method and URL, without a query.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrackError {
    /// A file of settings that cannot be used. Its content is not repeated.
    #[error("{} {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as a verb phrase.
        what: String,
    },
    /// A boolean variable that is none.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A variable whose value cannot be used. It is not repeated.
    #[error("{key} is no {wanted}")]
    Variable {
        /// The variable.
        key: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// Trust or proxies are set wrongly.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The client could not be made.
    #[error("make the client of the tracking API: {why}")]
    Client {
        /// Why.
        why: String,
    },
    /// A name that cannot stand in a URL's path.
    #[error("`{name}` is no {what}")]
    Name {
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The API answered, and said no.
    #[error("{call}: {fault}")]
    Refused {
        /// The call.
        call: String,
        /// What it said.
        fault: Box<HttpFault>,
        /// Whether a token was shown.
        with_token: bool,
    },
    /// The API's certificate is not trusted.
    #[error("{call}: {why}")]
    Certificate {
        /// The call.
        call: String,
        /// What the TLS library says.
        why: String,
    },
    /// No connection.
    #[error("{call}: cannot reach the tracking API: {why}")]
    Unreachable {
        /// The call.
        call: String,
        /// Why.
        why: String,
    },
    /// The answer did not come, or not to its end.
    #[error("{call}: no answer from the tracking API: {why}")]
    Broken {
        /// The call.
        call: String,
        /// Why.
        why: String,
    },
    /// The answer is none of this API's.
    #[error("{call}: the answer is not one of the tracking API: {why}")]
    Answer {
        /// The call.
        call: String,
        /// What was missing.
        why: String,
    },
}

impl TrackError {
    /// The API was not reached, or did not answer: it said nothing about what was asked.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. })
            || matches!(self, Self::Refused { .. } if self.class() == Class::Unavailable)
    }

    /// The API says that there is no such thing.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Refused { fault, .. } if fault.status == 404)
    }
}

impl Classified for TrackError {
    fn class(&self) -> Class {
        match self {
            Self::Env(error) => error.class(),
            Self::Network(error) => error.class(),
            Self::Unreachable { .. } | Self::Broken { .. } => Class::Unavailable,
            Self::Refused { fault, .. } => match fault.status {
                401 | 403 => Class::Denied,
                404 => Class::NotFound,
                408 | 425 | 429 | 500.. => Class::Unavailable,
                _ => Class::Config,
            },
            Self::Name { .. } => Class::Usage,
            Self::File { .. }
            | Self::Variable { .. }
            | Self::Client { .. }
            | Self::Certificate { .. }
            | Self::Answer { .. } => Class::Config,
        }
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Env(error) => return error.next_step(),
            Self::Network(error) => return error.next_step(),
            Self::File { path, .. } => format!("correct {} or remove it", path.display()),
            Self::Variable { key, wanted } => format!("set {key} to a {wanted}, or unset it"),
            Self::Client { .. } => "check that the image has a CA bundle in /etc/ssl/certs".to_owned(),
            Self::Name { what, .. } => format!("correct the {what}"),
            Self::Certificate { .. } => format!(
                "name the CA's certificate in {}, or set {}=false to check none",
                plx_contract::env::SSL_CA_CERT,
                keys::VERIFY_SSL
            ),
            Self::Unreachable { .. } | Self::Answer { .. } => {
                format!("check {}, and that this pod may reach it", keys::HOST)
            }
            Self::Broken { .. } => format!("try again, or raise {}", keys::TIMEOUT),
            Self::Refused { fault, with_token, .. } => match (self.class(), with_token) {
                (Class::Denied, false) => format!(
                    "set {}, or run `initializer auth` before this step: no token was shown",
                    keys::AUTH_TOKEN
                ),
                (Class::Denied, true) => {
                    "check the token, and that its owner has a part in this project".to_owned()
                }
                (Class::NotFound, _) => format!("check the name, and that {} is the right API", keys::HOST),
                (Class::Unavailable, _) => "try again later".to_owned(),
                _ if (300..400).contains(&fault.status) => {
                    format!("set {} to where it leads", keys::HOST)
                }
                _ => format!("check that {} is an API that knows this call", keys::HOST),
            },
        })
    }
}
