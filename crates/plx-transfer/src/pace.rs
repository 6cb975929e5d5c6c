//! How many requests a store is asked at a time, and when it is left alone.
//!
//! Additive increase, multiplicative decrease, shared by every stream of one store: one throttled request slows all of
//! them, and each success lets a little more through again.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Several tries have to fit into a grace period of 30 s.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A store's own wish is honoured up to here.
const LONGEST_WISH: Duration = Duration::from_secs(20);

/// The shared pace of one store.
#[derive(Debug, Clone)]
pub struct Pace {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    most: usize,
    limit: f64,
    in_flight: usize,
    pause: Duration,
    resume_at: Option<Instant>,
    succeeded_at: Option<Instant>,
    throttled: u64,
}

impl Pace {
    /// At most `most` requests at a time.
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        #[expect(clippy::cast_precision_loss, reason = "a number of workers")]
        let limit = most as f64;
        let state = State {
            most,
            limit,
            in_flight: 0,
            pause: FIRST_PAUSE,
            resume_at: None,
            succeeded_at: None,
            throttled: 0,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }) }
    }

    /// How often the store asked to slow down.
    pub fn throttled_count(&self) -> u64 {
        self.lock().throttled
    }

    /// Requests that may be under way now.
    pub fn limit(&self) -> usize {
        self.lock().allowed()
    }

    /// Waits for a turn; none when `stop` came first.
    pub(crate) async fn enter(&self, stop: &CancellationToken) -> Option<Turn> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before the look at the state, so that no wake-up is missed between the two.
            changed.as_mut().enable();
            let wait_until = {
                let mut state = self.lock();
                let now = Instant::now();
                match state.resume_at {
                    Some(at) if at > now => Some(at),
                    _ if state.in_flight < state.allowed() => {
                        state.in_flight += 1;
                        return Some(Turn { pace: self.clone() });
                    }
                    _ => None,
                }
            };
            // Cancel safe: neither branch holds anything.
            tokio::select! {
                () = stop.cancelled() => return None,
                () = async { match wait_until {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => changed.await,
                }} => {}
            }
        }
    }

    /// A request was answered.
    pub(crate) fn succeeded(&self) {
        let mut state = self.lock();
        state.succeeded_at = Some(Instant::now());
        // A store that answers between two refusals is near its limit, not down: it needs no ever longer pauses.
        state.pause = (state.pause / 2).max(FIRST_PAUSE);
        #[expect(clippy::cast_precision_loss, reason = "a number of workers")]
        let most = state.most as f64;
        if state.limit < most {
            state.limit = (state.limit + 1.0 / state.limit).min(most);
            drop(state);
            self.shared.changed.notify_waiters();
        }
    }

    /// When the store last did what it was asked.
    pub(crate) fn succeeded_at(&self) -> Option<Instant> {
        self.lock().succeeded_at
    }

    /// The store asked to slow down, perhaps saying for how long.
    pub(crate) fn throttled(&self, asked: Option<Duration>) {
        let mut state = self.lock();
        state.throttled += 1;
        let now = Instant::now();
        // Requests that were under way together are refused together: that is one sign, not many.
        let known = state.resume_at.is_some_and(|at| at > now);
        if known && asked.is_none() {
            return;
        }
        let pause = asked.map_or(state.pause, |asked| asked.min(LONGEST_WISH));
        if !known {
            state.limit = (state.limit / 2.0).max(1.0);
            state.pause = (state.pause * 2).min(LONGEST_PAUSE);
        }
        let until = now + jitter(pause);
        state.resume_at = Some(state.resume_at.map_or(until, |at| at.max(until)));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no code panics while it holds the pace")
    }
}

impl State {
    fn allowed(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and `most`")]
        let allowed = self.limit as usize;
        allowed.clamp(1, self.most)
    }
}

/// Between the whole pause and a quarter more, so that pods that were throttled together do not come back together.
fn jitter(pause: Duration) -> Duration {
    pause + pause.mul_f64(fastrand::f64() / 4.0)
}

/// One request's turn; given back on drop.
#[derive(Debug)]
pub(crate) struct Turn {
    pace: Pace,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.pace.lock().in_flight -= 1;
        self.pace.shared.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_throttle_halves_the_pace_once_and_successes_restore_it() {
        let (pace, stop) = (Pace::new(16), CancellationToken::new());
        pace.throttled(None);
        pace.throttled(None);
        assert_eq!(pace.limit(), 8);
        let before = Instant::now();
        drop(pace.enter(&stop).await.expect("a turn"));
        assert!(before.elapsed() >= FIRST_PAUSE);
        for _ in 0..200 {
            pace.succeeded();
        }
        assert_eq!(pace.limit(), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn many_wishes_at_once_are_one_sign() {
        let pace = Pace::new(16);
        for _ in 0..16 {
            pace.throttled(Some(Duration::from_secs(1)));
        }
        assert_eq!((pace.limit(), pace.throttled_count()), (8, 16));
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_own_wish_is_honoured() {
        let (pace, stop) = (Pace::new(4), CancellationToken::new());
        pace.throttled(Some(Duration::from_secs(7)));
        let before = Instant::now();
        drop(pace.enter(&stop).await.expect("a turn"));
        assert!(before.elapsed() >= Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_than_the_limit_and_a_stop_ends_the_wait() {
        let (pace, stop) = (Pace::new(1), CancellationToken::new());
        let turn = pace.enter(&stop).await.expect("a turn");
        let waiting = tokio::spawn({
            let (pace, stop) = (pace.clone(), stop.clone());
            async move { pace.enter(&stop).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        stop.cancel();
        assert!(!waiting.await.expect("no panic"));
        drop(turn);
    }
}
