//! How long is waited for what. Each wait has a bound, and each bound has a name here.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// The waits of a [`crate::Feed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two looks where the pod may be read and not watched.
    pub poll: Duration,
    /// For an answer to a look.
    pub answer: Duration,
    /// So long the server keeps a watch open.
    pub watch: Duration,
    /// So much longer a watch may last: by then its connection is dead.
    pub slack: Duration,
    /// Between two looks, whatever happens; and before a pod that is not there is believed to be gone.
    pub again: Duration,
    /// After the first failure; from then on pauses double.
    pub first_pause: Duration,
    /// The longest pause after a failure, also when the server asks for a longer one.
    pub longest_pause: Duration,
}

impl Pace {
    /// As in a cluster, with so much time between two looks where nothing can be watched.
    pub fn polling(every: Duration) -> Self {
        Self {
            poll: every.max(Duration::from_secs(1)),
            answer: Duration::from_secs(10),
            watch: Duration::from_secs(20),
            slack: Duration::from_secs(5),
            again: Duration::from_secs(1),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }

    /// Pauses after looks that failed.
    pub(crate) fn pauses(self) -> Pauses {
        Pauses::new(self.first_pause, self.longest_pause)
    }

    /// Pauses after watches that brought nothing: the pod can be read meanwhile, so they are never longer than a poll's.
    pub(crate) fn pauses_of_watches(self) -> Pauses {
        Pauses::new(self.first_pause.min(self.poll), self.poll)
    }
}

/// The waits of a [`crate::log::Follower`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPace {
    /// For an answer to begin.
    pub answer: Duration,
    /// A log that says nothing for so long is opened anew: its connection may be dead, or its container only quiet.
    pub silence: Duration,
    /// So long a stream is kept at most.
    pub stream: Duration,
    /// Until a container that has not started is looked at again, or one that may be started again.
    pub poll: Duration,
    /// Between a stream's end and the next look, and after the first failure; from then on pauses double.
    pub first_pause: Duration,
    /// The longest pause after a failure, also when the server asks for a longer one.
    pub longest_pause: Duration,
    /// The longest of all pauses from the moment on that somebody waits for the end.
    pub hurried_pause: Duration,
}

impl LogPace {
    /// As in a cluster, with so much time between two looks at a container that does not run.
    pub fn polling(every: Duration) -> Self {
        Self {
            answer: Duration::from_secs(10),
            silence: Duration::from_secs(60),
            stream: Duration::from_secs(3600),
            poll: every.max(Duration::from_secs(1)),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            hurried_pause: Duration::from_millis(250),
        }
    }

    /// Pauses after failures.
    pub(crate) fn pauses(self) -> Pauses {
        Pauses::new(self.first_pause, self.longest_pause)
    }
}

/// Growing pauses, with a jitter so that the sidecars of a cluster do not come back all at once.
#[derive(Debug)]
pub(crate) struct Pauses {
    first: Duration,
    longest: Duration,
    next: ExponentialBackoff,
}

impl Pauses {
    fn new(first: Duration, longest: Duration) -> Self {
        let builder = ExponentialBuilder::new().with_min_delay(first).with_max_delay(longest);
        Self { first, longest, next: builder.with_jitter().without_max_times().build() }
    }

    pub(crate) fn next(&mut self) -> Duration {
        self.next.next().map_or(self.longest, |pause| pause.min(self.longest))
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.first, self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_begin_anew() {
        let mut pauses = Pace::polling(Duration::ZERO).pauses();
        let grown: Vec<Duration> = (0..9).map(|_| pauses.next()).collect();
        assert!((1..=2).contains(&grown[0].as_secs()), "{grown:?}");
        assert!(grown[2] >= Duration::from_secs(4), "{grown:?}");
        assert_eq!(grown[6..], [Duration::from_secs(30); 3], "{grown:?}");
        pauses.reset();
        assert!(pauses.next() <= Duration::from_secs(2));
    }

    #[test]
    fn a_poll_is_never_a_spin() {
        assert_eq!(Pace::polling(Duration::ZERO).poll, Duration::from_secs(1));
        assert_eq!(Pace::polling(Duration::from_secs(10)).pauses_of_watches().longest.as_secs(), 10);
    }
}
