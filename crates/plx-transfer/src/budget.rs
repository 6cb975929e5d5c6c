//! One ceiling for every buffer of the process.

use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Buffers are counted in units of this size.
const UNIT: u64 = 4096;

/// Buffers from this size on are kept for the next who needs one.
const KEPT: u64 = 1 << 20;

/// The bytes that all transfer buffers may take together.
#[derive(Debug, Clone)]
pub struct Budget {
    units: Arc<Semaphore>,
    total: u64,
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
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
        Self { units: Arc::new(Semaphore::new(units)), total, idle: Arc::default() }
    }

    /// The budget that fits a container of `limit` bytes: 40 % of it, at most [`Budget::DEFAULT`].
    pub fn for_limit(limit: Option<u64>) -> Self {
        Self::new(limit.map_or(Self::DEFAULT, |limit| (limit / 5 * 2).min(Self::DEFAULT)))
    }

    /// All of it, in bytes.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Waits for room for a buffer, and gives the buffer too. Large ones are used again: freed and allocated anew on
    /// changing threads, each thread's part of the heap would keep one, and a 2 GiB upload would take 65 MiB.
    pub(crate) async fn buffer(&self, bytes: u64) -> Buffer {
        let room = self.take(bytes).await;
        let used = self.total - (self.units.available_permits() as u64 * UNIT).min(self.total);
        let capacity = usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut content = Vec::new();
        if bytes >= KEPT {
            let mut idle = self.idle();
            // One that is much larger than the room that was taken for it would be memory that nobody counts.
            let fits = |kept: &Vec<u8>| (capacity..=capacity + capacity / 4).contains(&kept.capacity());
            if let Some(at) = idle.iter().position(fits) {
                content = idle.swap_remove(at);
            }
            // What lies idle and what is in use stay within the budget together.
            while used + idle.iter().map(|kept| kept.capacity() as u64).sum::<u64>() > self.total
                && idle.pop().is_some()
            {}
        }
        content.reserve_exact(capacity.saturating_sub(content.len()));
        Buffer { content, budget: self.clone(), _room: room }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.idle.lock().expect("no code panics while it holds the list")
    }

    /// Waits for room for a buffer. One that is larger than the whole budget waits until it is alone.
    pub(crate) async fn take(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.min(self.total).div_ceil(UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.units).acquire_many_owned(units).await.expect("the semaphore is never closed")
    }
}

/// A buffer and the room it takes; both are given back on drop.
#[derive(Debug)]
pub(crate) struct Buffer {
    content: Vec<u8>,
    budget: Budget,
    _room: OwnedSemaphorePermit,
}

impl Buffer {
    /// The buffer, empty, with the capacity that was asked for.
    pub(crate) fn emptied(&mut self) -> &mut Vec<u8> {
        self.content.clear();
        &mut self.content
    }

    /// The buffer at a length; what is in it is left over from its last use.
    pub(crate) fn of_length(&mut self, length: usize) -> &mut [u8] {
        self.content.resize(length, 0);
        &mut self.content
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let content = std::mem::take(&mut self.content);
        if content.capacity() as u64 >= KEPT {
            self.budget.idle().push(content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_buffer_is_used_again_and_two_at_a_time_are_two() {
        let budget = Budget::new(Budget::LEAST);
        let mut first = budget.buffer(2 << 20).await;
        let at = first.of_length(2 << 20).as_ptr();
        let mut other = budget.buffer(2 << 20).await;
        assert_ne!(other.of_length(2 << 20).as_ptr(), at);
        drop(first);
        assert_eq!(budget.buffer(2 << 20).await.of_length(2 << 20).as_ptr(), at);
        drop(other);
        assert_eq!(budget.idle().len(), 2);
    }

    #[tokio::test]
    async fn idle_buffers_make_room_for_those_in_use() {
        let budget = Budget::new(Budget::LEAST);
        drop(budget.buffer(4 << 20).await);
        let all = budget.buffer(8 << 20).await;
        assert_eq!(budget.idle().len(), 0);
        drop(all);
        assert_eq!(budget.idle().len(), 1);
    }
}
