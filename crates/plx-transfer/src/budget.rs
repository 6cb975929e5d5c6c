//! One ceiling for every buffer of the process.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Buffers are counted in units of this size.
const UNIT: u64 = 4096;

/// The bytes that all transfer buffers may take together.
#[derive(Debug, Clone)]
pub struct Budget {
    units: Arc<Semaphore>,
    total: u64,
}

impl Budget {
    /// More than this brings no speed; the pods request 60 Mi for everything.
    pub const DEFAULT: u64 = 24 << 20;
    /// Less than this cannot hold one part of a multipart upload and its neighbours.
    pub const LEAST: u64 = 8 << 20;

    /// A budget of `bytes`, at least [`Budget::LEAST`].
    pub fn new(bytes: u64) -> Self {
        let total = bytes.max(Self::LEAST) / UNIT * UNIT;
        let units = usize::try_from(total / UNIT).unwrap_or(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)), total }
    }

    /// The budget that fits a container of `limit` bytes: 40 % of it, at most [`Budget::DEFAULT`].
    pub fn for_limit(limit: Option<u64>) -> Self {
        Self::new(limit.map_or(Self::DEFAULT, |limit| (limit / 5 * 2).min(Self::DEFAULT)))
    }

    /// All of it, in bytes.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Waits for room for a buffer. One that is larger than the whole budget waits until it is alone.
    pub(crate) async fn take(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.min(self.total).div_ceil(UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.units).acquire_many_owned(units).await.expect("the semaphore is never closed")
    }
}
