//! Moves bytes between a store and this machine's disk.
//!
//! Three steps, in this order: *plan* (what is there, how much of it; no side effects), *apply* (bounded workers,
//! bounded memory, a result per object), and the caller's *commit* of what landed.
//!
//! Invariants:
//!
//! * Nothing stands under its final name before it is whole: temp name, then rename.
//! * Nothing is written outside of its target, whatever a key says.
//! * A large object is read in ranges of one version, pinned by its ETag.
//! * All buffers together stay within one [`Budget`].
//! * Retries happen here and nowhere below; a throttled store slows every stream together ([`Pace`]).
//! * No result is thrown away.

mod budget;
mod cause;
mod compare;
mod copy;
mod download;
mod engine;
mod error;
mod grows;
mod guarded;
mod ledger;
mod multipart;
mod object;
mod pace;
mod place;
mod plan;
mod present;
mod progress;
mod remote;
mod remove;
mod rest;
mod still;
mod unfinished;
mod upload;

pub use budget::Budget;
pub use cause::Cause;
pub use compare::{Differing, Stored, compare};
pub use download::{Outcome, download};
pub use engine::{Engine, Patience, Settings};
pub use error::TransferError;
pub use guarded::{Expected, try_conditions};
pub use ledger::Ledger;
pub use pace::Pace;
pub use place::Place;
pub use plan::{Plan, Want, WantKind, plan};
pub use present::{Present, entries, look, put_small, versions_last};
pub use progress::{Progress, Shown, show};
pub use remote::{EmptyUploads, Remote};
pub use remove::{clear, make_folders, remove, remove_folders};
pub use unfinished::{abort_unfinished, remove_left};
pub use upload::{Ended, Upload, upload};
