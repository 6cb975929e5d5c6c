//! The volumes of a pod: each under one name, whatever asks for it.

use super::names;
use serde_json::{Map, Value, json};

/// Volumes in the order they were asked for.
#[derive(Debug, Default)]
pub struct Volumes {
    known: Vec<Volume>,
}

#[derive(Debug)]
struct Volume {
    /// What it is: two requests for the same get one volume.
    identity: String,
    name: String,
    /// The volume without its name.
    source: Map<String, Value>,
}

impl Volumes {
    /// A volume as its author wrote it.
    pub fn user(&mut self, mut volume: Map<String, Value>) {
        let name =
            volume.remove("name").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        self.known.push(Volume { identity: format!("user {name}"), name, source: volume });
    }

    /// A volume of ours. `wanted` is its name unless that is no DNS label or is taken by another volume.
    pub fn add(&mut self, identity: &str, wanted: &str, source: Value) {
        if self.known.iter().any(|known| known.identity == identity) {
            return;
        }
        let taken = |name: &str| self.known.iter().any(|known| known.name == name);
        let name = if names::is_label(wanted) && !taken(wanted) {
            wanted.to_owned()
        } else {
            names::unique(wanted, identity)
        };
        let Value::Object(source) = source else { return };
        self.known.push(Volume { identity: identity.to_owned(), name, source });
    }

    /// The mount of a volume that was added.
    pub fn mount(&self, identity: &str, path: &str, read_only: Option<bool>) -> Value {
        let known = self.known.iter().find(|known| known.identity == identity);
        let mut mount = json!({ "name": known.map_or("", |known| &known.name), "mountPath": path });
        if let Some(read_only) = read_only {
            mount["readOnly"] = json!(read_only);
        }
        mount
    }

    /// Whether a volume was added.
    pub fn has(&self, identity: &str) -> bool {
        self.known.iter().any(|known| known.identity == identity)
    }

    /// All of them, as a pod lists them.
    pub fn list(&self) -> Vec<Value> {
        self.known
            .iter()
            .map(|known| {
                let mut volume = Map::new();
                volume.insert("name".to_owned(), json!(known.name));
                volume.extend(known.source.clone());
                Value::Object(volume)
            })
            .collect()
    }
}

/// A folder that lives as long as the pod.
pub fn empty_dir() -> Value {
    json!({"emptyDir": {}})
}

/// A folder of the node.
pub fn host_path(path: &str) -> Value {
    json!({"hostPath": {"path": path}})
}

/// A persistent volume claim.
pub fn claim(name: &str, read_only: Option<bool>) -> Value {
    let mut claim = json!({ "claimName": name });
    if let Some(read_only) = read_only {
        claim["readOnly"] = json!(read_only);
    }
    json!({ "persistentVolumeClaim": claim })
}
