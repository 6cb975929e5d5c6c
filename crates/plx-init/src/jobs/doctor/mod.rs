//! `doctor`: does a connection work, and if not, what is in the way and what to do about it.
//!
//! The checks go the way a transfer goes: credentials, endpoint, trust, region, clock; then list, put, get, multipart
//! and delete below a scratch prefix of its own, `PREFIX/.plx-doctor-…/`, which is empty again at the end. Nothing
//! else is written. A failure stands in the row of what is at fault, not of the request that met it.

mod bucket;
mod check;
mod volume;

use crate::{InitError, say};
use check::{Check, Diagnosis, Result as Outcome};
use clap::Args;
use plx_contract::connection::{Catalog, Connection};
use plx_contract::credential::CredentialError;
use plx_contract::env::SharedEnv;
use plx_contract::network::NetworkError;
use plx_contract::{Class, Classified, env};
use plx_runtime::{DiskFiles, Failure, Report, Stop};
use plx_store::{Opened, StoreError};
use std::time::Duration;

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The connection. May be given more than once; all of the catalog without it.
    #[arg(long = "connection", value_name = "NAME")]
    connections: Vec<String>,
    /// Only looks: no put, multipart and delete, for a connection that is an input only.
    #[arg(long)]
    read_only: bool,
    /// Prints JSON in place of tables.
    #[arg(long)]
    json: bool,
    /// Seconds that one request may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// How the connections are looked at.
pub(crate) struct Manner {
    pub read_only: bool,
    pub timeout: Duration,
    pub stop: Stop,
}

/// Looks at each connection, and prints what it saw.
///
/// # Errors
/// When a connection does not work: of the class of the first failure, after the tables are printed.
pub async fn run(args: &DoctorArgs, settings: &impl SharedEnv, stop: &Stop) -> Result<Report, Failure> {
    let catalog = Catalog::from_env(settings).map_err(InitError::from)?;
    let chosen: Vec<&Connection> = match args.connections.as_slice() {
        [] => catalog.connections.iter().collect(),
        names => names
            .iter()
            .map(|name| catalog.find(name))
            .collect::<std::result::Result<_, _>>()
            .map_err(InitError::from)?,
    };
    if chosen.is_empty() {
        let message = format!("{} names no connection", env::CONNECTIONS_CATALOG);
        return Err(Failure::new(Class::Config, message)
            .with_next("run it in a container that has connections, or set that variable"));
    }
    let manner =
        Manner { read_only: args.read_only, timeout: Duration::from_secs(args.timeout), stop: stop.clone() };
    let mut all = Vec::new();
    for connection in chosen {
        let diagnosis = diagnose(connection, settings, &manner).await;
        if !args.json {
            say::line(&diagnosis.to_string());
        }
        all.push(diagnosis);
        if stop.asked.is_cancelled() {
            return Err(Failure::new(Class::Incomplete, "stopped before all was looked at"));
        }
    }
    if args.json {
        say::line(&check::to_json(&all).to_string());
    }
    summary(&all)
}

fn summary(all: &[Diagnosis]) -> Result<Report, Failure> {
    let failed: Vec<(&Diagnosis, &Check)> = all
        .iter()
        .flat_map(|diagnosis| diagnosis.checks.iter().map(move |check| (diagnosis, check)))
        .filter(|(_, check)| check.result == Outcome::Failed)
        .collect();
    let Some((first, check)) = failed.first() else {
        let message = format!("{} of {} connections work", all.len(), all.len());
        return Ok(Report { message, ..Report::done() });
    };
    let sick = all.iter().filter(|diagnosis| diagnosis.is_sick()).count();
    let mut message = format!(
        "{sick} of {} connections do not work: {}: {}: {}",
        all.len(),
        first.connection,
        check.name,
        check.detail
    );
    if failed.len() > 1 {
        message.push_str(&format!("; and {} more", failed.len() - 1));
    }
    let mut failure = Failure::new(check.class, message);
    failure.next.clone_from(&check.next);
    Err(failure)
}

async fn diagnose(connection: &Connection, env: &impl SharedEnv, manner: &Manner) -> Diagnosis {
    let mut diagnosis = Diagnosis::of(connection);
    if !connection.kind.is_artifacts() {
        let detail = format!("kind {} is no store: there is nothing to transfer from or to", connection.kind);
        diagnosis.add(Check::skipped("open", detail));
        return diagnosis;
    }
    match plx_store::open(connection, env, &DiskFiles) {
        Err(error) => {
            let name = match &error {
                StoreError::Credential(CredentialError::NotABoolean { key: "AWS_VERIFY_SSL", .. }) => "trust",
                StoreError::Credential(CredentialError::NotABoolean { key: "AWS_USE_SSL", .. }) => "endpoint",
                StoreError::Credential(_) => "credentials",
                StoreError::Endpoint { .. } => "endpoint",
                StoreError::Network(NetworkError::Proxy { .. }) => "proxy",
                StoreError::Network(_) | StoreError::Ca { .. } => "trust",
                StoreError::NotMounted { .. } => "mount",
                _ => "open",
            };
            let (class, next) = (error.class(), error.next_step());
            let said = Failure::from(error).message;
            diagnosis.add(Check::failed(name, class, None, said, next));
        }
        Ok(opened) => {
            diagnosis.place = Some(opened.to_string());
            match &opened {
                Opened::Bucket(bucket) => bucket::look(&mut diagnosis, connection, bucket, manner).await,
                Opened::Volume(volume) => volume::look(&mut diagnosis, volume, manner).await,
            }
        }
    }
    diagnosis
}

/// A name that no other doctor has at this moment.
fn scratch() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!(".plx-doctor-{:x}-{}", now.as_nanos(), std::process::id())
}
