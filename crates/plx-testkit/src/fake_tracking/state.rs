//! What the API knows.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

/// What a client is told.
#[derive(Debug)]
pub(super) struct Answered {
    pub status: u16,
    pub body: Option<Value>,
}

impl Answered {
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, body: Some(body) }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, body: None }
    }

    pub fn detail(status: u16, detail: &str) -> Self {
        Self::json(status, json!({ "detail": detail }))
    }
}

#[derive(Debug)]
pub(super) struct State {
    /// By owner and project, in the order they were added.
    pub runs: Vec<(String, String, Value)>,
    /// By the run's uuid.
    pub statuses: BTreeMap<String, Vec<Value>>,
    /// By the run's uuid.
    pub artifacts: BTreeMap<String, Vec<Value>>,
    /// By the run's uuid.
    pub outputs: BTreeMap<String, Map<String, Value>>,
    /// By owner, project, kind and name.
    versions: HashMap<[String; 4], Value>,
    /// Token and user of impersonation.
    pub given: (String, String),
    pub accepted: Vec<String>,
    /// Path suffix, status (0: reset), how often.
    pub failing: Vec<(String, u16, usize)>,
    pub hanging: Vec<String>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            statuses: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            outputs: BTreeMap::new(),
            versions: HashMap::new(),
            given: ("run-token-1".to_owned(), "jane".to_owned()),
            accepted: Vec::new(),
            failing: Vec::new(),
            hanging: Vec::new(),
        }
    }
}

impl State {
    pub fn add_run(&mut self, owner: &str, project: &str, uuid: &str, name: Option<&str>) {
        let run = json!({ "uuid": uuid, "name": name, "status": "running", "kind": "job" });
        self.runs.push((owner.to_owned(), project.to_owned(), run));
    }

    /// An artifact of the same name is the same artifact.
    pub fn add_artifact(&mut self, uuid: &str, artifact: Value) {
        let all = self.artifacts.entry(uuid.to_owned()).or_default();
        all.retain(|other| other["name"] != artifact["name"]);
        all.push(artifact);
    }

    /// As `RunDetailSerializer.validated_outputs`: merged when that is asked for, else in place of all.
    pub fn set_outputs(&mut self, uuid: &str, given: &Map<String, Value>, merge: bool) {
        let outputs = self.outputs.entry(uuid.to_owned()).or_default();
        if !merge {
            outputs.clear();
        }
        outputs.extend(given.clone());
    }

    pub fn add_version(&mut self, key: [&str; 4], version: Value) {
        self.versions.insert(key.map(str::to_owned), version);
    }

    pub fn version(&self, key: [&str; 4]) -> Option<&Value> {
        self.versions.get(&key.map(str::to_owned))
    }

    pub fn knows_run(&self, owner: &str, project: &str, uuid: &str) -> bool {
        self.runs.is_empty()
            || self.runs.iter().any(|(o, p, run)| o == owner && p == project && run["uuid"] == uuid)
    }

    /// The forced status of a path, used up by this.
    pub fn forced(&mut self, path: &str) -> Option<u16> {
        let (_, status, left) =
            self.failing.iter_mut().find(|(suffix, _, left)| *left > 0 && path.ends_with(suffix.as_str()))?;
        *left -= 1;
        Some(*status)
    }

    pub fn hangs(&self, path: &str) -> bool {
        self.hanging.iter().any(|suffix| path.ends_with(suffix.as_str()))
    }
}
