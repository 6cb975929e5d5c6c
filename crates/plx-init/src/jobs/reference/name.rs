//! What a reference names. Pure.
//!
//! The grammar is that of `get_versioned_entity_info`: `[OWNER/]NAME[:VERSION]`, a dot for a slash, `latest` for a
//! version that is not given. One thing is as documented and not as there: a name alone is a version of the run's own
//! project, where the reference takes it for a project.

use super::RefError;
use plx_contract::run::RunUuid;
use plx_track::VersionKind;
use std::fmt;

const LATEST: &str = "latest";

/// What is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `RUN:NAME`
    Lineage {
        /// Owner of the run's project; that of this run when absent.
        owner: Option<String>,
        /// The run.
        run: RunUuid,
        /// The artifact's name in its lineage.
        name: String,
    },
    /// `[[OWNER/]PROJECT:]VERSION`
    Version {
        /// Of what.
        kind: VersionKind,
        /// Owner of the project; that of this run when absent.
        owner: Option<String>,
        /// The project; that of this run when absent.
        project: Option<String>,
        /// The version.
        version: String,
    },
}

impl Reference {
    /// Takes `RUN:NAME` apart.
    ///
    /// # Errors
    /// When it has another form.
    pub fn lineage(raw: &str) -> Result<Self, RefError> {
        let wrong = || RefError::Grammar { option: "--lineage-ref", raw: raw.to_owned(), wanted: "RUN:NAME" };
        let (run, name) = raw.trim().split_once(':').ok_or_else(wrong)?;
        let (owner, run) = scoped(run).ok_or_else(wrong)?;
        if name.is_empty() || name.contains(':') {
            return Err(wrong());
        }
        let run = RunUuid::new(hex(run)).map_err(|_| wrong())?;
        Ok(Self::Lineage { owner, run, name: name.to_owned() })
    }

    /// Takes a model version apart.
    ///
    /// # Errors
    /// When it has another form.
    pub fn model(raw: &str) -> Result<Self, RefError> {
        Self::version(VersionKind::Model, "--model-ref", raw)
    }

    /// Takes an artifact version apart.
    ///
    /// # Errors
    /// When it has another form.
    pub fn artifact(raw: &str) -> Result<Self, RefError> {
        Self::version(VersionKind::Artifact, "--artifact-ref", raw)
    }

    fn version(kind: VersionKind, option: &'static str, raw: &str) -> Result<Self, RefError> {
        let wanted = "[[OWNER/]PROJECT:]VERSION";
        let wrong = || RefError::Grammar { option, raw: raw.to_owned(), wanted };
        let (scope, version) = match raw.trim().split_once(':') {
            Some((scope, version)) => (Some(scope), version),
            // Not a version's name: it can hold no slash.
            None if raw.contains('/') => (Some(raw.trim()), LATEST),
            None => (None, raw.trim()),
        };
        let (owner, project) = match scope {
            Some(scope) => {
                let (owner, project) = scoped(scope).ok_or_else(wrong)?;
                (owner, Some(project.to_owned()))
            }
            None => (None, None),
        };
        let version = if version.is_empty() && project.is_some() { LATEST } else { version };
        let unfit = |c: char| c == '/' || c == ':' || c.is_control();
        if version.is_empty() || version == "." || version == ".." || version.contains(unfit) {
            return Err(wrong());
        }
        Ok(Self::Version { kind, owner, project, version: version.to_owned() })
    }
}

/// `[OWNER/]NAME`, with a dot or a slash between.
fn scoped(raw: &str) -> Option<(Option<String>, &str)> {
    let parts: Vec<&str> = raw.split(['/', '.']).collect();
    match parts.as_slice() {
        [name] if !name.is_empty() => Some((None, name)),
        [owner, name] if !owner.is_empty() && !name.is_empty() => Some((Some((*owner).to_owned()), name)),
        _ => None,
    }
}

/// A uuid with dashes is the same run's: stores and lineage know it without.
fn hex(run: &str) -> String {
    let dashes: Vec<usize> = run.match_indices('-').map(|(at, _)| at).collect();
    let digits = run.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    if run.len() == 36 && dashes == [8, 13, 18, 23] && digits {
        run.replace('-', "").to_ascii_lowercase()
    } else {
        run.to_owned()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lineage { run, name, .. } => write!(f, "artifact `{name}` of run {run}"),
            Self::Version { kind, owner, project, version } => {
                write!(f, "{} version `{version}`", kind.as_str())?;
                match (owner, project) {
                    (Some(owner), Some(project)) => write!(f, " of {owner}/{project}"),
                    (_, Some(project)) => write!(f, " of project {project}"),
                    _ => f.write_str(" of this run's project"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, want: Option<(Option<&str>, Option<&str>, &str)>) {
        let got = Reference::model(raw).ok().map(|reference| match reference {
            Reference::Version { owner, project, version, .. } => (owner, project, version),
            other => panic!("{other:?}"),
        });
        let want = want.map(|(owner, project, version)| {
            (owner.map(str::to_owned), project.map(str::to_owned), version.to_owned())
        });
        assert_eq!(got, want, "{raw}");
    }

    #[test]
    fn versions_with_and_without_their_project() {
        check("v1", Some((None, None, "v1")));
        check("v1.0", Some((None, None, "v1.0")));
        check("latest", Some((None, None, "latest")));
        check("proj:v1.0", Some((None, Some("proj"), "v1.0")));
        check("org/proj:v1", Some((Some("org"), Some("proj"), "v1")));
        check("org.proj:v1", Some((Some("org"), Some("proj"), "v1")));
        check("org/proj", Some((Some("org"), Some("proj"), "latest")));
        check("proj:", Some((None, Some("proj"), "latest")));
        for raw in ["", ":", ":v1", "a:b:c", "a/b/c:v", "/p:v", "o/:v", "..", "p:..", "p:a/b", "p:a\nb"] {
            check(raw, None);
        }
    }

    #[test]
    fn a_run_with_or_without_dashes() {
        let hex = "8aac02e3a62a4f0aaa257c59da5eab80";
        let run = |raw: &str| match Reference::lineage(raw) {
            Ok(Reference::Lineage { owner, run, name }) => Some((owner, run.to_string(), name)),
            _ => None,
        };
        let want = |owner: Option<&str>| Some((owner.map(str::to_owned), hex.to_owned(), "model".to_owned()));
        assert_eq!(run(&format!("{hex}:model")), want(None));
        assert_eq!(run("8AAC02E3-a62a-4f0a-aa25-7c59da5eab80:model"), want(None));
        assert_eq!(run(&format!("org/{hex}:model")), want(Some("org")));
        for raw in ["", "model", ":model", "x:", "x:a:b", "../x:a"] {
            assert_eq!(run(raw), None, "{raw}");
        }
    }
}
