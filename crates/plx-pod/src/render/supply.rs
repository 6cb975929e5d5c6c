//! What a container gets of the connections it uses: variables, secrets and config maps in each form, mounts.

use super::built::{from_config_map, from_secret, text, var};
use super::volumes::{self, Volumes};
use plx_contract::connection::{Catalog, Connection, Kind, Resource, Schema};
use plx_contract::env;
use plx_runtime::Failure;
use serde_json::{Value, json};

/// What one container gets.
#[derive(Debug, Clone, Default)]
pub struct Supply {
    /// Variables from keys of secrets.
    pub secret_env: Vec<Value>,
    /// Variables from keys of config maps.
    pub map_env: Vec<Value>,
    /// The catalog of these connections and their own variables.
    pub own_env: Vec<Value>,
    /// Whole secrets and config maps.
    pub env_from: Vec<Value>,
    /// Claims, host paths, mounted secrets and config maps.
    pub mounts: Vec<Value>,
}

/// What is taken of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Everything: main, the user's sidecars.
    All,
    /// What opens its store: a bucket's secrets, or the volume.
    Store,
    /// Its secrets alone: repositories, a person's init container.
    Secrets,
}

/// Secrets and config maps with `isRequested`: main gets them whatever connections it names.
#[derive(Debug, Clone, Default)]
pub struct Requested<'a> {
    secrets: Vec<&'a Resource>,
    maps: Vec<&'a Resource>,
}

impl<'a> Requested<'a> {
    /// Those of a deployment's connections.
    pub fn of(connections: impl Iterator<Item = &'a Connection>) -> Self {
        let mut requested = Self::default();
        let is_requested = |one: &&Resource| one.is_requested == Some(true);
        for connection in connections {
            add_once(&mut requested.secrets, connection.secret.as_ref().filter(is_requested));
            add_once(&mut requested.maps, connection.config_map.as_ref().filter(is_requested));
        }
        requested
    }
}

impl Supply {
    /// What these connections come to.
    pub fn of(connections: &[&Connection], take: Take, volumes: &Volumes) -> Self {
        Self::with_requested(&Requested::default(), connections, take, volumes)
    }

    /// The same, with what every main gets before it.
    pub fn with_requested(
        requested: &Requested,
        connections: &[&Connection],
        take: Take,
        volumes: &Volumes,
    ) -> Self {
        let mut supply = Self::default();
        let (mut secrets, mut maps) = (requested.secrets.clone(), requested.maps.clone());
        if !connections.is_empty() {
            supply.own_env.push(catalog(connections));
        }
        for connection in connections {
            supply.own_env.extend(variables(connection));
            if take != Take::Secrets {
                supply.mounts.extend(mount_of_store(connection, volumes));
            }
            if take != Take::Store || connection.kind.is_bucket() {
                add_once(&mut secrets, connection.secret.as_ref());
                add_once(&mut maps, connection.config_map.as_ref());
            }
        }
        for secret in &secrets {
            match (&secret.mount_path, &secret.items) {
                (Some(path), _) => {
                    supply.mounts.push(volumes.mount(&identity("secret", secret), path, Some(true)))
                }
                (None, Some(items)) if !items.is_empty() => {
                    supply.secret_env.extend(items.iter().map(|key| from_secret(key, &secret.name, key)));
                }
                _ => supply.env_from.push(json!({"secretRef": {"name": secret.name}})),
            }
        }
        for map in &maps {
            let items = map.items.iter().flatten();
            supply.map_env.extend(items.map(|key| from_config_map(key, &map.name, key)));
            match (&map.mount_path, &map.items) {
                (Some(path), _) => {
                    supply.mounts.push(volumes.mount(&identity("config map", map), path, Some(true)))
                }
                (None, Some(items)) if !items.is_empty() => {}
                _ => supply.env_from.push(json!({"configMapRef": {"name": map.name}})),
            }
        }
        supply
    }
}

fn add_once<'a>(known: &mut Vec<&'a Resource>, resource: Option<&'a Resource>) {
    if let Some(resource) = resource
        && !known.contains(&resource)
    {
        known.push(resource);
    }
}

/// The volume of a connection, when it is a claim or a host path.
pub fn add_store(connection: &Connection, volumes: &mut Volumes) -> Result<(), Failure> {
    if !connection.kind.is_mount() {
        return Ok(());
    }
    connection.store_path()?; // a schema of another shape
    let source = match connection.schema() {
        Schema::Claim { claim, .. } if connection.kind == Kind::VolumeClaim => {
            let read_only = connection.schema_field("readOnly").and_then(Value::as_bool);
            volumes::claim(&claim, read_only)
        }
        Schema::HostPath { host_path, .. } if connection.kind == Kind::HostPath => {
            volumes::host_path(&host_path)
        }
        _ => return Err(wrong_kind(connection)),
    };
    volumes.add(&format!("connection {}", connection.name), &connection.name, source);
    Ok(())
}

fn wrong_kind(connection: &Connection) -> Failure {
    let message =
        format!("connection `{}` of kind {} has a schema of another kind", connection.name, connection.kind);
    Failure::new(plx_contract::Class::Config, message)
        .with_next("give volumeClaim and mountPath, or hostPath and mountPath, as the kind says")
}

/// The volumes of the secrets that are mounted.
pub fn add_secrets(requested: &Requested, connections: &[&Connection], volumes: &mut Volumes) {
    let secrets =
        requested.secrets.iter().copied().chain(connections.iter().filter_map(|one| one.secret.as_ref()));
    for secret in secrets.filter(|one| one.mount_path.is_some()) {
        let source = source_of(secret, json!({ "secretName": secret.name }));
        volumes.add(&identity("secret", secret), &secret.name, json!({ "secret": source }));
    }
    let maps =
        requested.maps.iter().copied().chain(connections.iter().filter_map(|one| one.config_map.as_ref()));
    for map in maps.filter(|one| one.mount_path.is_some()) {
        let source = source_of(map, json!({ "name": map.name }));
        volumes.add(&identity("config map", map), &map.name, json!({ "configMap": source }));
    }
}

fn source_of(resource: &Resource, mut source: Value) -> Value {
    if let Some(items) = resource.items.as_ref().filter(|items| !items.is_empty()) {
        source["items"] = items.iter().map(|key| json!({"key": key, "path": key})).collect();
    }
    if let Some(mode) = resource.default_mode.as_ref().and_then(mode) {
        source["defaultMode"] = json!(mode);
    }
    source
}

/// A file mode: a number as it is, a text in octal digits.
fn mode(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => u64::from_str_radix(text.trim_start_matches("0o"), 8).ok(),
        _ => None,
    }
}

/// Two connections that mount the same keys of a secret share the volume.
fn identity(what: &str, resource: &Resource) -> String {
    format!("{what} {} {:?} {:?}", resource.name, resource.items, resource.default_mode)
}

fn mount_of_store(connection: &Connection, volumes: &Volumes) -> Option<Value> {
    let identity = format!("connection {}", connection.name);
    if !connection.kind.is_mount() || !volumes.has(&identity) {
        return None;
    }
    let path = connection.schema_field("mountPath")?.as_str()?;
    let read_only = connection.schema_field("readOnly").and_then(Value::as_bool);
    Some(volumes.mount(&identity, path, read_only))
}

fn catalog(connections: &[&Connection]) -> Value {
    let connections = connections.iter().map(|one| without_null_fields(one)).collect();
    let json = serde_json::to_string(&Catalog { connections }).expect("a catalog always serialises");
    var(env::CONNECTIONS_CATALOG, json)
}

fn without_null_fields(connection: &Connection) -> Connection {
    let mut connection = connection.clone();
    connection.schema = connection.schema.map(super::built::without_nulls);
    connection
}

/// A connection's own variables, in whichever of the three forms they are written.
fn variables(connection: &Connection) -> Vec<Value> {
    match &connection.env {
        Some(Value::Object(map)) => map.iter().map(|(key, value)| var(key, text(value))).collect(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| match item {
                Value::Array(pair) if pair.len() == 2 => Some(var(pair[0].as_str()?, text(&pair[1]))),
                Value::Object(entry) if entry.contains_key("valueFrom") => Some(item.clone()),
                Value::Object(entry) => Some(var(entry.get("name")?.as_str()?, text(entry.get("value")?))),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}
