//! What only shows when the parts stand together: the rules between crates, and every kind of store under one suite.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod bench;
mod conformance;
mod disk;
mod layering;
mod network;
mod refusals;
