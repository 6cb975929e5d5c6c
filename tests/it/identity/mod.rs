//! Who we are to a store: every source of credentials, and what happens when one of them changes or is late.

mod azure;
mod google;
mod machines;
mod profiles;
mod roles;
mod rotation;
mod secrets;
pub mod sts;

use crate::bench::Vars;
use plx_testkit::{AwsKeys, S3Server};
use plx_transfer::TransferError;
use std::time::Duration;

/// A server's own keys, as temporary ones with that session token.
fn session(server: &S3Server, token: &str) -> AwsKeys {
    AwsKeys {
        access_key: server.access_key().to_owned(),
        secret_key: server.secret_key().to_owned(),
        token: token.to_owned(),
        lifetime: Duration::from_secs(3600),
    }
}

fn and<K: Into<String>, V: Into<String>>(mut env: Vars, more: impl IntoIterator<Item = (K, V)>) -> Vars {
    env.extend(crate::bench::vars(more));
    env
}

/// The words of an error hold every one of these.
fn says(error: &TransferError, words: &[&str]) {
    for word in words {
        assert!(error.to_string().contains(word), "no {word:?} in: {error}");
    }
}
