//! What goes first when time is short: logs, events and small files, then the newest checkpoint, then the rest.
//!
//! A run that is cut off can be explained with the first and go on from the second.

use plx_contract::RelPath;
use plx_journal::Put;

/// No checkpoint is as small, and thousands of such files take seconds.
const SMALL: u64 = 1 << 20;
/// Files of one checkpoint are written one after another, in one folder, without longer pauses.
const BETWEEN_SHARDS_NS: i64 = 2_000_000_000;

/// Files in order of worth; each kind in the order in which it is sent.
#[derive(Debug, Default)]
pub(super) struct ByWorth {
    /// Logs, events, then small files, the smallest first.
    pub first: Vec<Put>,
    /// The newest large file, and others of the same checkpoint, the newest first.
    pub newest: Vec<Put>,
    /// The newest first.
    pub rest: Vec<Put>,
}

impl ByWorth {
    pub fn of(puts: Vec<Put>) -> Self {
        let (mut first, mut large): (Vec<Put>, Vec<Put>) =
            puts.into_iter().partition(|put| rank(&put.key) < SMALL_FILES || put.stat.size <= SMALL);
        first.sort_by_key(|put| (rank(&put.key), put.stat.size));
        large.sort_by_key(|put| std::cmp::Reverse((put.stat.mtime_ns, put.stat.ctime_ns)));
        let (mut newest, mut rest): (Vec<Put>, Vec<Put>) = (Vec::new(), Vec::new());
        for put in large {
            let belongs = newest.last().is_none_or(|last| {
                folder(&last.key) == folder(&put.key)
                    && last.stat.mtime_ns.saturating_sub(put.stat.mtime_ns) <= BETWEEN_SHARDS_NS
            });
            if belongs { newest.push(put) } else { rest.push(put) }
        }
        Self { first, newest, rest }
    }
}

/// Where small files stand among what goes first.
const SMALL_FILES: u8 = 2;

/// Below the run's folder: logs, then events and resources, then whatever is small.
fn rank(key: &RelPath) -> u8 {
    match key.as_str().split('/').nth(1) {
        Some("plxlogs") => 0,
        Some("events" | "resources") => 1,
        _ => SMALL_FILES,
    }
}

fn folder(key: &RelPath) -> Option<&str> {
    key.as_str().rsplit_once('/').map(|(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plx_contract::Stat;
    use std::path::Path;
    use std::sync::Arc;

    /// A file of so many MiB, changed at that second.
    fn put(key: &str, mib: f64, second: i64) -> Put {
        let ns = second * 1_000_000_000;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
        let size = (mib * 1_048_576.0) as u64;
        let stat = Stat { dev: 1, ino: 1, size, mtime_ns: ns, ctime_ns: ns, mode: 0o100_644 };
        let key = RelPath::parse(key).unwrap();
        Put {
            key,
            path: "/x".into(),
            base: Arc::from(Path::new("/")),
            stat,
            reason: plx_journal::Reason::New,
            stored: None,
        }
    }

    fn order(puts: &[(&str, f64, i64)]) -> [Vec<String>; 3] {
        let by = ByWorth::of(puts.iter().map(|(key, mib, second)| put(key, *mib, *second)).collect());
        [by.first, by.newest, by.rest].map(|puts| puts.iter().map(|put| put.key.to_string()).collect())
    }

    #[test]
    fn logs_events_small_files_then_the_newest_checkpoint_then_the_rest() {
        let [first, newest, rest] = order(&[
            ("R/outputs/old.pt", 40.0, 100),
            ("R/outputs/last.pt", 40.0, 300),
            ("R/outputs/middle.pt", 40.0, 200),
            ("R/outputs/notes.txt", 0.5, 1),
            ("R/outputs/a.json", 0.1, 1),
            ("R/resources/metric/cpu.plx", 0.2, 1),
            ("R/events/metric/loss.plx", 30.0, 1),
            ("R/plxlogs/pod.jsonl", 60.0, 1),
        ]);
        assert_eq!(
            first,
            [
                "R/plxlogs/pod.jsonl",
                "R/resources/metric/cpu.plx",
                "R/events/metric/loss.plx",
                "R/outputs/a.json",
                "R/outputs/notes.txt"
            ]
        );
        assert_eq!(newest, ["R/outputs/last.pt"]);
        assert_eq!(rest, ["R/outputs/middle.pt", "R/outputs/old.pt"]);
    }

    #[test]
    fn shards_of_one_checkpoint_go_together_and_no_other_checkpoint_with_them() {
        let [_, newest, rest] = order(&[
            ("R/outputs/step-2/shard-1", 9.0, 200),
            ("R/outputs/step-2/shard-2", 9.0, 201),
            ("R/outputs/step-2/shard-3", 9.0, 203),
            ("R/outputs/step-1/shard-1", 9.0, 203),
            ("R/outputs/step-2/an-old-one", 9.0, 100),
        ]);
        assert_eq!(
            newest,
            ["R/outputs/step-2/shard-3", "R/outputs/step-2/shard-2", "R/outputs/step-2/shard-1"]
        );
        assert_eq!(rest, ["R/outputs/step-1/shard-1", "R/outputs/step-2/an-old-one"]);
    }

    #[test]
    fn nothing_is_left_out() {
        let [first, newest, rest] =
            order(&[("top", 3.0, 1), ("R/x", 3.0, 1), ("R/plxlogs", 3.0, 9), ("R/y", 0.0, 1)]);
        assert_eq!(first.len() + newest.len() + rest.len(), 4);
    }
}
