//! Pods as Polyaxon's converter writes them, on a real cluster: our images, a real S3 server, git over HTTP, the real
//! tracking API. `make e2e` brings all of it up (`tests/e2e.sh`) and runs this with the feature `e2e`.
//!
//! One node, one pod of a name: tests whose worlds have an owner and a run of their own share it, the others have all of it
//! for themselves (`.config/nextest.toml`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]
#![allow(clippy::print_stdout, reason = "what was measured, for whoever asks for it")]

mod converter;
mod documents;
mod ends;
mod kinds;
mod kubectl;
mod logs;
mod plumbing;
mod rendered;
mod resume;
mod small;
mod ways;
mod world;
mod wrap;
