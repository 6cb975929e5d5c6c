//! What the program can do. Each job is a function from typed arguments to a report.

pub mod artifacts;
pub mod doctor;
pub mod fswatch;
pub mod path;

mod fetch;
