//! What the cluster holds, and how it fails.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::logs::Logs;
use super::{KubeFault, SeenKube};
use crate::Times;

/// Of something that was there before.
const FIRST_VERSION: u64 = 1000;

#[derive(Debug)]
pub(super) struct State {
    /// Of the last change, in all of the cluster.
    pub version: u64,
    /// Changes up to this one are forgotten.
    pub forgotten: u64,
    /// By name.
    pub pods: BTreeMap<String, Value>,
    pub changes: Vec<Change>,
    /// By name.
    pub services: BTreeMap<String, Value>,
    /// In the order they came.
    pub events: Vec<Value>,
    /// By pod; none where there is no metrics API.
    pub metrics: Option<BTreeMap<String, Value>>,
    /// The one that is accepted.
    pub token: String,
    /// Verb and resource; `*` is any.
    pub denied: Vec<(String, String)>,
    pub cuts: u64,
    pub holes: u64,
    pub logs: Logs,
    in_hole: bool,
    /// Verb, how, how often, and how often it could have been so far.
    failing: Vec<(String, KubeFault, Times, u64)>,
}

/// A line of a watch.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub version: u64,
    /// As `MODIFIED`.
    pub kind: &'static str,
    /// Of the pod; empty for a bookmark.
    pub name: String,
    pub object: Value,
}

impl State {
    pub(super) fn new(token: String) -> Self {
        Self {
            version: FIRST_VERSION,
            forgotten: 0,
            pods: BTreeMap::new(),
            changes: Vec::new(),
            services: BTreeMap::new(),
            events: Vec::new(),
            metrics: None,
            token,
            denied: Vec::new(),
            cuts: 0,
            holes: 0,
            logs: Logs::default(),
            in_hole: false,
            failing: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, name: &str, mut pod: Value) {
        if self.pods.contains_key(name) {
            self.delete(name);
        }
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["uid"] = json!(format!("0b5e7c1a-0000-4000-8000-{:012x}", fastrand::u64(..1 << 48)));
        self.store("ADDED", name, pod);
    }

    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut pod = self.pods.get(name).expect("a pod that is there").clone();
        change(&mut pod);
        self.store("MODIFIED", name, pod);
    }

    pub(super) fn delete(&mut self, name: &str) {
        let pod = self.pods.get(name).expect("a pod that is there").clone();
        self.store("DELETED", name, pod);
        self.pods.remove(name);
    }

    fn store(&mut self, kind: &'static str, name: &str, mut object: Value) {
        // Others change things too.
        self.version += 1 + fastrand::u64(..5);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.pods.insert(name.to_owned(), object.clone());
        self.changes.push(Change { version: self.version, kind, name: name.to_owned(), object });
    }

    /// Of all that is stored, one count.
    pub(super) fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    pub(super) fn bookmark(&mut self) {
        self.version += 1;
        let bookmark = self.bookmark_of_now();
        self.changes.push(bookmark);
    }

    /// As the API server makes it of an empty pod, nulls and all.
    pub(super) fn bookmark_of_now(&self) -> Change {
        let object = json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": { "resourceVersion": self.version.to_string(), "creationTimestamp": null },
            "spec": { "containers": null },
            "status": {},
        });
        Change { version: self.version, kind: "BOOKMARK", name: String::new(), object }
    }

    pub(super) fn forget(&mut self) {
        // A watch from the version of now misses nothing, but the real one has moved on by then.
        self.version += 1;
        self.forgotten = self.version;
        self.changes.clear();
    }

    pub(super) fn is_denied(&self, verb: &str, resource: &str) -> bool {
        let fits = |rule: &str, asked: &str| rule == "*" || rule == asked;
        self.denied.iter().any(|(of, on)| fits(of, verb) && fits(on, resource))
    }

    pub(super) fn fail(&mut self, verb: &str, fault: KubeFault, times: Times) {
        self.failing.push((verb.to_owned(), fault, times, 0));
    }

    pub(super) fn black_hole(&mut self) {
        (self.in_hole, self.holes) = (true, self.holes + 1);
    }

    pub(super) fn recover(&mut self) {
        self.in_hole = false;
        self.failing.clear();
    }

    /// How a call fails.
    pub(super) fn fault(&mut self, seen: &SeenKube) -> Option<KubeFault> {
        if self.in_hole {
            return Some(KubeFault::Silence);
        }
        let of_call = self.failing.iter_mut().filter(|(of, ..)| seen.is(of));
        let mut found = None;
        for (_, fault, times, matched) in of_call {
            *matched += 1;
            if times.applies(*matched) {
                found.get_or_insert(*fault);
            }
        }
        found
    }
}
