//! How fast the proxy lets things through.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What may pass at once although the rate is lower, so that timers need not be exact.
const SLACK: Duration = Duration::from_millis(20);

/// Shared by all connections of one proxy.
#[derive(Debug, Default)]
pub(super) struct Limits {
    bytes: Mutex<ByteRate>,
    requests: Mutex<RequestRate>,
}

#[derive(Debug, Default)]
struct ByteRate {
    per_second: u64,
    free_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct RequestRate {
    per_second: usize,
    status: u16,
    let_through: VecDeque<Instant>,
}

impl Limits {
    /// 0 lifts the limit.
    pub fn set_bytes(&self, per_second: u64) {
        *lock(&self.bytes) = ByteRate { per_second, free_at: None };
    }

    /// 0 lifts the limit.
    pub fn set_requests(&self, per_second: usize, status: u16) {
        *lock(&self.requests) = RequestRate { per_second, status, let_through: VecDeque::new() };
    }

    /// Waits until so many bytes may pass.
    pub async fn pass(&self, bytes: usize) {
        let until = {
            let mut rate = lock(&self.bytes);
            if rate.per_second == 0 {
                return;
            }
            let now = Instant::now();
            let earliest = now.checked_sub(SLACK).unwrap_or(now);
            let start = rate.free_at.map_or(earliest, |free| free.max(earliest));
            let until = start + Duration::from_secs_f64(bytes as f64 / rate.per_second as f64);
            rate.free_at = Some(until);
            until
        };
        tokio::time::sleep_until(until).await;
    }

    /// The status to refuse a request with, when it is one too many.
    pub fn refuses(&self) -> Option<u16> {
        let mut rate = lock(&self.requests);
        if rate.per_second == 0 {
            return None;
        }
        let now = Instant::now();
        while rate.let_through.front().is_some_and(|&then| now - then >= Duration::from_secs(1)) {
            rate.let_through.pop_front();
        }
        if rate.let_through.len() >= rate.per_second {
            return Some(rate.status);
        }
        rate.let_through.push_back(now);
        None
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
