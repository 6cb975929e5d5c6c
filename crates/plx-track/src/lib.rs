//! The tracking API of Polyaxon, as far as a pod's own programs call it.
//!
//! [`Settings::read`] finds host, token and trust; it may also find that the API is [`Api::Off`]. A [`Client`] has one
//! method for each call. A [`Tracker`] is for those to whom the API is only worth a try: it posts in the background,
//! is waited for at most [`LONGEST_WAIT`], and never fails anything.
//!
//! No token is ever part of an error, a log line, a URL or `Debug`.

mod call;
mod client;
mod error;
pub mod keys;
mod layers;
mod refusal;
mod settings;
mod tracker;
mod types;

pub use client::Client;
pub use error::TrackError;
pub use settings::{Api, Credential, Settings};
pub use tracker::{LONGEST_WAIT, Tracker};
pub use types::{Recorded, RunInfo, Version, VersionConnection, VersionKind, VersionMeta, VersionRun};
