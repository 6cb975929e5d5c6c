//! The file of `--connections`.

use crate::document;
use crate::located::Located;
use plx_contract::connection::{Connection, Kind, Resource};
use plx_runtime::Failure;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// The connections of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Connections {
    /// The one that is the artifacts store, when the file names one.
    pub store: Option<Connection>,
    /// The others, in order.
    pub others: Vec<Connection>,
}

/// The same shapes as in `plx-contract`, which takes what a newer platform sends; what a person wrote here is checked
/// to the letter.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(alias = "artifacts_store")]
    artifacts_store: Option<Entry>,
    connections: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    name: String,
    kind: Kind,
    description: Option<String>,
    tags: Option<Vec<String>>,
    schema: Option<Value>,
    secret: Option<EntryResource>,
    #[serde(alias = "config_map")]
    config_map: Option<EntryResource>,
    env: Option<Value>,
    annotations: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EntryResource {
    name: String,
    #[serde(alias = "mount_path")]
    mount_path: Option<String>,
    #[serde(alias = "host_path")]
    host_path: Option<String>,
    items: Option<Vec<String>>,
    #[serde(alias = "default_mode")]
    default_mode: Option<Value>,
    #[serde(alias = "is_requested")]
    is_requested: Option<bool>,
}

impl From<Entry> for Connection {
    fn from(entry: Entry) -> Self {
        Self {
            name: entry.name,
            kind: entry.kind,
            description: entry.description,
            tags: entry.tags,
            schema: entry.schema,
            secret: entry.secret.map(Resource::from),
            config_map: entry.config_map.map(Resource::from),
            env: entry.env,
            annotations: entry.annotations,
        }
    }
}

impl From<EntryResource> for Resource {
    fn from(entry: EntryResource) -> Self {
        Self {
            name: entry.name,
            mount_path: entry.mount_path,
            host_path: entry.host_path,
            items: entry.items,
            default_mode: entry.default_mode,
            is_requested: entry.is_requested,
        }
    }
}

/// Reads a connections file, or stdin for `-`.
///
/// # Errors
/// When it cannot be read, has an unknown field, or two connections of one name.
pub fn read(file: &Path) -> Result<Connections, Failure> {
    let (name, text) = document::read_text(file)?;
    parse(&name, &text)
}

/// Parses a connections file.
///
/// # Errors
/// With FILE:LINE:COLUMN.
pub fn parse(name: &str, text: &str) -> Result<Connections, Failure> {
    let source = Located::new(name, text);
    let file: File = source.parse()?;
    let store = file.artifacts_store.map(Connection::from);
    let others: Vec<Connection> = file.connections.unwrap_or_default().into_iter().map(Into::into).collect();
    for (index, one) in others.iter().enumerate() {
        let twice = others[..index].iter().any(|earlier| earlier.name == one.name)
            // The store may stand in the list too, as Polyaxon's own configuration allows.
            || store.as_ref().is_some_and(|store| store.name == one.name && store != one);
        if twice {
            let path = ["connections", &index.to_string(), "name"];
            return Err(source.wrong(&path, format!("a second connection `{}`", one.name)));
        }
    }
    Ok(Connections { store, others })
}
