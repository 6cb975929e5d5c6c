//! What was taken of a container's log, so that nothing is taken again and nothing is left out.

use plx_contract::logs::since;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use xxhash_rust::xxh3::xxh3_64;

/// So many lines are known one by one. Runtimes write two streams into one log, so that neighbours may have their times the
/// wrong way round: a line within so many of the last is known by itself, one before them by its time.
const KNOWN: usize = 32;
/// So much earlier than the lines before it a line may be, in nanoseconds.
const LATE: i64 = 1_000_000_000;

/// How far the log of a container was taken. Only times of the kubelet are compared, with each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Of the start whose log this is; none before anything is known of the container.
    pub(crate) restart: Option<u32>,
    /// The latest time of the lines that are not known one by one.
    floor: i64,
    /// How many of those have exactly that time.
    at_floor: u64,
    /// The last lines: time and hash.
    recent: VecDeque<(i64, u64)>,
}

impl Cursor {
    /// Nothing of that start yet.
    pub(crate) fn of_start(restart: u32) -> Self {
        Self { restart: Some(restart), ..Self::default() }
    }

    /// Nothing was taken yet, of any start.
    pub fn is_at_the_beginning(&self) -> bool {
        self.recent.is_empty() && self.restart.unwrap_or_default() == 0
    }

    /// Another line was taken.
    pub(crate) fn took(&mut self, at: i64, hash: u64) {
        if self.recent.len() == KNOWN
            && let Some((oldest, _)) = self.recent.pop_front()
        {
            if self.at_floor == 0 || oldest > self.floor {
                (self.floor, self.at_floor) = (oldest, 1);
            } else if oldest == self.floor {
                self.at_floor += 1;
            }
        }
        self.recent.push_back((at, hash));
    }

    /// The earliest time that has to be asked for; none for all there is.
    pub(crate) fn since(&self) -> Option<i64> {
        self.recent.iter().map(|(at, _)| at.saturating_sub(LATE)).min()
    }

    /// To be asked of the lines that come since then.
    pub(crate) fn replay(&self) -> Replay {
        let left: Vec<_> = self.recent.iter().copied().collect();
        Replay {
            floor: (self.at_floor > 0).then_some(self.floor),
            at_floor: self.at_floor,
            newest: left.iter().map(|(at, _)| *at).max().unwrap_or(i64::MIN),
            over: left.is_empty(),
            left,
            met: false,
        }
    }
}

/// The hash that lines are known by.
pub(crate) fn hash(line: &[u8]) -> u64 {
    xxh3_64(line)
}

/// Tells lines that were taken before a connection was lost from those that were not.
#[derive(Debug)]
pub(crate) struct Replay {
    floor: Option<i64>,
    at_floor: u64,
    newest: i64,
    left: Vec<(i64, u64)>,
    /// All that was taken is behind us: the clock may be set back from now on.
    over: bool,
    met: bool,
}

impl Replay {
    pub(crate) fn is_known(&mut self, at: i64, hash: u64) -> bool {
        if self.over {
            return false;
        }
        if let Some(found) = self.left.iter().position(|known| *known == (at, hash)) {
            self.left.swap_remove(found);
            self.met = true;
            // Equal lines of one moment are told apart by their number alone, so all of them have to come first.
            self.over = self.left.is_empty() && self.at_floor == 0;
            return true;
        }
        match self.floor {
            Some(floor) if at < floor => return true,
            Some(floor) if at == floor && self.at_floor > 0 => {
                self.at_floor -= 1;
                self.met = true;
                return true;
            }
            _ => {}
        }
        self.over = at > self.newest;
        false
    }

    /// Whether something was taken before, and nothing of it has come again: what followed it may be gone too.
    pub(crate) fn lost_its_place(&self) -> bool {
        !self.met && self.newest > i64::MIN
    }

    /// The latest time that was taken, in words.
    pub(crate) fn newest(&self) -> String {
        since(self.newest)
    }

    /// From here on all is new.
    pub(crate) fn end(&mut self) {
        (self.over, self.met) = (true, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When, in tenths of a second.
    type Line = (i64, &'static str);
    const TENTH: i64 = LATE / 10;

    /// What is taken of a log whose connection breaks after each of these many lines of what the server sent.
    fn followed(log: &[Line], breaks: &[usize]) -> Vec<Line> {
        let (mut cursor, mut taken) = (Cursor::of_start(0), Vec::new());
        for length in breaks.iter().copied().chain([usize::MAX]) {
            // As the kubelet does: it drops what is earlier, wherever it stands.
            let since = cursor.since().unwrap_or(-2 * LATE).div_euclid(LATE) * LATE;
            let sent = log.iter().filter(|(at, _)| at * TENTH >= since);
            let mut replay = cursor.replay();
            for &(at, text) in sent.take(length) {
                let (time, hash) = (at * TENTH, hash(text.as_bytes()));
                if !replay.is_known(time, hash) {
                    taken.push((at, text));
                    cursor.took(time, hash);
                }
            }
        }
        taken
    }

    #[test]
    fn each_line_is_taken_once_wherever_the_connection_breaks() {
        let same_time = [(7, "a"), (7, "a"), (7, "b"), (7, "a")];
        let out_of_order = [(11, "a"), (19, "b"), (12, "late"), (20, "c"), (13, "later"), (40, "d")];
        let many: Vec<Line> = (0..200).map(|n| (n / 90, if n % 3 == 0 { "x" } else { "y" })).collect();
        let mixed: Vec<Line> = (0..100).map(|n| (n * 3 - (n % 2) * 5, "z")).collect();
        for log in [&same_time[..], &out_of_order, &many, &mixed] {
            for first in 0..=log.len() {
                for second in [0, 1, 2, 3, 5, 40, 64, 150] {
                    assert_eq!(followed(log, &[first, second]), log, "{first} {second}");
                }
            }
        }
    }

    #[test]
    fn a_log_that_lost_what_was_taken_is_noticed() {
        let mut cursor = Cursor::of_start(0);
        assert!(!cursor.replay().lost_its_place());
        for at in 0..50 {
            cursor.took(at, 1);
        }
        let mut replay = cursor.replay();
        assert!(!replay.is_known(60, 1));
        assert!(replay.lost_its_place());
        let mut replay = cursor.replay();
        assert!(replay.is_known(49, 1) && !replay.is_known(60, 1));
        assert!(!replay.lost_its_place());
    }

    #[test]
    fn a_clock_that_is_set_back_hides_nothing_that_comes() {
        let mut cursor = Cursor::of_start(0);
        cursor.took(100, 1);
        let mut replay = cursor.replay();
        assert!(replay.is_known(100, 1));
        assert!(!replay.is_known(50, 2) && !replay.is_known(100, 1));
    }

    #[test]
    fn it_is_written_and_read() {
        let mut cursor = Cursor::of_start(3);
        cursor.took(i64::MAX, u64::MAX);
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), cursor);
    }
}
