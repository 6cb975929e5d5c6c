//! What a reference stands for, and where it was looked for.

use super::{RefError, Reference};
use plx_contract::env;
use plx_contract::init::Subpath;
use plx_contract::run::RunUuid;
use plx_track::{Recorded, TrackError};

/// Paths below a connection's store path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The connection; none for the artifacts store.
    pub connection: Option<String>,
    /// At least one.
    pub paths: Vec<Subpath>,
}

/// The places that were tried, in words.
#[derive(Debug)]
pub(super) struct Looked {
    reference: String,
    places: Vec<String>,
    silent: bool,
}

impl Looked {
    pub fn new(reference: &Reference) -> Self {
        Self { reference: reference.to_string(), places: Vec::new(), silent: false }
    }

    /// The API did not answer.
    pub fn silent(&mut self, error: TrackError) {
        tracing::warn!("{error}: looking in the artifacts store");
        self.silent = true;
        self.places.push(error.to_string());
    }

    pub fn off(&mut self, by: &str) {
        self.places.push(format!("not with the tracking API, {by} is set"));
    }

    pub fn nobody(&mut self) {
        self.places.push(format!("not with the tracking API, {} is not set", env::RUN_INSTANCE));
    }

    pub fn no_store(&mut self) {
        self.places.push("not in a store, the catalog does not say which is the artifacts store".to_owned());
    }

    pub fn at(&mut self, place: String, what: &str) {
        self.places.push(format!("{place}: {what}"));
    }

    pub fn failed(self) -> RefError {
        RefError::Unresolved { reference: self.reference, looked: self.places, silent: self.silent }
    }
}

/// The paths of artifacts of a run whose folder is `base/RUN` in the store (`get_run_lineage_paths`): what follows the
/// run's uuid, below the run's folder. Each arrives as `RUN/…`.
pub(super) fn paths<'a>(
    reference: &Reference,
    place: &str,
    base: &str,
    run: &RunUuid,
    artifacts: impl IntoIterator<Item = &'a Recorded>,
) -> Result<Vec<Subpath>, RefError> {
    let mut paths = Vec::new();
    for artifact in artifacts {
        let Some(path) = artifact.path.as_deref().filter(|path| !path.is_empty()) else {
            let why = format!("its artifact `{}` is a value without a path", artifact.name);
            return Err(RefError::Empty { reference: reference.to_string(), place: place.to_owned(), why });
        };
        let subpath = subpath(base, run, path)
            .ok_or_else(|| RefError::Elsewhere { reference: reference.to_string(), path: path.to_owned() })?;
        if !paths.contains(&subpath) {
            paths.push(subpath);
        }
    }
    Ok(paths)
}

fn subpath(base: &str, run: &RunUuid, path: &str) -> Option<Subpath> {
    let mut parts = path.split('/');
    let below = parts.by_ref().any(|part| part == run.as_str()).then(|| parts.collect::<Vec<_>>().join("/"));
    let to = match below {
        Some(below) => format!("{run}/{below}"),
        None if path.contains("://") => return None,
        // As in the reference: it stays what it is, a path of the store.
        None if path.starts_with('/') => return Some(Subpath::Same(path.to_owned())),
        None => format!("{run}/{path}"),
    };
    let to = to.trim_end_matches('/').to_owned();
    Some(if base.is_empty() { Subpath::Same(to) } else { Subpath::Pair(format!("{base}/{to}"), to) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_the_runs_folder_however_they_are_written() {
        let run = RunUuid::new("R").expect("a segment");
        let same = |path: &str| Some(Subpath::Same(path.to_owned()));
        for (path, want) in [
            ("outputs/model", same("R/outputs/model")),
            ("outputs/model/", same("R/outputs/model")),
            ("R/outputs/model", same("R/outputs/model")),
            ("/plx-context/artifacts/R/outputs/x", same("R/outputs/x")),
            ("s3://bucket/p/R/outputs/x", same("R/outputs/x")),
            ("outputs/R-2/x", same("R/outputs/R-2/x")),
            ("R", same("R")),
            ("/data/x", same("/data/x")),
            ("s3://bucket/x", None),
        ] {
            assert_eq!(subpath("", &run, path), want, "{path}");
        }
        let pair = Subpath::Pair("runs/R/outputs/x".to_owned(), "R/outputs/x".to_owned());
        assert_eq!(subpath("runs", &run, "outputs/x"), Some(pair));
    }
}
