//! What the reference (`vents` 0.10 in Polyaxon 2.18) makes of connections: `tests/fixtures/credentials.json`, recorded
//! by running it. The cloud's modules compare each row with what they make of it, and name where they differ on
//! purpose.

use crate::setting::Setting;
use plx_contract::connection::Connection;
use plx_contract::credential::Files;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One connection in one environment, and what the reference made of it.
#[derive(Deserialize)]
pub(crate) struct Row {
    pub case: String,
    connection: Value,
    env: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
    pub result: Value,
}

/// Files that are not on a disk.
#[derive(Clone, Default)]
pub(crate) struct Mounted(pub BTreeMap<PathBuf, String>);

impl Files for Mounted {
    fn read(&self, path: &Path) -> std::io::Result<Option<String>> {
        Ok(self.0.get(path).cloned())
    }
}

impl Row {
    pub fn setting(&self) -> Setting {
        let connection: Connection = serde_json::from_value(self.connection.clone()).expect("a connection");
        Setting::new(&connection, &self.env, &Mounted(self.files.clone()))
    }

    /// What the reference passes on under this name; none when it passes on nothing.
    pub fn passed(&self, name: &str) -> Option<&str> {
        self.result["fs_kwargs"][name].as_str()
    }

    /// The reference breaks on this connection.
    pub fn is_broken(&self) -> bool {
        self.result.get("error").is_some()
    }
}

/// The rows of one kind of connection.
pub(crate) fn rows(kind: &str) -> Vec<Row> {
    let rows: Vec<Row> =
        serde_json::from_str(include_str!("../tests/fixtures/credentials.json")).expect("the fixture");
    let rows: Vec<Row> = rows.into_iter().filter(|row| row.connection["kind"] == kind).collect();
    assert!(rows.len() >= 5, "{kind}: {} rows", rows.len());
    rows
}

/// A setting for a test: a connection as JSON, variables, files.
pub(crate) fn setting(connection: &str, env: &[(&str, &str)], files: &[(&str, &str)]) -> Setting {
    let connection: Connection = serde_json::from_str(connection).expect("a connection");
    let env: BTreeMap<String, String> =
        env.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let files = files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
    Setting::new(&connection, &env, &Mounted(files))
}
