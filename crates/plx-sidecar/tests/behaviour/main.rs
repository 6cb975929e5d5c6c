//! A sidecar's whole life in this process, on a paused clock, with a store that fails on demand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]
#![allow(clippy::print_stdout, reason = "what was measured, for whoever asks for it")]

mod changes;
mod deletes;
mod end;
mod ends;
mod failures;
mod hand_over;
mod log;
mod passes;
mod pod_status;
mod replicas;
mod resources;
mod schedule;
mod spec;
mod summaries;
mod torn;
mod unfinished;
mod world;
mod worth;
