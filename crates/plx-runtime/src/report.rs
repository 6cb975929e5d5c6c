//! The one line that stands for a whole run: in `/dev/termination-log`, where Kubernetes shows it.

use crate::Failure;
use plx_contract::{Class, Env, env};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Kubernetes keeps at most this many bytes of a termination message.
pub const REPORT_LIMIT: usize = 4096;

/// How a run ended.
///
/// As JSON: `{"program","class","code","message","next", …details}`; `next` and details only when there are any.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The class of the end; its code is the exit code, unless `exit` says otherwise.
    pub class: Class,
    /// Another exit code than the class's: a sidecar that could not store everything still ends with 0, because a
    /// failed sidecar fails the pod.
    pub exit: Option<u8>,
    /// One line; empty for a run of which there is nothing to say.
    pub message: String,
    /// What the reader can do.
    pub next: Option<String>,
    /// More, in order of worth: what does not fit is left out from the end.
    pub details: Vec<(&'static str, Value)>,
}

impl Report {
    /// Everything was done and nothing has to be said.
    pub fn done() -> Self {
        Self { class: Class::Done, exit: None, message: String::new(), next: None, details: Vec::new() }
    }

    /// The report of a failure.
    pub fn of_failure(failure: &Failure) -> Self {
        Self {
            class: failure.class,
            exit: None,
            message: failure.message.clone(),
            next: failure.next.clone(),
            details: Vec::new(),
        }
    }

    /// The exit code of the program.
    pub fn exit_code(&self) -> u8 {
        self.exit.unwrap_or(self.class.code())
    }

    /// One line of JSON of at most [`REPORT_LIMIT`] bytes, valid UTF-8 however long the message.
    pub fn to_line(&self, program: &str) -> String {
        let mut message = self.message.clone();
        // Next steps are our own sentences with a name in them; the name may be any length.
        let mut short = self.clone();
        let mut details = self.details.clone();
        if let Some(next) = &mut short.next {
            next.truncate(next.floor_char_boundary(REPORT_LIMIT / 8));
        }
        loop {
            let line = short.render(program, &message, &details);
            if line.len() <= REPORT_LIMIT {
                return line;
            }
            match details.last_mut() {
                // Of a list, the first are worth more than none.
                Some((_, Value::Array(list))) if list.len() > 1 => {
                    let fits = list.len() * REPORT_LIMIT / line.len();
                    list.truncate(fits.clamp(1, list.len() - 1));
                    continue;
                }
                Some(_) => {
                    details.pop();
                    continue;
                }
                None => {}
            }
            let over = line.len() - REPORT_LIMIT;
            let keep = message.len().saturating_sub(over + 4);
            message.truncate(message.floor_char_boundary(keep));
            message.push('…');
        }
    }

    fn render(&self, program: &str, message: &str, details: &[(&'static str, Value)]) -> String {
        let mut object = Map::new();
        object.insert("program".to_owned(), json!(program));
        object.insert("class".to_owned(), json!(self.class.name()));
        object.insert("code".to_owned(), json!(self.class.code()));
        object.insert("message".to_owned(), json!(message));
        if let Some(next) = &self.next {
            object.insert("next".to_owned(), json!(next));
        }
        for (key, value) in details {
            object.insert((*key).to_owned(), value.clone());
        }
        Value::Object(object).to_string()
    }

    /// Writes the line where `PLX_TERMINATION_LOG` says, or to `/dev/termination-log` when that exists. A run that has
    /// nothing to say writes nothing.
    pub(crate) fn write(&self, program: &str, env: &impl Env) {
        if self.message.is_empty() {
            return;
        }
        let place = env.non_empty(env::TERMINATION_LOG).map(PathBuf::from).or_else(|| {
            let default = Path::new("/dev/termination-log");
            default.exists().then(|| default.to_owned())
        });
        let Some(place) = place else { return };
        if let Err(error) = std::fs::write(&place, self.to_line(program)) {
            // The same words are on stderr already; the exit code is unchanged.
            tracing::warn!("write the termination message to {}: {error}", place.display());
        }
    }
}

/// The last words of a program that failed.
#[expect(
    clippy::print_stderr,
    reason = "the error line of a command-line program, readable at every log level"
)]
pub(crate) fn print_failure(failure: &Failure) {
    eprintln!("error: {}", failure.message);
    if let Some(next) = &failure.next {
        eprintln!("next: {next}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_always_fits_and_always_parses() {
        for length in [0, 10, 3990, 4000, 4095, 4096, 5000, 100_000] {
            for unit in ["x", "é", "😀", "\"", "\u{1}"] {
                let report = Report {
                    class: Class::Incomplete,
                    exit: None,
                    message: unit.repeat(length),
                    next: Some("retry".into()),
                    details: vec![("files", json!(vec!["outputs/model.bin"; length / 10]))],
                };
                let line = report.to_line("plx-sidecar");
                assert!(line.len() <= REPORT_LIMIT, "{length} {unit:?}: {}", line.len());
                let value: Value = serde_json::from_str(&line).expect("valid JSON");
                assert_eq!(value["code"], 75);
            }
        }
    }
}
