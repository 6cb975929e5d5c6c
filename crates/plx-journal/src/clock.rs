//! Times of files: how fine a clock is, and how Python rounds.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// What a local file system's timestamps may lag behind the clock: two ticks of the coarsest usual kernel (100 Hz).
const TICK: i64 = 20_000_000;

/// What it is where timestamps have no part below the second (FAT counts in twos, some network mounts in ones).
const COARSE: i64 = 2 * SECOND;

/// The wall clock, in nanoseconds since the epoch.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// One number from the two that `stat` gives; a time beyond the year 2262 is the last one we know.
pub(crate) fn join_ns(secs: i64, nanos: i64) -> i64 {
    secs.saturating_mul(SECOND).saturating_add(nanos)
}

/// How long after a change another change could still leave the same timestamps.
pub(crate) fn granularity(mtime_ns: i64, ctime_ns: i64) -> i64 {
    if mtime_ns % SECOND == 0 && ctime_ns % SECOND == 0 { COARSE } else { TICK }
}

/// Microseconds since the epoch as `datetime.fromtimestamp(os.stat(…).st_mtime)` has them: through a double, rounded
/// half to even. `.fs` holds these, so the same detour must be made to find the same number.
pub(crate) fn python_micros(ns: i64) -> i64 {
    let (secs, nanos) = (ns.div_euclid(SECOND), ns.rem_euclid(SECOND));
    let stamp = secs as f64 + 1e-9 * nanos as f64;
    let micros = (stamp.fract() * 1e6).round_ties_even();
    (stamp.trunc() as i64).saturating_mul(1_000_000).saturating_add(micros as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with CPython 3: `datetime.fromtimestamp(s + 1e-9 * n, utc)`.
    #[test]
    fn micros_are_those_of_python() {
        for (ns, micros) in [
            (1_700_000_000_250_000_000, 1_700_000_000_250_000),
            (1_700_000_001_123_456_000, 1_700_000_001_123_456),
            (1_700_000_001_123_456_499, 1_700_000_001_123_456),
            (1_700_000_001_123_456_700, 1_700_000_001_123_457),
            (1_700_000_001_123_456_500, 1_700_000_001_123_456),
            (1_700_000_001_123_457_500, 1_700_000_001_123_457), // not 458: the double is a little less
            (1_700_000_000_999_999_999, 1_700_000_001_000_000),
            (0, 0),
            (-1, 0),
            (-1_500_000_000, -1_500_000),
        ] {
            assert_eq!(python_micros(ns), micros, "{ns}");
        }
    }

    #[test]
    fn whole_seconds_on_both_times_mean_a_coarse_clock() {
        assert_eq!(granularity(5 * SECOND, 7 * SECOND), COARSE);
        assert_eq!(
            granularity(5 * SECOND, 7 * SECOND + 1),
            TICK,
            "utime sets mtime to whole seconds, never ctime"
        );
    }

    #[test]
    fn a_time_out_of_range_is_the_last_one() {
        assert_eq!(join_ns(i64::MAX, 5), i64::MAX);
    }
}
