//! What the API answers, as far as it is read. Unknown fields are nobody's business here.

use secrecy::SecretString;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Impersonated {
    pub token: SecretString,
}

#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub username: String,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub count: Option<usize>,
    pub results: Vec<T>,
}

/// A run of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RunInfo {
    /// Its uuid.
    pub uuid: String,
    /// Its name; many have none.
    pub name: Option<String>,
}

/// An artifact as it stands in lineage: of the API, or of a file `lineages.plx.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Recorded {
    /// Its name.
    pub name: String,
    /// `model`, `file`, …
    pub kind: Option<String>,
    /// Where it is, below the run's folder or with the run's uuid before; none for what is only a value.
    pub path: Option<String>,
    /// The connection it lies in; the run's own store when there is none.
    pub connection: Option<String>,
}

/// Of what a version is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionKind {
    /// A model version.
    Model,
    /// An artifact version.
    Artifact,
}

impl VersionKind {
    /// As it stands in a path of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Artifact => "artifact",
        }
    }
}

/// A version of a project: of the API, or of a file `version.plx.json` (`V1ProjectVersion`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// Its name.
    pub name: Option<String>,
    /// Owner of its project.
    pub owner: Option<String>,
    /// Its project.
    pub project: Option<String>,
    /// The run that made it.
    pub run: Option<String>,
    /// Names of the run's artifacts that belong to it.
    pub artifacts: Option<Vec<String>>,
    /// The rest.
    #[serde(default)]
    pub meta_info: Option<VersionMeta>,
}

/// `meta_info` of a version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct VersionMeta {
    /// The run that made it.
    pub run: Option<VersionRun>,
    /// The artifacts themselves.
    pub lineage: Option<Vec<Recorded>>,
    /// The same, from an API that also speaks to clients before 2.0.
    pub artifacts: Option<Vec<Recorded>>,
    /// Where they lie, when that is not the default store.
    pub connection: Option<VersionConnection>,
}

/// `meta_info.run` of a version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VersionRun {
    /// Its uuid.
    pub uuid: String,
    /// Its project.
    pub project: Option<String>,
}

/// `meta_info.connection` of a version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VersionConnection {
    /// `AGENT/NAME`, or the name alone.
    pub name: String,
}

impl Version {
    /// Uuid of the run that made it.
    pub fn run_uuid(&self) -> Option<&str> {
        let meta = self.meta_info.as_ref().and_then(|meta| meta.run.as_ref()).map(|run| run.uuid.as_str());
        meta.or(self.run.as_deref())
    }

    /// Project of that run.
    pub fn run_project(&self) -> Option<&str> {
        self.meta_info.as_ref()?.run.as_ref()?.project.as_deref()
    }

    /// Its artifacts; empty when only their names are known.
    pub fn recorded(&self) -> &[Recorded] {
        let Some(meta) = &self.meta_info else { return &[] };
        meta.lineage.as_deref().or(meta.artifacts.as_deref()).unwrap_or_default()
    }

    /// Names of its artifacts.
    pub fn names(&self) -> &[String] {
        self.artifacts.as_deref().unwrap_or_default()
    }

    /// The connection its artifacts lie in, by the name it has in a catalog.
    pub fn connection(&self) -> Option<&str> {
        let name = &self.meta_info.as_ref()?.connection.as_ref()?.name;
        name.rsplit('/').next().filter(|name| !name.is_empty())
    }
}
