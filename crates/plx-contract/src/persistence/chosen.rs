//! Which of the volumes one run gets, and the variables that say so.

use super::{Persistence, PersistenceError, Place, Volume, Volumes};
use crate::run::RunInstance;
use serde::Deserialize;
use serde_json::{Value, json};

/// What a run says about its volumes (`environment.persistence`, `environment.data_refs`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Wanted {
    /// The data it needs; all when none is named.
    pub data: Option<Vec<String>>,
    /// Its outputs; the first when none is named.
    pub outputs: Option<String>,
}

/// What one run gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its data, in the order of the configuration.
    pub data: Vec<(String, Place)>,
    /// Its outputs.
    pub outputs: (String, Place),
}

impl Persistence {
    /// What a run gets. A section that is not configured is one folder of the node.
    ///
    /// # Errors
    /// When a name is not configured, a volume is malformed, or the outputs cannot be written.
    pub fn choose(&self, wanted: &Wanted) -> Result<Chosen, PersistenceError> {
        let all = |section: &Option<Volumes>, name: &str| match section {
            Some(Volumes(volumes)) if !volumes.is_empty() => volumes.clone(),
            _ => vec![(name.to_owned(), on_the_node(name))],
        };
        let (data, outputs) = (all(&self.data, "data"), all(&self.outputs, "outputs"));
        let unknown = |section, name: &str, known: &[(String, Volume)]| PersistenceError::Unknown {
            section,
            name: name.to_owned(),
            known: known.iter().map(|(name, _)| name.clone()).collect(),
        };
        let names = wanted.data.as_deref().unwrap_or_default();
        if let Some(name) = names.iter().find(|name| data.iter().all(|(known, _)| known != *name)) {
            return Err(unknown("data", name, &data));
        }
        let data = data
            .iter()
            .filter(|(name, _)| wanted.data.is_none() || names.contains(name))
            .map(|(name, volume)| Ok((name.clone(), volume.place(name)?)))
            .collect::<Result<_, _>>()?;
        let chosen = match &wanted.outputs {
            None => outputs.first(),
            Some(name) => outputs.iter().find(|(known, _)| known == name),
        };
        let Some((name, volume)) = chosen else {
            return Err(unknown("outputs", wanted.outputs.as_deref().unwrap_or_default(), &outputs));
        };
        if volume.read_only == Some(true) {
            let writable = |(_, volume): &&(String, Volume)| volume.read_only != Some(true);
            let others = outputs.iter().filter(writable).map(|(name, _)| name.clone()).collect();
            return Err(PersistenceError::ReadOnly { name: name.clone(), others });
        }
        Ok(Chosen { data, outputs: (name.clone(), volume.place(name)?) })
    }
}

fn on_the_node(name: &str) -> Volume {
    let path = Some(format!("/{name}"));
    Volume { mount_path: path.clone(), host_path: path, ..Volume::default() }
}

impl Chosen {
    /// `POLYAXON_RUN_DATA_PATHS`: a JSON object, name to path or bucket, spaced as Python does.
    pub fn data_paths(&self) -> String {
        object(self.data.iter().map(|(name, place)| (name.as_str(), json!(place.root()))))
    }

    /// `POLYAXON_RUN_OUTPUTS_PATH` of a job: the root of its outputs, its owner and project, its uuid.
    pub fn outputs_path(&self, run: &RunInstance) -> String {
        format!("{}/{}/{}/jobs/{}", self.outputs.1.root(), run.owner, run.project, run.uuid)
    }

    /// `POLYSTORES_RUN_STORES_ACCESS_KEYS`: which bucket is opened with the key in which variable; none without buckets.
    pub fn access_keys(&self) -> Option<String> {
        let mut pairs: Vec<(&str, Value)> = Vec::new();
        for (_, place) in self.places() {
            if let Place::Bucket { store, url, secret: Some((_, key)) } = place
                && pairs.iter().all(|(known, _)| known != url)
            {
                pairs.push((url, json!({"store": store.name(), "secret_key": key})));
            }
        }
        (!pairs.is_empty()).then(|| object(pairs.into_iter()))
    }

    /// Data and outputs.
    pub fn places(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.data.iter().chain([&self.outputs]).map(|(name, place)| (name.as_str(), place))
    }
}

/// JSON as `json.dumps` spaces it.
fn object<'a>(pairs: impl Iterator<Item = (&'a str, Value)>) -> String {
    fn text(value: &Value) -> String {
        match value {
            Value::Object(map) => object(map.iter().map(|(key, value)| (key.as_str(), value.clone()))),
            other => other.to_string(),
        }
    }
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{}: {}", json!(key), text(&value))).collect();
    format!("{{{}}}", pairs.join(", "))
}
