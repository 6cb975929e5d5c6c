//! `V1Init`: one entry of a run's `init` section, as the user writes it.

use crate::connection::Kind;
use crate::{Class, Classified};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One subpath, or a pair of where from and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subpath {
    /// The same path in the store and below the target.
    Same(String),
    /// `[from, to]`: from is below the store, to is below the target.
    Pair(String, String),
}

impl Subpath {
    /// The path below the store.
    pub fn from(&self) -> &str {
        match self {
            Self::Same(path) | Self::Pair(path, _) => path,
        }
    }

    /// The path below the target.
    pub fn to(&self) -> &str {
        match self {
            Self::Same(path) | Self::Pair(_, path) => path,
        }
    }
}

/// `V1ArtifactsType`: what is fetched from a store. Nothing given means the whole store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Artifacts {
    /// Single objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<Subpath>>,
    /// Everything below a prefix or in a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirs: Option<Vec<Subpath>>,
    /// Upper bound of transfers at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
}

/// `V1Init`. Exactly one handler is given, or a `connection` alone, which picks its handler by kind.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Init {
    /// Subpaths whose kind (object or prefix) is looked up.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "one_or_more")]
    pub paths: Option<Vec<Subpath>>,
    /// Objects and prefixes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<Artifacts>,
    /// A repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<Value>,
    /// A Dockerfile to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<Value>,
    /// A file to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Value>,
    /// Tensorboard logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensorboard: Option<Value>,
    /// `RUN:NAME`, a run's artifact.
    #[serde(skip_serializing_if = "Option::is_none", alias = "lineage_ref")]
    pub lineage_ref: Option<String>,
    /// A model version.
    #[serde(skip_serializing_if = "Option::is_none", alias = "model_ref")]
    pub model_ref: Option<String>,
    /// An artifact version.
    #[serde(skip_serializing_if = "Option::is_none", alias = "artifact_ref")]
    pub artifact_ref: Option<String>,
    /// The connection to fetch from; the default artifacts store when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The target, in place of the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A container: with a handler it overrides that handler's, alone it is the user's own init container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Value>,
}

/// A list of subpaths, or one alone: `paths: a/b`.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Subpath>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        More(Vec<Subpath>),
    }
    Ok(Option::<Written>::deserialize(deserializer)?.map(|written| match written {
        Written::One(path) => vec![Subpath::Same(path)],
        Written::More(paths) => paths,
    }))
}

/// Which handler an entry asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the document's")]
pub enum Handler {
    Artifacts,
    Paths,
    Git,
    Dockerfile,
    File,
    Tensorboard,
    LineageRef,
    ModelRef,
    ArtifactRef,
    Container,
}

impl Handler {
    /// The field that asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Artifacts => "artifacts",
            Self::Paths => "paths",
            Self::Git => "git",
            Self::Dockerfile => "dockerfile",
            Self::File => "file",
            Self::Tensorboard => "tensorboard",
            Self::LineageRef => "lineageRef",
            Self::ModelRef => "modelRef",
            Self::ArtifactRef => "artifactRef",
            Self::Container => "container",
        }
    }
}

impl Init {
    /// The handler of this entry. `kind_of` is the kind of a connection by its name.
    ///
    /// # Errors
    /// When two handlers are given, none is, or the connection alone picks none.
    pub fn handler(&self, kind_of: impl Fn(&str) -> Option<Kind>) -> Result<Handler, InitError> {
        let given: Vec<Handler> = [
            (self.artifacts.is_some(), Handler::Artifacts),
            (self.paths.is_some(), Handler::Paths),
            (self.git.is_some(), Handler::Git),
            (self.dockerfile.is_some(), Handler::Dockerfile),
            (self.file.is_some(), Handler::File),
            (self.tensorboard.is_some(), Handler::Tensorboard),
            (self.lineage_ref.is_some(), Handler::LineageRef),
            (self.model_ref.is_some(), Handler::ModelRef),
            (self.artifact_ref.is_some(), Handler::ArtifactRef),
        ]
        .into_iter()
        .filter_map(|(given, handler)| given.then_some(handler))
        .collect();
        match (given.as_slice(), &self.connection) {
            ([one], _) => Ok(*one),
            ([first, second, ..], _) => {
                Err(InitError::Several { first: first.name(), second: second.name() })
            }
            ([], Some(name)) => match kind_of(name) {
                // A container beside such a connection is put over the handler's own, as in Polyaxon.
                Some(kind) if kind.is_git() => Ok(Handler::Git),
                Some(kind) if kind.is_artifacts() => Ok(Handler::Artifacts),
                Some(_) if self.container.is_some() => Ok(Handler::Container),
                Some(kind) => Err(InitError::NoHandlerForKind { name: name.clone(), kind }),
                None => Err(InitError::UnknownConnection { name: name.clone() }),
            },
            ([], None) if self.container.is_some() => Ok(Handler::Container),
            ([], None) => Err(InitError::Empty),
        }
    }
}

/// An `init` entry that asks for nothing, or for too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// Two handlers in one entry.
    #[error("init entry has two handlers, `{first}` and `{second}`")]
    Several {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Neither a handler, a connection nor a container.
    #[error("init entry has no handler, no connection and no container")]
    Empty,
    /// The connection is not in the catalog.
    #[error("init entry names the unknown connection `{name}`")]
    UnknownConnection {
        /// The name.
        name: String,
    },
    /// The connection alone picks no handler.
    #[error("connection `{name}` of kind {kind} has no init handler of its own")]
    NoHandlerForKind {
        /// The connection.
        name: String,
        /// Its kind.
        kind: Kind,
    },
}

impl Classified for InitError {
    fn class(&self) -> Class {
        Class::Config
    }
    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Several { .. } => "split it into one init entry per handler".to_owned(),
            Self::Empty => "give it one of artifacts, paths, git, dockerfile, file, tensorboard, a reference, a connection or a container".to_owned(),
            Self::UnknownConnection { .. } => "add the connection to the connections file, or correct its name".to_owned(),
            Self::NoHandlerForKind { .. } => "add a container that uses it, or list it under `connections`".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: &str) -> Init {
        serde_json::from_str(json).expect("an init entry")
    }

    #[track_caller]
    fn check(json: &str, want: Result<Handler, &str>) {
        let kinds = |name: &str| match name {
            "repo" => Some(Kind::Git),
            "data" => Some(Kind::S3),
            "db" => Some(Kind::Other("postgres".into())),
            _ => None,
        };
        assert_eq!(
            entry(json).handler(kinds).map_err(|e| e.to_string()),
            want.map_err(str::to_owned),
            "{json}"
        );
    }

    #[test]
    fn exactly_one_handler_or_a_connection_that_picks_it() {
        check(r#"{"artifacts":{"dirs":["a"]}}"#, Ok(Handler::Artifacts));
        check(r#"{"paths":["a",["b","c"]],"connection":"data"}"#, Ok(Handler::Paths));
        check(r#"{"paths":"a"}"#, Ok(Handler::Paths));
        check(r#"{"connection":"repo"}"#, Ok(Handler::Git));
        check(r#"{"connection":"data"}"#, Ok(Handler::Artifacts));
        check(r#"{"container":{"image":"x"}}"#, Ok(Handler::Container));
        check(r#"{"connection":"data","container":{},"artifacts":{}}"#, Ok(Handler::Artifacts));
        check(r#"{"git":{},"file":{}}"#, Err("init entry has two handlers, `git` and `file`"));
        check("{}", Err("init entry has no handler, no connection and no container"));
        check(r#"{"connection":"data","container":{"image":"x"}}"#, Ok(Handler::Artifacts));
        check(r#"{"connection":"db","container":{"image":"x"}}"#, Ok(Handler::Container));
        check(
            r#"{"artifacts":{},"paths":["a"]}"#,
            Err("init entry has two handlers, `artifacts` and `paths`"),
        );
        check(r#"{"connection":"zz"}"#, Err("init entry names the unknown connection `zz`"));
        check(
            r#"{"connection":"db"}"#,
            Err("connection `db` of kind postgres has no init handler of its own"),
        );
    }

    #[test]
    fn pairs_and_plain_paths() {
        let entry = entry(r#"{"artifacts":{"files":["a",["b","c"]],"workers":3}}"#);
        let artifacts = entry.artifacts.expect("artifacts");
        let files = artifacts.files.expect("files");
        assert_eq!((files[0].from(), files[0].to()), ("a", "a"));
        assert_eq!((files[1].from(), files[1].to()), ("b", "c"));
        assert_eq!(artifacts.workers, Some(3));
    }
}
