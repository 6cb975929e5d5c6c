//! What is told about a run: artifacts (lineage) and statuses, as bodies of the tracking API.
//!
//! ```json
//! {"artifacts":[{"name":"script-sh","kind":"file","path":"outputs/script.sh",
//!                "summary":{"hash":"be6d0c9acf65","path":"R/outputs/script.sh"},"is_input":true}]}
//! {"condition":{"type":"warning","status":true,"reason":"GitInitializer","message":"…",
//!               "last_update_time":"2026-11-20T21:22:14.358784+00:00","last_transition_time":"…"}}
//! ```
//!
//! From `traceml/artifacts/schemas.py` (`V1RunArtifact`) and `polyaxon/_client/run.py` (`_sanitize_filename`,
//! `_sanitize_filepath`, `_calculate_summary_for_path_or_content`, `_build_status_condition`).

use crate::Layout;
use crate::record::isoformat;
use crate::run::RunUuid;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::{Component, Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

/// One artifact of a run. What is unset is left out; the order of the keys is Polyaxon's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Artifact {
    /// Its name, see [`name`].
    pub name: String,
    /// One of [`crate::file::ARTIFACT_KINDS`].
    pub kind: String,
    /// Where it is, below the run's folder or absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Anything that is worth knowing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Map<String, Value>>,
    /// The connection it came from or lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Whether the run reads it or made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_input: Option<bool>,
}

impl Artifact {
    /// A file that an init step wrote at `path`: `file`, `env`, `dockerfile`, …
    pub fn written(layout: &Layout, run: &RunUuid, path: &Path, kind: &str, hash: &str) -> Self {
        let last = path.file_name().map(|last| last.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            name: name(layout, run, &last),
            kind: kind.to_owned(),
            path: Some(path_in_run(layout, run, path)),
            summary: Some(object(json!({ "hash": hash, "path": path_in_artifacts(layout, path) }))),
            connection: None,
            is_input: Some(true),
        }
    }

    /// The commit that was checked out. `branch` is `HEAD` when it is on none.
    pub fn code(commit: &str, branch: &str, url: &str, connection: Option<&str>) -> Self {
        Self {
            name: commit.to_owned(),
            kind: "coderef".to_owned(),
            path: None,
            summary: Some(object(json!({ "commit": commit, "branch": branch, "url": url }))),
            connection: connection.map(str::to_owned),
            is_input: Some(true),
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The body of `POST …/lineage/artifacts`.
pub fn artifacts_body(artifacts: &[Artifact]) -> Value {
    json!({ "artifacts": artifacts })
}

/// A status of a run, as an init step or a sidecar reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `warning`, `failed`, …
    pub kind: &'static str,
    /// Who says so, in one word.
    pub reason: String,
    /// What happened.
    pub message: String,
}

impl Status {
    /// The body of `POST …/statuses`.
    pub fn body(&self, now: DateTime<Utc>) -> Value {
        let now = isoformat(now);
        json!({ "condition": {
            "type": self.kind,
            "status": true,
            "reason": self.reason,
            "message": self.message,
            "last_update_time": now,
            "last_transition_time": now,
        }})
    }
}

/// The name of an artifact: a file's name without what the API cannot have in a name. A whole path loses the part that
/// leads to the run's own folders first.
///
/// ```
/// # use plx_contract::{Layout, lineage, run::RunUuid};
/// let (layout, run) = (Layout::under("/plx-context"), RunUuid::new("R").unwrap());
/// assert_eq!(lineage::name(&layout, &run, "script.sh"), "script-sh");
/// assert_eq!(lineage::name(&layout, &run, "/plx-context/artifacts/R/outputs/a b/ü.txt"), "a-b__u-txt");
/// ```
pub fn name(layout: &Layout, run: &RunUuid, raw: &str) -> String {
    let root = layout.root().to_string_lossy();
    if !root.is_empty() && raw.contains(&*root) {
        let run = layout.run(run);
        let folders = ["outputs", "events", "assets", "resources"].map(|part| run.join(part));
        for folder in folders.iter().chain([&run]) {
            let prefix = format!("{}/", folder.display());
            if let Some(rest) = raw.strip_prefix(&prefix) {
                return sanitized(rest);
            }
        }
    }
    sanitized(raw)
}

/// `to_fqn_name` of `polyaxon/_utils/fqn_utils.py`: letters without their accents, words, `__` for slashes, one `-`
/// for every run of dashes, dots and blanks.
pub(crate) fn sanitized(raw: &str) -> String {
    let kept: String = raw
        .nfkd()
        .filter(char::is_ascii)
        .filter(|c| c.is_ascii_alphanumeric() || "_-./\\".contains(*c) || is_space(*c))
        .collect();
    let mut name = String::with_capacity(kept.len());
    // What the last run of separators was written as.
    let mut open = None;
    for c in kept.trim_matches(is_space).chars() {
        let separator = match c {
            '/' | '\\' => Some("__"),
            '-' | '.' => Some("-"),
            c if is_space(c) => Some("-"),
            _ => None,
        };
        match separator {
            Some(text) if open != separator => name.push_str(text),
            Some(_) => {}
            None => name.push(c),
        }
        open = separator;
    }
    name
}

/// What Python's `\s` and `strip` take for a blank, among ASCII.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r' | '\u{1c}'..='\u{1f}')
}

/// Where an artifact is, as lineage says it: what follows `R/`, else below the artifacts root, else as it is.
pub fn path_in_run(layout: &Layout, run: &RunUuid, path: &Path) -> String {
    let mut rest = path.components();
    while let Some(part) = rest.next() {
        if part.as_os_str() == run.as_str() {
            let below = rest.as_path();
            return if below.as_os_str().is_empty() { ".".to_owned() } else { shown(below) };
        }
    }
    match path.strip_prefix(layout.artifacts()) {
        Ok(below) if !below.as_os_str().is_empty() => shown(below),
        _ => shown(path),
    }
}

/// Where a file is that exists, from the artifacts root, as Python's `relpath` says it.
pub fn path_in_artifacts(layout: &Layout, path: &Path) -> String {
    let root = layout.artifacts();
    if !path.is_absolute() {
        return shown(path);
    }
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (root.components().collect(), path.components().collect());
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut way = PathBuf::new();
    way.extend(std::iter::repeat_n(Component::ParentDir, from.len() - same));
    way.extend(&to[same..]);
    if way.as_os_str().is_empty() { ".".to_owned() } else { shown(&way) }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    const R: &str = "8aac02e3a62a4f0aaa257c59da5eab80";

    fn pod() -> (Layout, RunUuid) {
        (Layout::under("/plx-context"), RunUuid::new(R).expect("a uuid"))
    }

    #[test]
    fn bodies_are_those_of_the_reference() {
        let (layout, run) = pod();
        let cases = include_str!("../tests/fixtures/lineage.json");
        let cases: Vec<Value> = serde_json::from_str(cases).expect("the fixture");
        assert_eq!(cases.len(), 12);
        for case in &cases {
            let text = |key: &str| case[key].as_str().unwrap_or_default();
            let ours = match text("what") {
                "written" => {
                    let path = Path::new(text("path"));
                    Artifact::written(&layout, &run, path, text("kind"), text("hash"))
                }
                "code" => {
                    Artifact::code(text("commit"), text("branch"), text("url"), case["connection"].as_str())
                }
                other => panic!("{other}"),
            };
            // As text: the order of the keys counts.
            assert_eq!(artifacts_body(&[ours]).to_string(), case["body"].to_string(), "{}", text("case"));
        }
    }

    #[test]
    fn a_status_is_the_references_to_the_byte() {
        let status = Status {
            kind: "warning",
            reason: "GitInitializer".to_owned(),
            message: "Error cloning git repo.".to_owned(),
        };
        let time = Utc.with_ymd_and_hms(2026, 11, 20, 21, 22, 14).single().expect("a time");
        assert_eq!(
            status.body(time + chrono::Duration::microseconds(358_784)).to_string(),
            "{\"condition\":{\"type\":\"warning\",\"status\":true,\"reason\":\"GitInitializer\",\
             \"message\":\"Error cloning git repo.\",\"last_update_time\":\"2026-11-20T21:22:14.358784+00:00\",\
             \"last_transition_time\":\"2026-11-20T21:22:14.358784+00:00\"}}"
        );
    }

    #[test]
    fn names_as_python_makes_them() {
        let cases = include_str!("../tests/fixtures/lineage_names.json");
        let cases: Vec<(String, String)> = serde_json::from_str(cases).expect("the fixture");
        assert!(cases.len() > 30, "{} names", cases.len());
        for (raw, want) in cases {
            assert_eq!(sanitized(&raw), want, "{raw:?}");
        }
    }

    #[test]
    fn paths_from_the_run_the_artifacts_root_or_nowhere() {
        let (layout, run) = pod();
        for (path, in_run, in_artifacts) in [
            (format!("/plx-context/artifacts/{R}/outputs/x"), "outputs/x", format!("{R}/outputs/x")),
            (format!("/plx-context/artifacts/{R}/outputs/{R}/x"), &*format!("outputs/{R}/x"), {
                format!("{R}/outputs/{R}/x")
            }),
            (format!("/plx-context/artifacts/{R}"), ".", R.to_owned()),
            (format!("/elsewhere/{R}/x"), "x", format!("../../elsewhere/{R}/x")),
            // Not this run's, however much the name begins like it.
            (format!("/plx-context/artifacts/{R}-2/x"), &*format!("{R}-2/x"), format!("{R}-2/x")),
            ("/plx-context/artifacts/data/x".to_owned(), "data/x", "data/x".to_owned()),
            ("/plx-context/artifacts".to_owned(), "/plx-context/artifacts", ".".to_owned()),
            ("/tmp/x".to_owned(), "/tmp/x", "../../tmp/x".to_owned()),
        ] {
            let path = Path::new(&path);
            assert_eq!(path_in_run(&layout, &run, path), in_run, "{path:?}");
            assert_eq!(path_in_artifacts(&layout, path), in_artifacts, "{path:?}");
        }
    }
}
