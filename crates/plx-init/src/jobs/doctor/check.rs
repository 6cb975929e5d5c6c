//! What was looked at and what came of it: a table for people, JSON for programs.

use comfy_table::{Table, presets};
use plx_contract::Class;
use plx_contract::connection::Connection;
use serde_json::{Value, json};
use std::fmt;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Result {
    /// As it should be.
    Ok,
    /// It works, and something about it is worth a look.
    Warning,
    /// It does not work.
    Failed,
    /// It was not looked at.
    Skipped,
}

impl Result {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it was.
    pub name: &'static str,
    /// How it ended.
    pub result: Result,
    /// The class of a failure.
    pub class: Class,
    /// The name of a failure, such as `wrong-signature`.
    pub cause: Option<&'static str>,
    /// What was seen.
    pub detail: String,
    /// What to do.
    pub next: Option<String>,
}

impl Check {
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, result: Result::Ok, class: Class::Done, cause: None, detail: detail.into(), next: None }
    }

    pub fn warning(name: &'static str, detail: impl Into<String>, next: impl Into<String>) -> Self {
        Self { result: Result::Warning, next: Some(next.into()), ..Self::ok(name, detail) }
    }

    pub fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self { result: Result::Skipped, ..Self::ok(name, why) }
    }

    pub fn failed(
        name: &'static str,
        class: Class,
        cause: Option<&'static str>,
        detail: impl Into<String>,
        next: Option<String>,
    ) -> Self {
        Self { name, result: Result::Failed, class, cause, detail: detail.into(), next }
    }
}

/// All that was seen of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Its name.
    pub connection: String,
    /// Its kind.
    pub kind: String,
    /// Where it leads; none when it could not be opened.
    pub place: Option<String>,
    /// In the order a transfer meets them.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    pub fn of(connection: &Connection) -> Self {
        Self {
            connection: connection.name.clone(),
            kind: connection.kind.to_string(),
            place: None,
            checks: Vec::new(),
        }
    }

    pub fn add(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Something does not work.
    pub fn is_sick(&self) -> bool {
        self.checks.iter().any(|check| check.result == Result::Failed)
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.as_ref().map(|place| format!(" {place}")).unwrap_or_default();
        writeln!(f, "{} ({}){place}", self.connection, self.kind)?;
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for check in &self.checks {
            let mark = if check.result == Result::Failed { "FAILED" } else { check.result.name() };
            table.add_row(["", mark, check.name, &check.detail]);
            if let Some(next) = &check.next {
                table.add_row(["", "", "", &format!("next: {next}")]);
            }
        }
        for line in table.to_string().lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// `{"connections":[{"connection","kind","place","works","checks":[{"check","result","class","cause","detail","next"}]}]}`
pub fn to_json(all: &[Diagnosis]) -> Value {
    let check = |check: &Check| {
        let mut object = json!({"check": check.name, "result": check.result.name(), "detail": check.detail});
        if check.result == Result::Failed {
            object["class"] = json!(check.class.name());
        }
        for (key, value) in [("cause", check.cause), ("next", check.next.as_deref())] {
            if let Some(value) = value {
                object[key] = json!(value);
            }
        }
        object
    };
    let diagnosis = |one: &Diagnosis| {
        json!({
            "connection": one.connection,
            "kind": one.kind,
            "place": one.place,
            "works": !one.is_sick(),
            "checks": one.checks.iter().map(check).collect::<Vec<_>>(),
        })
    };
    json!({"connections": all.iter().map(diagnosis).collect::<Vec<_>>()})
}
