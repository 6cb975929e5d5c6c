//! The built program: real signals, a real S3 server behind a proxy that fails on demand, a cluster that does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]
#![allow(clippy::print_stdout, reason = "what was measured, for whoever asks for it")]

mod configuration;
mod faults;
mod kills;
mod kubernetes;
mod logs;
mod pod;
mod real_api;
mod reference;
mod replicas;
mod resources;
mod signals;
mod spec;
mod summaries;
mod throttled;
mod wrapped;
