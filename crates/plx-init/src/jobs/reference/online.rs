//! Resolving with the tracking API.

use super::found::{self, Found, Looked};
use super::{RefError, Reference};
use plx_contract::run::{RunError, RunInstance, RunUuid};
use plx_track::{Client, Recorded, Version};

/// Asks the API. Its answer is final: only silence leaves a question open.
pub(super) async fn find(
    client: &Client,
    reference: &Reference,
    own: Option<&RunInstance>,
) -> Result<Found, RefError> {
    match reference {
        Reference::Lineage { owner, run, name } => {
            let own = own.ok_or_else(|| unknown(reference))?;
            let owner = owner.clone().unwrap_or_else(|| own.owner.clone());
            let of = RunInstance { owner, project: own.project.clone(), uuid: run.clone() };
            let artifacts = named(client, reference, &of, name).await?;
            let paths = found::paths(reference, &client.host(), "", run, &artifacts)?;
            Ok(Found { connection: None, paths })
        }
        Reference::Version { kind, owner, project, version } => {
            let owner = owner.clone().or_else(|| own.map(|own| own.owner.clone()));
            let project = project.clone().or_else(|| own.map(|own| own.project.clone()));
            let (Some(owner), Some(project)) = (owner, project) else { return Err(unknown(reference)) };
            let answer = client.version(&owner, &project, *kind, version).await;
            let answer = answer.map_err(|error| absent(reference, error))?;
            of_version(client, reference, &owner, &project, &answer).await
        }
    }
}

async fn of_version(
    client: &Client,
    reference: &Reference,
    owner: &str,
    project: &str,
    version: &Version,
) -> Result<Found, RefError> {
    let place = client.host();
    let run = run_of(reference, &place, version)?;
    let mut artifacts = version.recorded().to_vec();
    if artifacts.is_empty() {
        // An answer that names them only.
        let project = version.run_project().unwrap_or(project).to_owned();
        let of = RunInstance { owner: owner.to_owned(), project, uuid: run.clone() };
        for name in version.names() {
            artifacts.extend(named(client, reference, &of, name).await?);
        }
    }
    let paths = found::paths(reference, &place, "", &run, &artifacts)?;
    if paths.is_empty() {
        return Err(no_artifacts(reference, &place));
    }
    Ok(Found { connection: version.connection().map(str::to_owned), paths })
}

async fn named(
    client: &Client,
    reference: &Reference,
    of: &RunInstance,
    name: &str,
) -> Result<Vec<Recorded>, RefError> {
    let artifacts = client.artifacts_named(of, name).await.map_err(|error| absent(reference, error))?;
    if artifacts.is_empty() {
        let mut looked = Looked::new(reference);
        let run = format!("{}/{}/{}", of.owner, of.project, of.uuid);
        looked.at(client.host(), &format!("the lineage of {run} has no `{name}`"));
        return Err(looked.failed());
    }
    Ok(artifacts)
}

/// The run that made a version.
pub(super) fn run_of(reference: &Reference, place: &str, version: &Version) -> Result<RunUuid, RefError> {
    let empty = |why: &str| RefError::Empty {
        reference: reference.to_string(),
        place: place.to_owned(),
        why: why.to_owned(),
    };
    let run = version.run_uuid().ok_or_else(|| empty("it belongs to no run"))?;
    RunUuid::new(run.replace('-', "")).map_err(|_| empty("its run is none"))
}

pub(super) fn no_artifacts(reference: &Reference, place: &str) -> RefError {
    RefError::Empty {
        reference: reference.to_string(),
        place: place.to_owned(),
        why: "it has no artifacts".to_owned(),
    }
}

fn absent(reference: &Reference, error: plx_track::TrackError) -> RefError {
    if !error.is_absence() {
        return RefError::Track(error);
    }
    let mut looked = Looked::new(reference);
    let (call, what) = match &error {
        plx_track::TrackError::Refused { call, fault, .. } => (call.clone(), fault.to_string()),
        other => (other.to_string(), "not found".to_owned()),
    };
    looked.at(call, &what);
    looked.failed()
}

fn unknown(reference: &Reference) -> RefError {
    RefError::OwnProject { reference: reference.to_string(), source: RunError::Unset }
}
