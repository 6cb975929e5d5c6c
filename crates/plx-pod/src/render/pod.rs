//! The pod or the Job, put together.

use super::Renderer;
use super::built::{About, Built, is_given};
use super::supply::{Requested, add_secrets, add_store};
use super::{check, init, main_container, names, volumes};
use crate::cli::As;
use crate::settings::NATIVE_GRACE;
use crate::settings::pod_name;
use plx_contract::connection::{Catalog, Connection};
use plx_contract::init::Handler;
use plx_runtime::Failure;
use serde_json::{Map, Value, json};

/// The Polyaxon whose pods these are: the sidecar's collection and Polyaxon's own tools go by its labels.
const VERSION: &str = "2.18.0";

/// Without that right the pod stays when main is gone.
const NO_ACCOUNT: &str = "no service account is configured: the sidecar sees main's end only where the namespace's own \
                          account may get pods; give runsSa, or --native-sidecar or --wrap-main, which need no right";

/// A pod or a Job as `kubectl apply` takes it.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The whole of it.
    pub resource: Value,
    /// What each container does, in the order they start, by name.
    pub about: Vec<(String, About)>,
    /// Remarks for people.
    pub notes: Vec<String>,
}

impl Rendered {
    /// As YAML, in a form that readers of YAML 1.1 and 1.2 understand alike: no folded texts, and quotes around
    /// everything that could be something else than a text.
    ///
    /// # Errors
    /// Never for a resource that was rendered.
    pub fn yaml(&self) -> Result<String, Failure> {
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        serde_saphyr::to_string_with_options(&self.resource, options)
            .map_err(|error| Failure::new(plx_contract::Class::Bug, format!("write YAML: {error}")))
    }

    /// The pod's own metadata and spec.
    pub fn pod(&self) -> &Value {
        self.resource.pointer("/spec/template").unwrap_or(&self.resource)
    }
}

impl Renderer<'_> {
    /// All volumes of the pod, in the converter's order.
    pub(super) fn add_volumes(&mut self) -> Result<(), Failure> {
        let user = self.run.rest.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
        for volume in user {
            if let Value::Object(volume) = super::built::without_nulls(volume) {
                self.volumes.user(volume);
            }
        }
        let art = self.artifacts();
        let mut folders: Vec<Option<String>> = Vec::new();
        let mut of_init: Vec<String> = Vec::new();
        for entry in self.entries()?.iter().filter(|entry| entry.has_folder()) {
            folders.push(entry.path(&art).map(str::to_owned));
            of_init.extend(entry.entry.connection.clone());
        }
        for folder in folders {
            match folder {
                Some(path) => {
                    self.volumes.add(&format!("path {path}"), &names::of_path(&path), volumes::empty_dir());
                }
                None => self.volumes.add("artifacts", "artifacts-context", volumes::empty_dir()),
            }
        }
        let listed: Vec<String> = self.run.connections.clone().unwrap_or_default();
        let by_name = |names: Vec<&String>| -> Vec<Connection> {
            let mut found: Vec<Connection> = Vec::new();
            for connection in names.into_iter().filter_map(|name| self.catalog.find(name).ok()) {
                if found.iter().all(|known| known.name != connection.name) {
                    found.push(connection.clone());
                }
            }
            found
        };
        let store = &self.store.name;
        for connection in by_name([store].into_iter().chain(&listed).chain(&of_init).collect()) {
            add_store(&connection, &mut self.volumes)?;
        }
        let secrets = by_name(listed.iter().chain(&of_init).chain([store]).collect());
        add_secrets(
            &requested(&self.catalog, &self.store),
            &secrets.iter().collect::<Vec<_>>(),
            &mut self.volumes,
        );
        let plugins = self.plugins.clone();
        if plugins.collects_artifacts || plugins.collects_logs {
            self.volumes.add("artifacts", "artifacts-context", volumes::empty_dir());
        }
        self.add_persistence();
        if plugins.shm {
            self.volumes.add("shm", "shm", json!({"emptyDir": {"medium": "Memory"}}));
        }
        if plugins.auth {
            self.volumes.add("configs", "configs-context", volumes::empty_dir());
        }
        if plugins.docker {
            self.volumes.add("docker", "docker", volumes::host_path(main_container::DOCKER));
        }
        if plugins.tmux {
            self.volumes.add("tools", "plx-tools-bin", volumes::empty_dir());
        }
        Ok(())
    }

    /// The whole of it.
    pub(super) fn pod(mut self) -> Result<Rendered, Failure> {
        let mut inits = self.inits()?;
        let main = self.main()?;
        let mut containers = vec![main];
        match self.sidecar()? {
            // It stands beside all others from the first init container to main's end.
            Some(sidecar) if self.asked.native_sidecar => inits.insert(0, sidecar),
            Some(sidecar) => containers.push(sidecar),
            None => {}
        }
        containers.extend(self.sidecars()?);
        let about =
            inits.iter().chain(&containers).map(|one| (one.name.clone(), one.about.clone())).collect();
        let mut spec = self.spec()?;
        let watches = self.collects() && !self.wraps();
        self.without_account(&mut spec);
        if watches && !self.asked.native_sidecar && !spec.contains_key("serviceAccountName") {
            self.notes.push(NO_ACCOUNT.to_owned());
        }
        if self.asked.native_sidecar {
            spec.insert("terminationGracePeriodSeconds".to_owned(), json!(NATIVE_GRACE));
        }
        let values = |all: Vec<Built>| all.into_iter().map(Built::into_value).collect::<Vec<_>>();
        for (key, list) in [
            ("initContainers", values(inits)),
            ("containers", values(containers)),
            ("volumes", self.volumes.list()),
        ] {
            if !list.is_empty() {
                spec.insert(key.to_owned(), Value::Array(list));
            }
        }
        check::pod(&spec)?;
        let metadata = self.metadata();
        let resource = match self.asked.form {
            As::Pod => self.as_pod(metadata, spec),
            As::Job => self.as_job(metadata, spec)?,
        };
        Ok(Rendered { resource, about, notes: std::mem::take(&mut self.notes) })
    }

    fn metadata(&self) -> Map<String, Value> {
        let run = self.run_instance;
        let uuid = run.uuid.as_str();
        let mut labels = self.texts_of("labels");
        let component = format!("polyaxon-{}s", self.run.kind);
        let slug = names::slug(&self.name);
        for (key, value) in [
            ("app.kubernetes.io/name", if slug.is_empty() { uuid } else { &slug }),
            ("app.kubernetes.io/instance", uuid),
            ("app.kubernetes.io/version", VERSION),
            ("app.kubernetes.io/part-of", "polyaxon-runs"),
            ("app.kubernetes.io/component", &component),
            ("app.kubernetes.io/managed-by", "polyaxon"),
            ("operation.polyaxon.com/uuid", uuid),
        ] {
            labels.insert(key.to_owned(), json!(value));
        }
        let mut annotations = self.texts_of("annotations");
        let of_init = self.run.init.iter().flatten().filter_map(|entry| entry.connection.as_ref());
        let requested = self.run.connections.iter().flatten().chain(of_init).chain([&self.store.name]);
        for connection in requested.filter_map(|name| self.catalog.find(name).ok()) {
            let own = connection.annotations.as_ref().and_then(Value::as_object).into_iter().flatten();
            annotations.extend(own.map(|(key, value)| (key.clone(), json!(super::built::text(value)))));
        }
        for (key, value) in [
            ("operation.polyaxon.com/name", self.name.as_str()),
            ("operation.polyaxon.com/owner", &run.owner),
            ("operation.polyaxon.com/project", &run.project),
            ("operation.polyaxon.com/kind", &self.run.kind),
        ] {
            annotations.insert(key.to_owned(), json!(value));
        }
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), json!(pod_name(run)));
        if let Some(namespace) = &self.namespace {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        metadata.insert("labels".to_owned(), Value::Object(labels));
        metadata.insert("annotations".to_owned(), Value::Object(annotations));
        metadata
    }

    fn termination(&self, key: &str) -> Option<Value> {
        let termination = self.loaded.operation.rest.get("termination")?;
        termination.get(key).filter(|value| is_given(value)).cloned()
    }

    fn as_pod(&mut self, metadata: Map<String, Value>, mut spec: Map<String, Value>) -> Value {
        if let Some(seconds) = self.termination("timeout") {
            spec.insert("activeDeadlineSeconds".to_owned(), seconds);
        }
        for key in ["maxRetries", "ttl", "podFailurePolicy"] {
            if self.termination(key).is_some() {
                self.notes.push(format!("termination.{key} is for a Job: give --as job"));
            }
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    }

    fn as_job(&mut self, metadata: Map<String, Value>, pod: Map<String, Value>) -> Result<Value, Failure> {
        if self.run.kind == "service" {
            return Err(self
                .wrong(&["kind"], "a service has no end, and a Job waits for one")
                .with_next("use --as pod"));
        }
        // Kubernetes alone would repeat a failed training six times.
        let mut spec = Map::new();
        spec.insert("backoffLimit".to_owned(), self.termination("maxRetries").unwrap_or(json!(0)));
        for (ours, key) in [
            ("timeout", "activeDeadlineSeconds"),
            ("ttl", "ttlSecondsAfterFinished"),
            ("podFailurePolicy", "podFailurePolicy"),
        ] {
            if let Some(value) = self.termination(ours) {
                spec.insert(key.to_owned(), value);
            }
        }
        let of_template = |key: &str| metadata.get(key).cloned().unwrap_or_default();
        let template = json!({
            "metadata": {"labels": of_template("labels"), "annotations": of_template("annotations")},
            "spec": pod,
        });
        spec.insert("template".to_owned(), template);
        Ok(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}))
    }
}

/// What every main gets, in the order of the agent: the connections, then the store.
pub(super) fn requested<'a>(catalog: &'a Catalog, store: &'a Connection) -> Requested<'a> {
    let others = catalog.connections.iter().filter(|one| one.name != store.name);
    Requested::of(others.chain([store]))
}

impl init::Entry<'_> {
    /// Whether it writes to a folder that main sees; a person's container alone brings its own mounts.
    pub(super) fn has_folder(&self) -> bool {
        self.handler != Handler::Container || self.entry.connection.is_some()
    }
}
