//! When passes begin.
//!
//! The reference counts its polls (`polyaxon/_sidecar/container/intervals.py`): 10/10 gives a pass every 20 s and -1,
//! documented as "only at the end", one at every poll. Here the documented meaning holds.

use std::time::Duration;

/// When passes begin while main runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Never: the last pass does everything.
    AtTheEnd,
    /// So often, from start to start. A pass that takes longer delays the next; none pile up.
    Every(Duration),
}

/// The shortest time between two passes: a sleep interval of 0 would spin.
const SHORTEST: Duration = Duration::from_secs(1);

impl Schedule {
    /// The schedule of a pair of intervals in seconds: any negative sync interval is "only at the end"; one that is
    /// shorter than the sleep interval is the sleep interval.
    pub fn new(sleep: i64, sync: i64) -> Self {
        if sync < 0 {
            return Self::AtTheEnd;
        }
        let seconds = u64::try_from(sync.max(sleep)).unwrap_or(0);
        Self::Every(Duration::from_secs(seconds).max(SHORTEST))
    }

    /// The time between two starts, when there is one.
    pub fn period(self) -> Option<Duration> {
        match self {
            Self::AtTheEnd => None,
            Self::Every(period) => Some(period),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_meaning() {
        for ((sleep, sync), want) in [
            ((10, 10), Some(10)),
            ((5, 60), Some(60)),
            ((10, 5), Some(10)),
            ((10, -1), None),
            ((10, 0), Some(10)),
            ((0, 0), Some(1)),
        ] {
            assert_eq!(Schedule::new(sleep, sync).period(), want.map(Duration::from_secs), "{sleep}/{sync}");
        }
    }
}
