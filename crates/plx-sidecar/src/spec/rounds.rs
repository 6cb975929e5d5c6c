//! One round: pods, services and what happened to them are asked for, and written when they say something new.

use super::Source;
use super::document::{Document, reduced};
use super::file::SpecFile;
use crate::Config;
use plx_contract::run::RunUuid;
use plx_contract::{Class, Classified};
use plx_kube::{End, KubeError, Pod, Selector, has_service};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Which kind of run a pod is of.
const KIND: &str = "operation.polyaxon.com/kind";
/// As much is written at most: what is asked for, made and written is in memory together. Pods of Polyaxon have 10 to 20 KiB each.
const MOST: usize = 2 << 20;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("{}", .0.chain())]
    Kube(#[from] KubeError),
    #[error("the pods of the run have more than {} MiB", MOST >> 20)]
    TooLarge,
}

/// What rounds need, and remember from one to the next.
pub(super) struct Rounds {
    source: Arc<dyn Source>,
    run: RunUuid,
    pod: String,
    container: String,
    /// None while it is being written.
    file: Option<SpecFile>,
    pods: usize,
    /// Of what it was said that it may not be listed.
    refused: HashSet<&'static str>,
    failing: bool,
    unwritable: bool,
}

impl Rounds {
    pub fn new(source: Arc<dyn Source>, config: &Config) -> Self {
        let path = config.layout.outputs(&config.run.uuid).join("spec.json");
        Self {
            source,
            run: config.run.uuid.clone(),
            pod: config.pod.clone(),
            container: config.container.clone(),
            file: Some(SpecFile::at(path)),
            pods: 1,
            refused: HashSet::new(),
            failing: false,
            unwritable: false,
        }
    }

    /// Pods that the run has, as far as is known.
    pub fn pods(&self) -> usize {
        self.pods
    }

    /// Asks for everything. Cancel safe.
    pub async fn ask(&mut self) -> Result<Document, AskError> {
        let of_run = Selector::of_run(self.run.as_str());
        let (mut document, mut kind, mut pods) = (Document::default(), String::new(), 0);
        let mut after = None;
        loop {
            let Some(page) = self.list("pods", &of_run, after.as_deref()).await? else { break };
            for pod in page.items {
                let name = name_of(&pod);
                if let Some(found) = pod.pointer("/metadata/annotations").and_then(|all| all.get(KIND))
                    && (kind.is_empty() || name == self.pod)
                {
                    kind = found.as_str().unwrap_or_default().to_owned();
                }
                if name == self.pod {
                    document.main_runs = self.main_runs(&pod);
                }
                let events = self.events("Pod", &name, &document).await?;
                document.pod(&name, pod, events);
                pods += 1;
                if document.len() > MOST {
                    return Err(AskError::TooLarge);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut after = has_service(&kind).then_some(None);
        while let Some(from) = after {
            let Some(page) = self.list("services", &of_run, from.as_deref()).await? else { break };
            for service in page.items {
                let name = name_of(&service);
                let events = self.events("Service", &name, &document).await?;
                document.service(&name, service, events);
                if document.len() > MOST {
                    return Err(AskError::TooLarge);
                }
            }
            after = page.next.map(Some);
        }
        self.pods = pods;
        Ok(document)
    }

    fn main_runs(&self, pod: &Value) -> bool {
        serde_json::from_value::<Pod>(pod.clone()).is_ok_and(|pod| End::of(&pod, &self.container).is_none())
    }

    /// What happened to an object, as much as the document has room for.
    async fn events(&mut self, kind: &str, name: &str, into: &Document) -> Result<Vec<Value>, AskError> {
        let (about, mut events, mut after) = (Selector::about(kind, name), Vec::new(), None);
        let mut length = into.len();
        loop {
            let Some(page) = self.list("events", &about, after.as_deref()).await? else { return Ok(events) };
            for event in page.items {
                let event = reduced(&event);
                length += event.to_string().len();
                if length > MOST {
                    return Err(AskError::TooLarge);
                }
                events.push(event);
            }
            after = page.next;
            if after.is_none() {
                return Ok(events);
            }
        }
    }

    /// A part of a list; none where it may not be listed, which is said once.
    async fn list(
        &mut self,
        resource: &'static str,
        selector: &Selector,
        after: Option<&str>,
    ) -> Result<Option<plx_kube::Page>, AskError> {
        match self.source.page(resource, selector, after).await {
            Ok(page) => Ok(Some(page)),
            Err(error) if error.class() == Class::Denied => {
                if self.refused.insert(resource) {
                    let next = error.next_step().unwrap_or_default();
                    tracing::warn!("the spec has no {resource}: {}; next: {next}", error.chain());
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what was found; none when there was no answer in time. What was written before stays when there is nothing new.
    pub async fn take(&mut self, found: Option<Result<Document, AskError>>, last: bool) {
        let document = match found {
            Some(Ok(document)) => document,
            Some(Err(error)) => return self.fails(&error.to_string()),
            None => return self.fails("no answer in time"),
        };
        if std::mem::take(&mut self.failing) {
            tracing::info!("the spec can be read again");
        }
        // Disks hang, so they are waited for on a thread of their own.
        let Some(mut file) = self.file.take() else { return };
        let written = spawn_blocking(move || {
            let written = file.write(&document, last);
            (file, written)
        });
        match written.await {
            Ok((file, written)) => {
                if let Err(error) = &written
                    && !self.unwritable
                {
                    tracing::warn!("the spec cannot be written: {}: {error}", file.path().display());
                }
                self.unwritable = written.is_err();
                self.file = Some(file);
            }
            Err(error) => tracing::error!("the spec is written no more: {error}"),
        }
    }

    fn fails(&mut self, why: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!("the spec stays as it is, asking on: {why}");
        }
    }
}

fn name_of(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}
