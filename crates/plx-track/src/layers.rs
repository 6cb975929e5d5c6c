//! Files and environment over each other, key by key, as the reference's config reader merges them.
//!
//! A setting has two spellings, `POLYAXON_AUTH_TOKEN` and `token`. The first beats the second wherever each of them
//! stands (pydantic's alias before its name); among equal spellings the later layer wins. The environment has the
//! first spelling only.

use crate::TrackError;
use plx_contract::Env;
use plx_contract::credential::Files;
use plx_contract::env::{EnvError, parse_bool};
use serde_json::{Map, Value};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

enum Layer {
    File { path: PathBuf, values: Map<String, Value> },
    Env,
}

/// Settings from several places, the strongest last.
pub(crate) struct Layers<'a, E> {
    layers: Vec<Layer>,
    env: &'a E,
}

/// A setting's two spellings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub long: &'static str,
    pub short: &'static str,
}

pub(crate) const fn key(long: &'static str, short: &'static str) -> Key {
    Key { long, short }
}

impl<'a, E: Env> Layers<'a, E> {
    pub fn new(env: &'a E) -> Self {
        Self { layers: Vec::new(), env }
    }

    /// A person's own file, as in a home folder: one that this user may not read is none.
    pub fn own_file(self, path: &Path, files: &impl Files) -> Result<Self, TrackError> {
        match files.read(path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(self),
            read => self.content(path, read),
        }
    }

    /// A file that the pod brings.
    pub fn file(self, path: &Path, files: &impl Files) -> Result<Self, TrackError> {
        let read = files.read(path);
        self.content(path, read)
    }

    pub fn env(mut self) -> Self {
        self.layers.push(Layer::Env);
        self
    }

    fn content(mut self, path: &Path, read: std::io::Result<Option<String>>) -> Result<Self, TrackError> {
        let wrong = |what: String| TrackError::File { path: path.to_owned(), what };
        let Some(text) = read.map_err(|error| wrong(format!("cannot be read: {error}")))? else {
            return Ok(self);
        };
        // The position alone: serde's own words may quote the file, and it holds a token.
        let values = match serde_json::from_str(&text) {
            Ok(Value::Object(values)) => values,
            Ok(_) => return Err(wrong("is no JSON object".to_owned())),
            Err(error) => {
                return Err(wrong(format!("is no JSON (line {} column {})", error.line(), error.column())));
            }
        };
        self.layers.push(Layer::File { path: path.to_owned(), values });
        Ok(self)
    }

    /// The value that wins, and the file it stands in unless it is the environment.
    fn find(&self, key: Key) -> Option<(Value, Option<&Path>)> {
        let given = |value: &Value| !matches!(value, Value::Null) && value.as_str() != Some("");
        let at = |layer: &'_ Layer, name: &str| match layer {
            Layer::Env if name == key.long => self.env.non_empty(name).map(Value::String),
            Layer::Env => None,
            Layer::File { values, .. } => values.get(name).filter(|value| given(value)).cloned(),
        };
        [key.long, key.short].into_iter().find_map(|name| {
            self.layers.iter().rev().find_map(|layer| {
                let from = match layer {
                    Layer::File { path, .. } => Some(path.as_path()),
                    Layer::Env => None,
                };
                Some((at(layer, name)?, from))
            })
        })
    }

    fn wrong(key: Key, from: Option<&Path>, wanted: &'static str) -> TrackError {
        match from {
            Some(path) => TrackError::File {
                path: path.to_owned(),
                what: format!("has `{}` that is no {wanted}", key.short),
            },
            // None of these is a secret, but whoever mixes them up may have put one here.
            None => TrackError::Variable { key: key.long, wanted },
        }
    }

    pub fn text(&self, key: Key) -> Result<Option<String>, TrackError> {
        match self.find(key) {
            None => Ok(None),
            Some((Value::String(text), _)) => Ok(Some(text)),
            Some((_, from)) => Err(Self::wrong(key, from, "text")),
        }
    }

    /// A boolean; an empty variable is an error, as in the reference.
    pub fn flag(&self, key: Key) -> Result<Option<bool>, TrackError> {
        if self.env.get(key.long).is_some_and(|raw| raw.is_empty())
            && self.layers.iter().any(|layer| matches!(layer, Layer::Env))
        {
            return Err(EnvError { key: key.long, raw: String::new(), wanted: "true or false" }.into());
        }
        match self.find(key) {
            None => Ok(None),
            Some((Value::Bool(flag), _)) => Ok(Some(flag)),
            Some((Value::String(raw), from)) => match (parse_bool(&raw), from) {
                (Some(flag), _) => Ok(Some(flag)),
                (None, None) => Err(EnvError { key: key.long, raw, wanted: "true or false" }.into()),
                (None, from) => Err(Self::wrong(key, from, "boolean")),
            },
            Some((_, from)) => Err(Self::wrong(key, from, "boolean")),
        }
    }

    pub fn number(&self, key: Key) -> Result<Option<f64>, TrackError> {
        let Some((value, from)) = self.find(key) else { return Ok(None) };
        let number = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number.filter(|number: &f64| number.is_finite() && *number >= 0.0) {
            Some(number) => Ok(Some(number)),
            None => Err(Self::wrong(key, from, "number")),
        }
    }
}
