//! `auth`: a token for the run's containers (`polyaxon/_init/auth.py`, `polyaxon/_client/impersonate.py`).
//!
//! The agent's or the platform's token is changed into one that is the run's own, and that one is written to
//! `CTX/.configs/.auth`, where every container of the pod finds it.

use crate::say;
use clap::Args;
use plx_contract::lineage::Status;
use plx_contract::run::{self, RunError, RunInstance};
use plx_contract::{Class, Classified, Env, Layout, RelPath};
use plx_runtime::{DiskFiles, Report, Stop};
use plx_track::{Api, Client, LONGEST_WAIT, Settings, TrackError};
use plx_transfer::{Place, TransferError};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::time::Duration;

/// Pauses before the second, third and fourth attempt: the attempts are at 0, 1, 5 and 14 s, if each takes no time.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(9)];

/// Options of `initializer auth`: there are none.
#[derive(Debug, Args)]
pub struct AuthArgs {}

/// Gets the token and writes it.
///
/// # Errors
/// When the settings are wrong, the API does not give a token in four attempts, or the file cannot be written.
pub async fn run(_: &AuthArgs, env: &impl Env, stop: &Stop) -> Result<Report, AuthError> {
    tokio::select! {
        done = attempts(env, tokio::time::sleep, say::line) => done,
        () = stop.asked.cancelled() => Err(AuthError::Stopped),
    }
}

async fn attempts<P: Future<Output = ()>>(
    env: &impl Env,
    pause: impl Fn(Duration) -> P,
    say: impl Fn(&str),
) -> Result<Report, AuthError> {
    let settings = match Settings::read(env, &DiskFiles)? {
        Api::On(settings) => settings,
        // The platform starts no such step then; who does it by hand learns why there is no token.
        Api::Off(by) => {
            let message = format!("No auth context: {by} is set.");
            say(&message);
            return Ok(Report { message, ..Report::done() });
        }
    };
    let run = run::from_env(env)?;
    let client = Client::new(settings)?;
    let mut pauses = PAUSES.into_iter();
    let (token, username) = loop {
        match identity(&client, &run).await {
            Ok(identity) => break identity,
            Err(error) => {
                tracing::warn!("{error}");
                say("Could not establish connection, retrying ...");
                match pauses.next() {
                    Some(time) => pause(time).await,
                    None => return Err(give_up(&client, &run, error).await),
                }
            }
        }
    };
    write(&Layout::from_env(env), &token, &username).await?;
    let message = "Auth context initialized.".to_owned();
    say(&message);
    Ok(Report { message, ..Report::done() })
}

async fn identity(client: &Client, run: &RunInstance) -> Result<(SecretString, String), TrackError> {
    let token = client.impersonate(run).await?;
    let username = client.username(&token).await?;
    Ok((token, username))
}

/// The run is told, as far as it can be.
async fn give_up(client: &Client, run: &RunInstance, error: TrackError) -> AuthError {
    let status = Status {
        kind: "failed",
        reason: "AuthContext".to_owned(),
        message: format!("Polyaxon auth initializer failed authenticating the operation: {error}"),
    };
    match tokio::time::timeout(LONGEST_WAIT, client.create_status(run, &status)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the run's status is not set: {error}"),
        Err(_) => tracing::warn!("the run's status is not set within {} s", LONGEST_WAIT.as_secs()),
    }
    AuthError::Refused { attempts: PAUSES.len() + 1, source: error }
}

/// Readable to all: main may run as any user.
async fn write(layout: &Layout, token: &SecretString, username: &str) -> Result<(), AuthError> {
    let content = json!({
        "POLYAXON_AUTH_USERNAME": username,
        "POLYAXON_AUTH_TOKEN": token.expose_secret(),
    });
    let content = SecretString::from(content.to_string());
    let folder = layout.root().join(".configs");
    let written = tokio::task::spawn_blocking(move || {
        let name = RelPath::parse(".auth").expect("one name");
        Place::open(&folder)?.put(&name, content.expose_secret().as_bytes(), 0o644)
    });
    Ok(written.await.expect("writing does not panic")?)
}

/// No token for this run.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The settings are wrong.
    #[error(transparent)]
    Track(#[from] TrackError),
    /// It is not known for which run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The API gave none.
    #[error("Init job did not succeed authenticating job, in {attempts} attempts")]
    Refused {
        /// How often it was asked.
        attempts: usize,
        /// What it said last.
        source: TrackError,
    },
    /// It cannot be written.
    #[error(transparent)]
    Disk(#[from] TransferError),
    /// The pod ends.
    #[error("asked to stop before there was a token")]
    Stopped,
}

impl Classified for AuthError {
    fn class(&self) -> Class {
        match self {
            Self::Track(error) | Self::Refused { source: error, .. } => error.class(),
            Self::Run(error) => error.class(),
            Self::Disk(error) => error.class(),
            Self::Stopped => Class::Incomplete,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Track(error) | Self::Refused { source: error, .. } => error.next_step(),
            Self::Run(error) => error.next_step(),
            Self::Disk(error) => error.next_step(),
            Self::Stopped => None,
        }
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
