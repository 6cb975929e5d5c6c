//! The document: `{"pods":{POD:{…,"events":[…]}},"services":{…}}`, as `polyaxon/_k8s/logging/async_monitor.py` (`get_op_spec`)
//! makes it, without its secrets.

use chrono::DateTime;
use plx_contract::record::isoformat;
use plx_contract::secrets::{redact, secrets_of};
use serde_json::{Map, Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Members that change without saying anything new: each change of an object has a version of its own, and who changed what
/// when is told by the object.
const WITHOUT_MEANING: [&str; 4] = ["resourceVersion", "managedFields", "lastProbeTime", "lastHeartbeatTime"];

/// A spec, as text.
#[derive(Debug, Clone, Default)]
pub(super) struct Document {
    pods: Members,
    services: Members,
    /// Main of the own pod has not ended.
    pub main_runs: bool,
}

#[derive(Debug, Clone, Default)]
struct Members {
    text: String,
    meaning: DefaultHasher,
}

impl Document {
    /// Adds a pod as the server gave it, with what happened to it, [`reduced`].
    pub fn pod(&mut self, name: &str, pod: Value, events: Vec<Value>) {
        self.pods.add(name, pod, events);
    }

    /// Adds a service.
    pub fn service(&mut self, name: &str, service: Value, events: Vec<Value>) {
        self.services.add(name, service, events);
    }

    /// It has no pods: they may not be listed, or are gone.
    pub fn is_empty(&self) -> bool {
        self.pods.text.is_empty()
    }

    /// Bytes of its text, or a little less.
    pub fn len(&self) -> usize {
        self.pods.text.len() + self.services.text.len()
    }

    /// What is written.
    pub fn text(&self) -> String {
        format!(r#"{{"pods":{{{}}},"services":{{{}}}}}"#, self.pods.text, self.services.text)
    }

    /// Equal for documents that say the same.
    pub fn meaning(&self) -> u64 {
        meaning(&[&self.pods.meaning, &self.services.meaning])
    }
}

impl Members {
    fn add(&mut self, name: &str, mut object: Value, events: Vec<Value>) {
        let known = secrets_of(&object);
        let mut events = Value::Array(events);
        redact(&mut object, &known);
        redact(&mut events, &known);
        if let Value::Object(members) = &mut object {
            members.insert("events".to_owned(), events);
        }
        if !self.text.is_empty() {
            self.text.push(',');
        }
        self.text.push_str(&format!("{}:{object}", Value::from(name)));
        self.means(name, &object);
    }

    fn means(&mut self, name: &str, object: &Value) {
        name.hash(&mut self.meaning);
        hash(object, &mut self.meaning);
    }
}

/// The meaning of a document that was written before; none when it is none.
pub(super) fn meaning_of(text: &[u8]) -> Option<u64> {
    let document: Value = serde_json::from_slice(text).ok()?;
    let of = |name: &str| {
        let mut members = Members::default();
        for (name, object) in document.get(name)?.as_object()? {
            members.means(name, object);
        }
        Some(members.meaning)
    };
    Some(meaning(&[&of("pods")?, &of("services")?]))
}

fn meaning(parts: &[&DefaultHasher]) -> u64 {
    let mut all = DefaultHasher::new();
    for part in parts {
        part.finish().hash(&mut all);
    }
    all.finish()
}

/// An event, as Polyaxon keeps it.
pub(super) fn reduced(event: &Value) -> Value {
    let time = |name: &str| {
        let text = event.get(name)?.as_str()?;
        DateTime::parse_from_rfc3339(text)
            .map_or_else(|_| Some(json!(text)), |time| Some(json!(isoformat(time))))
    };
    let plain = |name: &str| event.get(name).cloned();
    Value::Object(Map::from_iter(
        [
            ("reason", plain("reason")),
            ("message", plain("message")),
            ("first_timestamp", time("firstTimestamp")),
            ("last_timestamp", time("lastTimestamp")),
            ("count", plain("count")),
            ("type", plain("type")),
        ]
        .map(|(name, value)| (name.to_owned(), value.unwrap_or_default())),
    ))
}

fn hash(value: &Value, into: &mut DefaultHasher) {
    match value {
        Value::Object(members) => {
            let is_event = members.contains_key("first_timestamp");
            for (name, member) in members {
                if WITHOUT_MEANING.contains(&name.as_str()) || is_event && name == "last_timestamp" {
                    continue;
                }
                name.hash(into);
                match member.as_u64().filter(|_| is_event && name == "count") {
                    // Once, twice, four times, …: what happens again and again is not news each time.
                    Some(count) => count.checked_ilog2().hash(into),
                    None => hash(member, into),
                }
            }
            "}".hash(into);
        }
        Value::Array(list) => {
            list.iter().for_each(|one| hash(one, into));
            "]".hash(into);
        }
        other => other.to_string().hash(into),
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
