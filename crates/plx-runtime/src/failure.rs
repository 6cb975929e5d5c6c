//! A failure on its way to the exit code.

use plx_contract::{Class, Classified};
use std::error::Error;

/// What went wrong, its class, and the next step to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class; its code is the exit code.
    pub class: Class,
    /// What failed, with its causes, on one line.
    pub message: String,
    /// What the reader can do.
    pub next: Option<String>,
}

impl Failure {
    /// A failure without a typed error behind it.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), next: None }
    }

    /// Adds the next step.
    #[must_use]
    pub fn with_next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl<E: Classified + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { class: error.class(), message: chain(&error), next: error.next_step() }
    }
}

/// An error and its causes as one line; a cause that its parent already quotes is not said twice.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text.replace(['\n', '\r'], " ")
}
