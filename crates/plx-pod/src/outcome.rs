//! What the ends of the containers mean for the run: its exit code, and whether everything is in the store.

use crate::process::Ended;
use plx_contract::Class;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// The one-line report of `plx-init` or `plx-sidecar`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct ChildReport {
    /// Name of the class.
    pub class: String,
    /// What there is to say.
    pub message: String,
    /// What the reader can do.
    pub next: Option<String>,
    /// Objects that init fetched.
    pub objects: Option<u64>,
    /// Bytes moved.
    pub bytes: Option<u64>,
    /// Objects that the sidecar stored.
    pub stored: Option<u64>,
    /// Passes of the sidecar.
    pub passes: Option<u64>,
    /// Keys that are not stored.
    pub waiting: Option<Value>,
}

impl ChildReport {
    /// Reads a report; none when there is none or it is unreadable, which is no fault of the run.
    pub fn read(path: &Path) -> Option<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(text.trim()).ok(),
            Err(_) => None,
        }
    }

    /// How many files are not stored; none when nothing is said to wait.
    pub fn waiting(&self) -> Option<u64> {
        let count = match self.waiting.as_ref()? {
            Value::Array(keys) => keys.len() as u64,
            Value::Number(number) => number.as_u64()?,
            _ => return None,
        };
        (count > 0).then_some(count)
    }

    /// The report says that something is left undone.
    pub fn is_incomplete(&self) -> bool {
        self.waiting().is_some() || self.class == Class::Incomplete.name()
    }
}

/// How far the outputs got.
#[derive(Debug, Clone, PartialEq)]
pub enum Sync {
    /// Nothing is collected.
    NotWanted,
    /// Everything is in the store.
    Complete,
    /// The sidecar ended well and left no word about it.
    Unknown,
    /// Some files are not stored.
    Incomplete,
    /// The sidecar ended with a failure.
    Failed(Ended),
}

impl Sync {
    /// What the sidecar's end and report say.
    pub fn of(ended: Ended, report: Option<&ChildReport>) -> Self {
        match report {
            _ if !ended.is_success() && ended.code != Class::Incomplete.code() => Self::Failed(ended),
            Some(report) if report.is_incomplete() => Self::Incomplete,
            _ if !ended.is_success() => Self::Incomplete,
            Some(_) => Self::Complete,
            None => Self::Unknown,
        }
    }

    /// Nothing of the pod's folder is needed any more.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::NotWanted | Self::Complete)
    }
}

/// The exit code of a run whose main ended: main's own, unless main succeeded and its outputs did not arrive.
pub fn exit_code(main: Ended, sync: &Sync) -> u8 {
    match sync {
        _ if !main.is_success() => main.code,
        Sync::NotWanted | Sync::Complete => Class::Done.code(),
        Sync::Incomplete | Sync::Unknown => Class::Incomplete.code(),
        // Killed: what it had not stored by then is missing.
        Sync::Failed(ended) if ended.signal.is_some() => Class::Incomplete.code(),
        Sync::Failed(ended) => ended.code,
    }
}

/// The class an exit code stands for; a code of no class is a fault of the program.
pub fn class_of(code: u8) -> Class {
    const ALL: [Class; 10] = [
        Class::Done,
        Class::Usage,
        Class::Integrity,
        Class::NotFound,
        Class::Unavailable,
        Class::Bug,
        Class::CannotWrite,
        Class::Incomplete,
        Class::Denied,
        Class::Config,
    ];
    ALL.into_iter().find(|class| class.code() == code).unwrap_or(Class::Bug)
}
