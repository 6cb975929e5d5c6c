//! The journal as its callers see it, on real folders. No test sleeps: where time matters it is handed in.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod fs_file;
mod guarded;
mod model;
mod scanning;
mod timeline;
mod tree;
