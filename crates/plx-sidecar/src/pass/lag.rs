//! How long changes are on disk before they are stored: what a longer interval costs.

use plx_contract::RelPath;
use plx_journal::{Put, Reason};
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Since when which files are not in the store as they are on disk.
#[derive(Debug, Default)]
pub(super) struct Lag {
    since: HashMap<RelPath, SystemTime>,
    /// When the pass before looked at the disk.
    looked: Option<SystemTime>,
    longest: Duration,
    all: Duration,
    measured: u64,
}

impl Lag {
    /// Takes a file that differs. One that is new is as old as its status says: the time of its content can be set to
    /// anything, by whoever copies or unpacks. One that was stored before may have changed right after that was looked
    /// at, and again since; then the first change counts.
    pub fn changed(&mut self, put: &Put, stored_before: bool) {
        if put.reason == Reason::Unsettled {
            return;
        }
        let status = UNIX_EPOCH + Duration::from_nanos(u64::try_from(put.stat.ctime_ns).unwrap_or_default());
        let since = self.looked.filter(|_| stored_before).map_or(status, |looked| looked.min(status));
        self.since.entry(put.key.clone()).or_insert(since);
    }

    /// It was stored, and the store does not have it any more. The pass before knew nothing of that.
    pub fn lost(&mut self, key: &RelPath) {
        self.since.entry(key.clone()).or_insert(self.looked.unwrap_or_else(SystemTime::now));
    }

    /// It is stored.
    pub fn landed(&mut self, key: &RelPath) {
        let Some(since) = self.since.remove(key) else { return };
        let behind = SystemTime::now().duration_since(since).unwrap_or_default();
        self.longest = self.longest.max(behind);
        self.all += behind;
        self.measured += 1;
    }

    /// Of what is not waiting any more, nothing is late.
    pub fn forget(&mut self, waits: impl Fn(&RelPath) -> bool) {
        self.since.retain(|key, _| waits(key));
    }

    /// The longest, the sum, and of how many files, of a pass that began then; what waits counts until now.
    pub fn of_this_pass(&mut self, began: SystemTime) -> (Duration, Duration, u64) {
        self.looked = Some(began);
        let now = SystemTime::now();
        let waiting = self.since.values().map(|since| now.duration_since(*since).unwrap_or_default());
        let longest = waiting.fold(self.longest, Duration::max);
        let (all, measured) = (std::mem::take(&mut self.all), std::mem::take(&mut self.measured));
        self.longest = Duration::ZERO;
        (longest, all, measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plx_contract::Stat;
    use std::path::Path;
    use std::sync::Arc;

    fn put(seconds_ago: u64, reason: Reason) -> Put {
        let then = SystemTime::now() - Duration::from_secs(seconds_ago);
        let ctime_ns = i64::try_from(then.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        let stat = Stat { dev: 1, ino: 1, size: 1, mtime_ns: 0, ctime_ns, mode: 0o100_644 };
        let key = RelPath::parse("R/log").unwrap();
        Put { key, path: "/x".into(), base: Arc::from(Path::new("/")), stat, reason, stored: None }
    }

    #[test]
    fn a_file_that_grows_all_the_time_is_behind_since_the_last_look_and_not_since_its_last_line() {
        let mut lag = Lag::default();
        lag.changed(&put(5, Reason::New), false);
        lag.landed(&put(0, Reason::New).key);
        let (longest, all, measured) = lag.of_this_pass(SystemTime::now() - Duration::from_secs(60));
        assert_eq!((longest.as_secs(), all.as_secs(), measured), (5, 5, 1));
        lag.changed(&put(1, Reason::Changed), true);
        lag.landed(&put(0, Reason::New).key);
        let (longest, ..) = lag.of_this_pass(SystemTime::now());
        assert_eq!(longest.as_secs(), 60);
    }

    #[test]
    fn what_waits_is_behind_until_it_is_stored_however_often_it_changes_meanwhile() {
        let mut lag = Lag::default();
        lag.changed(&put(30, Reason::New), false);
        assert_eq!(lag.of_this_pass(SystemTime::now()).0.as_secs(), 30);
        lag.changed(&put(1, Reason::New), false);
        assert_eq!(lag.of_this_pass(SystemTime::now()).0.as_secs(), 30);
        lag.forget(|_| false);
        assert_eq!(lag.of_this_pass(SystemTime::now()).0, Duration::ZERO, "it was deleted");
    }

    #[test]
    fn a_file_that_is_sent_once_more_because_its_clock_is_coarse_is_not_late() {
        let mut lag = Lag::default();
        lag.changed(&put(10, Reason::Unsettled), true);
        lag.landed(&put(0, Reason::New).key);
        assert_eq!(lag.of_this_pass(SystemTime::now()), (Duration::ZERO, Duration::ZERO, 0));
    }

    #[test]
    fn what_the_store_lost_is_behind_since_the_last_look_and_not_since_it_was_written() {
        let mut lag = Lag::default();
        lag.of_this_pass(SystemTime::now() - Duration::from_secs(60));
        let old = put(100_000, Reason::New);
        lag.lost(&old.key);
        lag.changed(&old, true);
        lag.landed(&old.key);
        let (longest, all, measured) = lag.of_this_pass(SystemTime::now());
        assert_eq!((longest.as_secs(), all.as_secs(), measured), (60, 60, 1));
    }
}
