//! Large files that change faster than they can be sent.
//!
//! What of such a file is sent is sent for nothing: a database of 2 GB that is written every few seconds would cost
//! hundreds of GB a day and never be stored. So after two tries in a row that a change ended, a file is left alone for a
//! while, and for twice as long after each further one. The end of a run leaves nothing alone: then nobody writes.

use plx_contract::RelPath;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Tries that may end so before the first rest.
const FREE: u32 = 1;
/// The first rest.
const FIRST: Duration = Duration::from_secs(10);
/// No rest is longer.
const LONGEST: Duration = Duration::from_secs(600);
/// A file that nobody has sent for so long is gone.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// The files of one store that rest.
#[derive(Debug, Default)]
pub(crate) struct Rests {
    held: Mutex<HashMap<RelPath, Rest>>,
}

#[derive(Debug)]
struct Rest {
    /// Tries in a row that a change ended.
    ends: u32,
    until: Option<Instant>,
    last: Instant,
}

impl Rests {
    /// True when the file is to be left alone for now.
    pub(crate) fn rests(&self, key: &RelPath) -> bool {
        self.held().get(key).and_then(|rest| rest.until).is_some_and(|until| Instant::now() < until)
    }

    /// Bytes of it were sent, and then it changed.
    pub(crate) fn changed(&self, key: &RelPath) {
        let (mut held, now) = (self.held(), Instant::now());
        if !held.contains_key(key) {
            held.retain(|_, rest| rest.last.elapsed() < FORGOTTEN);
        }
        let rest = held.entry(key.clone()).or_insert(Rest { ends: 0, until: None, last: now });
        rest.last = now;
        let time = rest
            .ends
            .checked_sub(FREE)
            .map(|doubled| FIRST.saturating_mul(2_u32.saturating_pow(doubled)).min(LONGEST));
        rest.ends = rest.ends.saturating_add(1);
        rest.until = time.map(|time| now + time);
    }

    /// It was sent whole, or is gone.
    pub(crate) fn forget(&self, key: &RelPath) {
        self.held().remove(key);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<RelPath, Rest>> {
        self.held.lock().expect("no code panics while it holds the rests")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rest_begins_after_two_changes_and_doubles_up_to_ten_minutes() {
        let (rests, key) = (Rests::default(), RelPath::parse("db").unwrap());
        rests.changed(&key);
        assert!(!rests.rests(&key), "once is chance");
        for seconds in [10, 20, 40, 80, 160, 320, 600, 600] {
            rests.changed(&key);
            tokio::time::advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
            assert!(rests.rests(&key), "{seconds}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(!rests.rests(&key), "{seconds}");
        }
        (0..100).for_each(|_| rests.changed(&key));
        assert!(rests.rests(&key) && !rests.rests(&RelPath::parse("other").unwrap()));
        rests.forget(&key);
        assert!(!rests.rests(&key));
        rests.changed(&key);
        assert!(!rests.rests(&key), "it counts from the beginning");
    }

    #[tokio::test(start_paused = true)]
    async fn files_that_come_and_go_are_forgotten() {
        let rests = Rests::default();
        let key = |number: u32| RelPath::parse(&number.to_string()).unwrap();
        (0..100).for_each(|number| rests.changed(&key(number)));
        tokio::time::advance(FORGOTTEN).await;
        rests.changed(&key(100));
        assert_eq!(rests.held().len(), 1);
    }
}
