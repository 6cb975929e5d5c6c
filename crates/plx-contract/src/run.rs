//! Which run this pod belongs to.

use std::fmt;

/// A run's uuid as Polyaxon writes it: 32 hexadecimal digits, or any single path segment that a platform or a
/// person chose instead (`plx-pod run --run-uuid demo`). Never empty, never a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunUuid(String);

impl RunUuid {
    /// Takes a uuid that is safe as one path segment.
    ///
    /// # Errors
    /// When it is empty, `.`, `..`, or holds a slash or a control character.
    pub fn new(raw: impl Into<String>) -> Result<Self, RunError> {
        let raw = raw.into();
        let bad = raw.is_empty() || raw == "." || raw == ".." || raw.contains(['/', '\\']);
        if bad || raw.chars().any(char::is_control) {
            return Err(RunError::Uuid { raw });
        }
        Ok(Self(raw))
    }

    /// The uuid as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `OWNER.PROJECT.runs.UUID`, the value of `POLYAXON_RUN_INSTANCE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInstance {
    /// Owner of the project.
    pub owner: String,
    /// Project of the run.
    pub project: String,
    /// The run.
    pub uuid: RunUuid,
}

impl RunInstance {
    /// Parses the four dot-separated parts.
    ///
    /// # Errors
    /// When there are not exactly four parts, or the uuid is no path segment.
    pub fn parse(raw: &str) -> Result<Self, RunError> {
        let parts: Vec<&str> = raw.split('.').collect();
        match parts.as_slice() {
            [owner, project, "runs", uuid] if !owner.is_empty() && !project.is_empty() => Ok(Self {
                owner: (*owner).to_owned(),
                project: (*project).to_owned(),
                uuid: RunUuid::new(*uuid)?,
            }),
            _ => Err(RunError::Instance { raw: raw.to_owned() }),
        }
    }
}

impl fmt::Display for RunInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.runs.{}", self.owner, self.project, self.uuid)
    }
}

/// A run that is not named well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Not a single path segment.
    #[error("run uuid `{raw}` is not one path segment")]
    Uuid {
        /// What was given.
        raw: String,
    },
    /// Not of the form `OWNER.PROJECT.runs.UUID`.
    #[error("POLYAXON_RUN_INSTANCE is `{raw}`, wanted OWNER.PROJECT.runs.UUID")]
    Instance {
        /// What was given.
        raw: String,
    },
    /// Not set at all.
    #[error("POLYAXON_RUN_INSTANCE is not set")]
    Unset,
}

impl crate::Classified for RunError {
    fn class(&self) -> crate::Class {
        crate::Class::Config
    }
    fn next_step(&self) -> Option<String> {
        Some("set POLYAXON_RUN_INSTANCE to OWNER.PROJECT.runs.UUID, as Polyaxon's converter does".to_owned())
    }
}

/// Reads the run of this pod.
///
/// # Errors
/// When the variable is unset or malformed.
pub fn from_env(env: &impl crate::Env) -> Result<RunInstance, RunError> {
    let raw = env.non_empty(crate::env::RUN_INSTANCE).ok_or(RunError::Unset)?;
    RunInstance::parse(&raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_exactly_four_parts() {
        let run = RunInstance::parse("o.p.runs.8aac").expect("four parts");
        assert_eq!((run.uuid.as_str(), run.to_string().as_str()), ("8aac", "o.p.runs.8aac"));
        for raw in
            ["", "o.p.runs", "o.p.jobs.8aac", "o.p.runs.8aac.x", ".p.runs.u", "o.p.runs...", "o.p.runs.a/b"]
        {
            assert!(RunInstance::parse(raw).is_err(), "{raw}");
        }
    }
}
