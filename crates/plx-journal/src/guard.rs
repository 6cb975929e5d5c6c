//! The delete guard: most of a tree does not go at the first sight of its absence.

use plx_contract::RelPath;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Trees up to this many stored files are never guarded.
const SMALL_TREE: usize = 20;

/// How many later scans must agree before a guarded delete goes.
const AGREE: u8 = 2;

/// Deletes that are not done now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// How many files.
    pub count: usize,
    /// Why, and how many for each reason.
    pub reasons: BTreeMap<HoldReason, usize>,
}

impl Held {
    /// Counts one file more.
    pub(crate) fn add(&mut self, reason: HoldReason, count: usize) {
        self.count += count;
        *self.reasons.entry(reason).or_default() += count;
    }
}

/// Why a stored file that is not seen stays in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HoldReason {
    /// The root it was in is not there.
    RootMissing,
    /// The root it was in cannot be walked.
    RootUnreadable,
    /// No root of this scan covers it.
    NotScanned,
    /// Its root is on another device than when it was stored: another file system is mounted there.
    OtherDevice,
    /// A folder above it cannot be read.
    Unreadable,
    /// More than half of its tree would go at once; done when two later scans agree.
    MostOfTree,
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RootMissing => "their folder is not there",
            Self::RootUnreadable => "their folder cannot be read",
            Self::NotScanned => "their folder is none of those that are mirrored now",
            Self::OtherDevice => "their folder is on another device than before",
            Self::Unreadable => "a folder above them cannot be read",
            Self::MostOfTree => {
                "more than half of the tree would go at once; done when two later scans agree"
            }
        })
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stored files are gone from disk and kept in the store", self.count)?;
        for (place, (reason, count)) in self.reasons.iter().enumerate() {
            write!(f, "{} {count} because {reason}", if place == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

/// What the guard remembers between scans, for each tree.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    trees: BTreeMap<RelPath, Doubt>,
}

#[derive(Debug, Default)]
struct Doubt {
    /// The files whose absence is doubted.
    absent: BTreeSet<RelPath>,
    /// How many later scans found all of them absent.
    agreed: u8,
    /// Files whose absence was believed; their deletes may still be under way.
    believed: BTreeSet<RelPath>,
}

/// What a scan says about a stored file whose absence was doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Now {
    /// It is there again.
    Back,
    /// The journal no longer has it.
    Forgotten,
    /// Not there, or nobody could look.
    Other,
}

impl Guard {
    /// Splits the files of one tree that are no longer seen into those to delete and those to hold.
    ///
    /// `stored` is the number of files of that tree in the journal.
    pub(crate) fn judge(
        &mut self,
        tree: &RelPath,
        stored: usize,
        absent: BTreeSet<RelPath>,
        now: impl Fn(&RelPath) -> Now,
    ) -> (Vec<RelPath>, Vec<RelPath>) {
        let doubt = self.trees.entry(tree.clone()).or_default();
        doubt.believed.retain(|key| absent.contains(key));
        let (mut go, fresh): (Vec<_>, BTreeSet<_>) = {
            let (believed, fresh): (Vec<_>, Vec<_>) =
                absent.into_iter().partition(|key| doubt.believed.contains(key));
            (believed, fresh.into_iter().collect())
        };
        doubt.absent.retain(|key| now(key) != Now::Forgotten);
        if doubt.absent.iter().any(|key| now(key) == Now::Back) {
            doubt.forget();
        }
        if doubt.absent.is_empty() {
            if stored > SMALL_TREE && fresh.len() * 2 > stored {
                doubt.agreed = 0;
                doubt.absent.clone_from(&fresh);
                return (go, fresh.into_iter().collect());
            }
        } else {
            // A file that nobody could look at this time neither agrees nor disagrees.
            doubt.agreed += u8::from(doubt.absent.is_subset(&fresh));
            if doubt.agreed < AGREE {
                return (go, fresh.into_iter().collect());
            }
            doubt.forget();
            doubt.believed.extend(fresh.iter().cloned());
        }
        go.extend(fresh);
        go.sort();
        (go, Vec::new())
    }
}

impl Doubt {
    fn forget(&mut self) {
        self.absent.clear();
        self.agreed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<usize>) -> BTreeSet<RelPath> {
        range.map(|n| RelPath::parse(&format!("R/{n:03}")).expect("safe")).collect()
    }

    fn judge(guard: &mut Guard, stored: usize, absent: BTreeSet<RelPath>) -> (usize, usize) {
        let there = keys(0..stored).difference(&absent).cloned().collect::<BTreeSet<_>>();
        let tree = RelPath::parse("R").expect("safe");
        let now = |key: &RelPath| if there.contains(key) { Now::Back } else { Now::Other };
        let (go, held) = guard.judge(&tree, stored, absent, now);
        (go.len(), held.len())
    }

    #[test]
    fn half_of_a_tree_goes_at_once_and_more_than_half_waits_for_two_later_scans() {
        let mut guard = Guard::default();
        assert_eq!(judge(&mut guard, 30, keys(0..15)), (15, 0));
        assert_eq!(judge(&mut guard, 30, keys(0..16)), (0, 16));
        assert_eq!(judge(&mut guard, 30, keys(0..16)), (0, 16));
        assert_eq!(judge(&mut guard, 30, keys(0..16)), (16, 0));
        assert_eq!(
            judge(&mut guard, 30, keys(0..16)),
            (16, 0),
            "the deletes failed: they are asked for again"
        );
    }

    #[test]
    fn a_small_tree_is_not_guarded() {
        assert_eq!(judge(&mut Guard::default(), 20, keys(0..20)), (20, 0));
        assert_eq!(judge(&mut Guard::default(), 21, keys(0..21)), (0, 21));
    }

    #[test]
    fn a_growing_absence_agrees_and_a_file_that_is_back_resets() {
        let mut guard = Guard::default();
        assert_eq!(judge(&mut guard, 30, keys(0..20)), (0, 20));
        assert_eq!(judge(&mut guard, 30, keys(0..25)), (0, 25));
        assert_eq!(judge(&mut guard, 30, keys(1..30)), (0, 29), "000 is back: a new doubt begins");
        assert_eq!(judge(&mut guard, 30, keys(1..30)), (0, 29));
        assert_eq!(judge(&mut guard, 30, keys(1..30)), (29, 0));
    }

    #[test]
    fn files_back_below_the_threshold_let_the_rest_go() {
        let mut guard = Guard::default();
        assert_eq!(judge(&mut guard, 30, keys(0..20)), (0, 20));
        assert_eq!(judge(&mut guard, 30, keys(10..20)), (10, 0));
    }

    #[test]
    fn believing_one_absence_is_not_believing_the_next() {
        let mut guard = Guard::default();
        for _ in 0..3 {
            judge(&mut guard, 60, keys(0..31));
        }
        // Their deletes fail; meanwhile all others vanish too, but 29 of 60 are no majority by themselves.
        assert_eq!(judge(&mut guard, 60, keys(0..60)), (60, 0));
        let mut guard = Guard::default();
        for _ in 0..3 {
            judge(&mut guard, 30, keys(0..16));
        }
        let tree = RelPath::parse("R").expect("safe");
        // Their deletes succeed; 14 are left, a small tree.
        let (go, held) = guard.judge(&tree, 14, keys(16..30), |_| Now::Other);
        assert_eq!((go.len(), held.len()), (14, 0));
    }
}
