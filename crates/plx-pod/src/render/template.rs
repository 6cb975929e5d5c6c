//! Templates in the `run` section.

use super::Renderer;
use super::built::{text, var};
use crate::context::{Context, Paths};
use crate::params;
use plx_contract::connection::Connection;
use plx_contract::operation::Run;
use plx_runtime::Failure;
use serde_json::{Value, json};

impl Renderer<'_> {
    /// Renders every text of the run.
    pub(super) fn template(&mut self) -> Result<(), Failure> {
        let params = params::of(self.loaded)?;
        self.inputs = params.env.iter().map(|(name, value)| var(name, value.as_str())).collect();
        self.context = self.new_context()?;
        if self.run.kind == "service" {
            let (ports, urls) = (self.run.rest.get("ports").cloned(), self.base_urls());
            let context = std::mem::take(&mut self.context)
                .with_global("ports", ports.unwrap_or_default())
                .with_global("base_url", urls.first().cloned().unwrap_or_default());
            self.context = context.with_global("base_urls", Value::Array(urls));
        }
        self.context = std::mem::take(&mut self.context).with_params(&params.values);
        let mut run = serde_json::to_value(&self.run)
            .map_err(|error| self.wrong(&[], format!("read again: {error}")))?;
        self.texts(&mut run, &mut Vec::new())?;
        let run: Result<Run, _> = serde_json::from_value(run);
        self.run = run.map_err(|error| self.wrong(&[], format!("after its templates: {error}")))?;
        Ok(())
    }

    /// Where Polyaxon's gateway shows a service, one path for each port.
    fn base_urls(&self) -> Vec<Value> {
        let is_set = |key: &str| self.run.rest.get(key) == Some(&Value::Bool(true));
        let rewrite = if is_set("rewritePath") { "rewrite-" } else { "" };
        let place = if is_set("isExternal") { "external" } else { "services" };
        let run = self.run_instance;
        let namespace = self.namespace.as_deref().unwrap_or("default");
        let ports = self.run.rest.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
        let ports = if ports.is_empty() { vec![json!(80)] } else { ports };
        let of_port = |port: &Value| {
            let port = text(port);
            json!(format!(
                "/{rewrite}{place}/v1/{namespace}/{}/{}/runs/{}/{port}",
                run.owner, run.project, run.uuid
            ))
        };
        ports.iter().map(of_port).collect()
    }

    fn new_context(&self) -> Result<Context, Failure> {
        let store_path = self.store.store_path()?;
        let sees_store = !self.plugins.collects_artifacts || self.plugins.mounts_store;
        let artifacts = self.artifacts();
        let base = if self.plugins.collects_artifacts { &artifacts } else { &store_path };
        let run = format!("{base}/{}", self.run_instance.uuid);
        let named = |name: &String| self.catalog.find(name).ok();
        let used: Vec<&Connection> = self.run.connections.iter().flatten().filter_map(named).collect();
        let of_init: Vec<&Connection> =
            self.run.init.iter().flatten().filter_map(|entry| named(entry.connection.as_ref()?)).collect();
        let paths = Paths {
            context: self.layout.root().display().to_string(),
            artifacts: artifacts.clone(),
            run,
            store: sees_store.then_some(store_path),
        };
        let namespace = self.namespace.as_deref().unwrap_or("default");
        Ok(Context::new(self.run_instance, namespace, Some(&self.name), &paths, used, of_init))
    }

    fn texts(&self, value: &mut Value, path: &mut Vec<String>) -> Result<(), Failure> {
        match value {
            Value::String(text) => {
                let place: Vec<&str> = path.iter().map(String::as_str).collect();
                *text = self.context.render(&self.at(&place), text)?;
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    path.push(index.to_string());
                    self.texts(item, path)?;
                    path.pop();
                }
            }
            Value::Object(fields) => {
                for (key, item) in fields {
                    path.push(key.clone());
                    self.texts(item, path)?;
                    path.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Ok(())
    }
}
