//! What only shows when the parts stand together: the rules between crates, and every kind of store under one suite.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod addresses;
mod authorities;
mod bench;
mod carry;
mod conformance;
mod disk;
mod faults_of_the_reference;
mod identity;
mod layering;
mod network;
mod planted;
mod pretender;
mod proxies;
mod refusals;
mod regions;
mod uploads;
