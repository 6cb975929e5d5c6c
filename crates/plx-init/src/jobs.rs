//! What the program can do. Each job is a function from typed arguments to a report.

pub mod artifacts;
pub mod auth;
pub mod clean;
pub mod dockerfile;
pub mod doctor;
pub mod entry;
pub mod file;
pub mod fswatch;
pub mod git;
pub mod path;
pub mod place;
pub mod reference;
pub mod script;
pub mod tensorboard;
pub mod wait;

mod fetch;
mod generated;
