//! The built program under both of its names, against real servers and folders.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod artifacts;
mod failures;
mod lab;
mod output;
mod reference;
mod resume;
