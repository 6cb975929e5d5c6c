//! Pods as Polyaxon's converter writes them, on a real cluster: our images, a real S3 server, git over HTTP, the real
//! tracking API. `make e2e` brings all of it up (`tests/e2e.sh`) and runs this with the feature `e2e`.
//!
//! One node, one pod of a name: a test has all of it for itself, but for `ends`, whose pods have names of their own and share
//! it (`.config/nextest.toml`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]
#![allow(clippy::print_stdout, reason = "what was measured, for whoever asks for it")]

mod converter;
mod ends;
mod kubectl;
mod logs;
mod plumbing;
mod resume;
mod small;
mod world;
mod wrap;
