//! The one place where this crate reads the real environment.

/// A variable that is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "tests choose their servers by the real environment; nothing else reads it"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
