//! The operation or component file, for `run` and `render` alike.

use crate::fields;
use crate::located::Located;
use plx_contract::Class;
use plx_contract::operation::{self, Container, Document, Operation, OperationError};
use plx_runtime::Failure;
use serde_json::Value;
use std::path::Path;

/// A document that can be run or rendered.
#[derive(Debug)]
pub struct Loaded {
    /// What it asks for.
    pub operation: Operation,
    /// Its text, for messages.
    pub source: Located,
    /// Path of the `run` section in the text.
    pub run_path: &'static [&'static str],
    /// What is not done on this machine although the document says it, one remark each.
    pub notes: Vec<String>,
}

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
        let meant = match &error {
            OperationError::Unknown { field } => fields::closest(field, operation::fields()),
            _ => None,
        };
        let mut failure = Failure::from(error);
        failure.message = format!("{place}: {}", failure.message);
        if meant.is_some() {
            failure.next = Some(fields::next_step(meant));
        }
        failure
    })?;
    let mut notes = Vec::new();
    let run = &operation.run;
    let raw: Value = source.parse()?;
    let pointer = format!("/{}", run_path.join("/"));
    if let Some(found) = raw.pointer(&pointer).and_then(|run| fields::unknown(run, &fields::RUN)) {
        let path: Vec<&str> = run_path.iter().copied().chain(found.path.iter().map(String::as_str)).collect();
        let message = format!("unknown field `{}` of {}", found.field(), found.of);
        return Err(source.wrong(&path, message).with_next(fields::next_step(found.meant)));
    }
    for (field, value) in &run.rest {
        if matches!(field.as_str(), "sidecars" | "volumes") && !is_empty(value) {
            notes.push(format!("run.{field} is ignored: it needs a cluster"));
        }
    }
    if let Some(container) = &run.container {
        note_container(container, &mut notes);
    }
    Ok(Loaded { operation, source, run_path, notes })
}

/// Adds a note for what a container asks for and is not done here.
pub fn note_container(container: &Container, notes: &mut Vec<String>) {
    for (field, value) in &container.rest {
        if matches!(field.as_str(), "envFrom" | "volumeMounts" | "volumeDevices") && !is_empty(value) {
            add_note(notes, format!("{field} of a container is ignored: it needs a cluster"));
        }
    }
    if container.image.is_some() {
        add_note(notes, "images are not run here: commands run with this machine's programs".to_owned());
    }
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
