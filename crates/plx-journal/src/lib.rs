//! The sidecar's memory: what is on disk, what is stored, and what must change.
//!
//! A pass is four steps, and only the third one touches a store:
//!
//! 1. [`scan`] walks the roots and never fails as a whole; what it could not look at it says so.
//! 2. [`Journal::plan`] compares that with the memory and names the puts and deletes.
//! 3. Somebody carries them out, each with its own result.
//! 4. [`Journal::landed`] and [`Journal::removed`] record what really happened, and nothing else. A failed upload
//!    is therefore in the next plan again, and a file that was never stored is never deleted.
//!
//! [`FsFile`] is Polyaxon's `ART/.fs`, the hand-over from init to sidecar, in both directions.
//!
//! No tokio and no network: everything here can be tested with a folder and a clock of one's own.

mod clock;
mod error;
mod format;
mod guard;
mod hand_over;
mod journal;
mod log;
mod plan;
mod problem;
mod seen;
mod walk;

pub use error::{FsFileError, JournalError};
pub use format::{FsEntry, FsFile, FsOp};
pub use guard::{Held, HoldReason};
pub use hand_over::Underway;
pub use journal::{Journal, Note, StoredAs};
pub use plan::{Changes, Delete, Put, Reason};
pub use plx_contract::Stat;
pub use problem::{Problem, ProblemKind};
pub use seen::{Root, RootState, ScanRules, Seen, SeenDir, SeenFile, SeenRoot, settled_at};
pub use walk::scan;
