//! A connection becomes something that holds artifacts: a bucket or a mounted folder.
//!
//! This crate knows credentials, endpoints and URLs. It moves no bytes and decides no retries: the library's own
//! retries are off, because a throttled request that is retried in silence is one that nobody slows down for.

mod about;
mod azure;
mod client;
mod error;
mod faults;
mod gcs;
mod identity;
mod location;
mod open;
#[cfg(test)]
mod reference;
mod s3;
mod setting;
mod signing;
mod uploads;

pub use about::About;
pub use error::StoreError;
pub use identity::Credentials;
pub use open::{Bucket, Opened, Volume, open, open_at};
pub use signing::Requests;
pub use uploads::EmptyUploads;
