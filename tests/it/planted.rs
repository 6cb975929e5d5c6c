//! What opens a store is shown by nothing: no error, no file that is fetched, no request but where it belongs.

use crate::bench::Vars;
use plx_contract::Classified;
use plx_testkit::{LeftFiles, Planted};
use plx_transfer::{Engine, Outcome, Plan, Remote};
use std::fmt::Debug;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Variables that hold nothing but a secret, and whether it only signs.
const SECRETS: [(&str, bool); 7] = [
    ("AWS_SECRET_ACCESS_KEY", true),
    ("AWS_SESSION_TOKEN", false),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", false),
    ("AZURE_ACCOUNT_KEY", true),
    ("AZURE_CLIENT_SECRET", false),
    ("AZURE_CONNECTION_STRING", true),
    ("IDENTITY_HEADER", false),
];

/// From now on no error, file or request of this test may show what opens the store.
pub fn plant(env: &Vars) {
    for (name, signs) in SECRETS {
        match env.get(name).filter(|value| value.len() >= 8) {
            Some(key) if signs => Planted::here().plant_key(key),
            Some(token) => Planted::here().plant(token),
            None => {}
        }
    }
}

/// Searches all that is said of an error.
#[track_caller]
pub fn says_nothing_secret(error: &(impl Classified + Debug)) {
    let said = format!("{error} {error:?} {:?}", error.next_step());
    Planted::here().assert_free("an error", said.as_bytes());
}

/// As `plx_transfer::download`; all that it leaves and says is searched.
pub async fn download(
    engine: &Engine,
    remote: &Remote,
    plan: Plan,
    to: &Path,
    stop: &CancellationToken,
) -> Outcome {
    let left = LeftFiles::before(&Planted::here(), vec![to.to_owned()]);
    let outcome = plx_transfer::download(engine, remote, plan, to, stop).await;
    left.assert_free(&[]);
    outcome.failed.iter().for_each(says_nothing_secret);
    outcome
}
