//! Whom summaries are told to.

use crate::Config;
use futures::FutureExt;
use futures::future::BoxFuture;
use plx_contract::credential::Files;
use plx_contract::lineage::{Artifact, Status};
use plx_contract::run::RunInstance;
use plx_contract::{Classified, Env};
use plx_track::{Api, Client, Settings, TrackError, keys};
use serde_json::{Map, Value};

/// The calls of the tracking API that a sidecar makes.
pub trait Lineage: Send + Sync + 'static {
    /// Adds artifacts to the run's lineage; one of the same name is the same one.
    fn artifacts<'a>(&'a self, artifacts: &'a [Artifact]) -> BoxFuture<'a, Result<(), TrackError>>;
    /// Sets outputs of the run; others stay as they are.
    fn outputs<'a>(&'a self, outputs: &'a Map<String, Value>) -> BoxFuture<'a, Result<(), TrackError>>;
    /// Adds a status to the run's.
    fn status<'a>(&'a self, status: &'a Status) -> BoxFuture<'a, Result<(), TrackError>>;
}

/// The tracking API, for one run.
pub(super) struct RunApi {
    client: Client,
    run: RunInstance,
}

/// Why nobody is told.
pub(super) enum Closed {
    /// It is meant so.
    Off(String),
    /// The settings are wrong.
    Unusable(String),
}

impl RunApi {
    pub fn open(config: &Config, env: &impl Env, files: &impl Files) -> Result<Self, Closed> {
        let unusable = |error: TrackError| Closed::Unusable(words(&error));
        let settings = match Settings::read(env, files).map_err(unusable)? {
            Api::Off(by) => return Err(Closed::Off(by.to_owned())),
            Api::On(settings) if !settings.is_host_named() => {
                return Err(Closed::Off(format!("{} is not set", keys::HOST)));
            }
            Api::On(settings) => settings,
        };
        let client = Client::new(settings).map_err(unusable)?;
        Ok(Self { client, run: config.run.clone() })
    }
}

impl Lineage for RunApi {
    fn artifacts<'a>(&'a self, artifacts: &'a [Artifact]) -> BoxFuture<'a, Result<(), TrackError>> {
        self.client.create_artifacts(&self.run, artifacts).boxed()
    }

    fn outputs<'a>(&'a self, outputs: &'a Map<String, Value>) -> BoxFuture<'a, Result<(), TrackError>> {
        self.client.merge_outputs(&self.run, outputs).boxed()
    }

    fn status<'a>(&'a self, status: &'a Status) -> BoxFuture<'a, Result<(), TrackError>> {
        self.client.create_status(&self.run, status).boxed()
    }
}

/// An error, and what to do about it.
pub(super) fn words(error: &TrackError) -> String {
    match error.next_step() {
        Some(next) => format!("{error} ({next})"),
        None => error.to_string(),
    }
}
