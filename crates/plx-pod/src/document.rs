//! The operation or component file, checked for what only a cluster can do.

use crate::located::Located;
use plx_contract::Class;
use plx_contract::operation::{Container, Document, Operation, OperationError};
use plx_runtime::Failure;
use serde_json::Value;
use std::path::Path;

/// A document that can be run.
#[derive(Debug)]
pub struct Loaded {
    /// What it asks for.
    pub operation: Operation,
    /// Its text, for messages.
    pub source: Located,
    /// Path of the `run` section in the text.
    pub run_path: &'static [&'static str],
    /// What is not done here although the document says it, one remark each.
    pub notes: Vec<String>,
}

/// Fields of `run` that have no meaning on this machine, beside those that are used.
const RUN_FIELDS: &[&str] =
    &["environment", "sidecars", "volumes", "ports", "rewritePath", "isExternal", "replicas"];

/// Fields of a container that Kubernetes knows, beside those that are used.
const CONTAINER_FIELDS: &[&str] = &[
    "envFrom",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
];

/// Reads a file, or stdin for `-`.
///
/// # Errors
/// When it cannot be read or is no document that can be run.
pub fn read(file: &Path) -> Result<Loaded, Failure> {
    let (name, text) = read_text(file)?;
    parse(&name, &text)
}

/// The text of a file and its name for messages.
pub(crate) fn read_text(file: &Path) -> Result<(String, String), Failure> {
    let stdin = file == Path::new("-");
    let name = if stdin { "<stdin>".to_owned() } else { file.display().to_string() };
    let text =
        if stdin { std::io::read_to_string(std::io::stdin().lock()) } else { std::fs::read_to_string(file) };
    let text = text.map_err(|error| {
        let class = match error.kind() {
            std::io::ErrorKind::NotFound => Class::NotFound,
            _ => Class::Config,
        };
        Failure::new(class, format!("read {name}: {error}"))
    })?;
    Ok((name, text))
}

/// Parses a document.
///
/// # Errors
/// With FILE:LINE:COLUMN, when it is no document that can be run here.
pub fn parse(name: &str, text: &str) -> Result<Loaded, Failure> {
    let source = Located::new(name, text);
    let document: Document = source.parse()?;
    check_version(&document, &source)?;
    check_kind(&document, &source)?;
    let run_path: &'static [&'static str] =
        if document.component.is_some() { &["component", "run"] } else { &["run"] };
    let operation = document.resolve().map_err(|error| {
        let place: Vec<&str> = match &error {
            OperationError::Unknown { field } | OperationError::PlatformOnly { field } => {
                let top = [field.as_str()];
                if source.has(&top) { top.to_vec() } else { vec!["component", field.as_str()] }
            }
            OperationError::Kind { .. } => [run_path, &["kind"]].concat(),
            OperationError::Shape { .. } => vec!["kind"],
        };
        let place = source.at(&place);
        let mut failure = Failure::from(error);
        failure.message = format!("{place}: {}", failure.message);
        failure
    })?;
    let mut notes = Vec::new();
    let run = &operation.run;
    for (field, value) in &run.rest {
        let path = [run_path, &[field.as_str()]].concat();
        if !RUN_FIELDS.contains(&field.as_str()) {
            return Err(source.wrong(&path, format!("unknown field `{field}` of run")).with_next(CORRECT));
        }
        if matches!(field.as_str(), "sidecars" | "volumes") && !is_empty(value) {
            notes.push(format!("run.{field} is ignored: it needs a cluster"));
        }
    }
    let containers = run.container.iter().map(|container| (container, "container".to_owned()));
    for (container, place) in containers {
        check_container(container, &[run_path, &[place.as_str()]].concat(), &source, &mut notes)?;
    }
    Ok(Loaded { operation, source, run_path, notes })
}

const CORRECT: &str = "correct its spelling or remove it";

/// Checks the fields of a container; adds a note for what is not done here.
///
/// # Errors
/// When Kubernetes has no such field.
pub fn check_container(
    container: &Container,
    path: &[&str],
    source: &Located,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    for (field, value) in &container.rest {
        let path = [path, &[field.as_str()]].concat();
        if !CONTAINER_FIELDS.contains(&field.as_str()) {
            let message = format!("unknown field `{field}` of a container");
            return Err(source.wrong(&path, message).with_next(CORRECT));
        }
        if matches!(field.as_str(), "envFrom" | "volumeMounts" | "volumeDevices") && !is_empty(value) {
            add_note(notes, format!("{field} of a container is ignored: it needs a cluster"));
        }
    }
    if container.image.is_some() {
        add_note(notes, "images are not run here: commands run with this machine's programs".to_owned());
    }
    Ok(())
}

fn add_note(notes: &mut Vec<String>, note: String) {
    if !notes.contains(&note) {
        notes.push(note);
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn check_version(document: &Document, source: &Located) -> Result<(), Failure> {
    let next = "write `version: 1.1`";
    match &document.version {
        Some(Value::Number(number)) if number.as_f64() == Some(1.1) => Ok(()),
        Some(Value::String(text)) if text == "1.1" => Ok(()),
        Some(other) => {
            Err(source.wrong(&["version"], format!("version is {other}, wanted 1.1")).with_next(next))
        }
        None => Err(source.wrong(&[], "`version` is missing").with_next(next)),
    }
}

fn check_kind(document: &Document, source: &Located) -> Result<(), Failure> {
    match document.kind.as_deref() {
        None | Some("operation" | "component") => Ok(()),
        Some(kind) => {
            let message = format!("kind is `{kind}`, wanted operation or component");
            Err(source.wrong(&["kind"], message))
        }
    }
}
