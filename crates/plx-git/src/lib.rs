//! Clones a repository at exactly one revision, or says why not.
//!
//! libgit2 keeps the repository; what goes over the network goes through this crate's own transports ([`reqwest`] for
//! HTTP, `russh` for SSH), because there a login is held apart from the URL, certificates and proxies are those of
//! every other part of the program, and a failure keeps its cause. No `git` and no `ssh` binary is called.
//!
//! ```text
//! URL, means ── address::route ──▶ address without secrets, login
//! flags ─────── flags::parse ────▶ what is fetched, what is written to .git/config
//! revision ──── revision::obtain ▶ refs fetched until the commit is here, or an error
//!               checkout, submodules, publish ▶ one rename to the final name
//! ```
//!
//! From `polyaxon/_init/git.py`; how the results differ on purpose stands in `docs/git.md`.

mod access;
mod address;
mod checkout;
mod clone;
mod error;
mod flags;
mod library;
mod link;
mod local;
mod publish;
mod received;
mod revision;
mod submodules;
mod transport;

pub use access::{Access, KEYS};
pub use address::{AddressError, repository_name};
pub use clone::{Cloned, Job, clone};
pub use error::GitError;
pub use flags::FlagError;
pub use received::Received;

/// A URL as it may be shown: without user and password.
///
/// # Errors
/// When it is none.
pub fn shown(url: &str) -> Result<String, GitError> {
    let (address, _) = address::parse(url)?;
    Ok(address.to_string())
}
