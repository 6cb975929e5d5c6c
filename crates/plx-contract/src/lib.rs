//! Names and shapes that both sides of the pod agree on.
//!
//! Pure: no tokio, no network, no `std::env`, no `std::fs`. Whoever needs a variable or a file hands in an
//! [`env::Env`] or a [`credential::Files`]; that is what lets `plx-pod run` hold several containers' worth of
//! configuration in one process, and lets every test bring its own.

pub mod class;
pub mod connection;
pub mod credential;
pub mod dockerfile;
pub mod env;
pub mod events;
pub mod fault;
pub mod file;
pub mod init;
pub mod key;
pub mod layout;
pub mod lineage;
pub mod logs;
pub mod mode;
pub mod network;
pub mod operation;
pub mod persistence;
pub mod plugins;
pub mod python;
pub mod record;
pub mod run;
pub mod script;
pub mod secrets;
pub mod stat;
mod version;
pub mod wrapped;

pub use class::{Class, Classified};
pub use env::Env;
pub use key::RelPath;
pub use layout::Layout;
pub use stat::Stat;
pub use version::ObjectVersion;
