//! How a deployment is set up: its connections, its artifacts store, the images and limits of its helper containers.
//!
//! One file for `render -c` and `run --connections`. Its keys are those of Polyaxon's agent configuration, in camel case
//! or in the agent's own spelling; `docs/render.md` lists them.

use crate::document;
use crate::located::Located;
use plx_contract::connection::{Connection, Kind, Resource};
use plx_contract::persistence::Persistence;
use plx_contract::plugins::Sidecar;
use plx_runtime::Failure;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::path::Path;

/// What a file says of a deployment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deployment {
    /// The connection that is the artifacts store, when the file names one.
    pub store: Option<Connection>,
    /// The others, in order.
    pub others: Vec<Connection>,
    /// Everything that only a cluster needs.
    pub cluster: Cluster,
    /// Volumes of data and outputs, as in older charts.
    pub persistence: Option<Persistence>,
}

/// What only a cluster needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cluster {
    /// Where pods are made.
    pub namespace: Option<String>,
    /// URL of the tracking API inside the cluster; there is no API when absent.
    pub host: Option<String>,
    /// The same from outside, for `plugins.externalHost`.
    pub external_host: Option<String>,
    /// What `plugins.auth` is when a run does not say it; with an API true.
    pub auth: Option<bool>,
    /// Runs log in with the deployment's internal token.
    pub internal_auth: bool,
    /// As `POLYAXON_NO_API` of Polyaxon's agent: nothing is collected or resumed.
    pub no_api: bool,
    /// Secret with `POLYAXON_AUTH_TOKEN`.
    pub agent_secret_name: Option<String>,
    /// Secret with `POLYAXON_SECRET_INTERNAL_TOKEN`.
    pub app_secret_name: Option<String>,
    /// Service account of runs.
    pub runs_sa: Option<String>,
    /// Containers get the proxies of the caller's environment.
    pub proxies: bool,
    /// The init containers.
    pub init: Helper,
    /// The sidecar.
    pub sidecar: Sidecar,
}

/// `V1PolyaxonInitContainer`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names are the configuration's")]
pub struct Helper {
    pub image: Option<String>,
    #[serde(alias = "image_tag")]
    pub image_tag: Option<String>,
    #[serde(alias = "image_pull_policy")]
    pub image_pull_policy: Option<String>,
    pub resources: Option<Value>,
}

/// The same shapes as in `plx-contract`, which takes what a newer platform sends; what a person wrote here is checked
/// to the letter.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(alias = "artifacts_store")]
    artifacts_store: Option<Entry>,
    connections: Option<Vec<Entry>>,
    namespace: Option<String>,
    host: Option<String>,
    #[serde(alias = "external_host")]
    external_host: Option<String>,
    auth: Option<bool>,
    #[serde(alias = "internal_auth")]
    internal_auth: Option<bool>,
    #[serde(alias = "no_api")]
    no_api: Option<bool>,
    #[serde(alias = "agent_secret_name")]
    agent_secret_name: Option<String>,
    #[serde(alias = "app_secret_name")]
    app_secret_name: Option<String>,
    #[serde(alias = "runs_sa")]
    runs_sa: Option<String>,
    #[serde(alias = "use_proxy_env_vars_use_in_ops")]
    use_proxy_env_vars_use_in_ops: Option<bool>,
    init: Option<Helper>,
    sidecar: Option<Sidecar>,
    persistence: Option<Persistence>,
    // Of the agent, and not of a run's pod.
    #[serde(alias = "watch_cluster", rename = "watchCluster")]
    _watch_cluster: Option<IgnoredAny>,
    #[serde(alias = "single_namespace", rename = "singleNamespace")]
    _single_namespace: Option<IgnoredAny>,
    #[serde(alias = "additional_namespaces", rename = "additionalNamespaces")]
    _additional_namespaces: Option<IgnoredAny>,
    #[serde(alias = "enable_health_checks", rename = "enableHealthChecks")]
    _enable_health_checks: Option<IgnoredAny>,
    #[serde(alias = "executor_refresh_interval", rename = "executorRefreshInterval")]
    _executor_refresh_interval: Option<IgnoredAny>,
    #[serde(alias = "default_scheduling", rename = "defaultScheduling")]
    _default_scheduling: Option<IgnoredAny>,
    #[serde(alias = "default_image_pull_secrets", rename = "defaultImagePullSecrets")]
    _default_image_pull_secrets: Option<IgnoredAny>,
    #[serde(rename = "notifier")]
    _notifier: Option<IgnoredAny>,
    #[serde(rename = "cleaner")]
    _cleaner: Option<IgnoredAny>,
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

/// Reads a deployment's file, or stdin for `-`.
///
/// # Errors
/// When it cannot be read, has an unknown field, or two connections of one name.
pub fn read(file: &Path) -> Result<Deployment, Failure> {
    let (name, text) = document::read_text(file)?;
    parse(&name, &text)
}

/// Parses a deployment's file.
///
/// # Errors
/// With FILE:LINE:COLUMN.
pub fn parse(name: &str, text: &str) -> Result<Deployment, Failure> {
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
    let persistence = file.persistence;
    let sections = persistence.iter().flat_map(|all| [("data", &all.data), ("outputs", &all.outputs)]);
    for (section, volumes) in sections {
        for (volume, written) in volumes.iter().flat_map(|volumes| &volumes.0) {
            written.place(volume).map_err(|error| {
                let mut failure = Failure::from(error);
                let place = source.at(&["persistence", section, volume]);
                failure.message = format!("{place}: {}", failure.message);
                failure
            })?;
        }
    }
    Ok(Deployment {
        store,
        others,
        persistence,
        cluster: Cluster {
            namespace: file.namespace,
            host: file.host,
            external_host: file.external_host,
            auth: file.auth,
            internal_auth: file.internal_auth.unwrap_or(false),
            no_api: file.no_api.unwrap_or(false),
            agent_secret_name: file.agent_secret_name,
            app_secret_name: file.app_secret_name,
            runs_sa: file.runs_sa,
            proxies: file.use_proxy_env_vars_use_in_ops.unwrap_or(false),
            init: file.init.unwrap_or_default(),
            sidecar: file.sidecar.unwrap_or_default(),
        },
    })
}
