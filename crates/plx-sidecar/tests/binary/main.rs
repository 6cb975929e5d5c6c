//! The built program: real signals, a real S3 server behind a proxy that fails on demand, a cluster that does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod configuration;
mod faults;
mod kubernetes;
mod logs;
mod pod;
mod real_api;
mod reference;
mod signals;
mod summaries;
