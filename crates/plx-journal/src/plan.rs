//! Comparing what is seen with what is stored.

use crate::clock::python_micros;
use crate::guard::{Held, HoldReason, Now};
use crate::journal::{Journal, Known, StoredAs};
use crate::seen::{RootState, Seen, settled_at};
use crate::walk::is_left_out;
use plx_contract::RelPath;
use plx_contract::Stat;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What must be done so that the store holds what is on disk.
///
/// Order: each of `blocking` before any put or folder that it [blocks](Delete::blocks); `dirs` before the puts below
/// them; `deletes` after all puts; `dir_deletes` last. A delete of what is not there is done, not failed: after a crash
/// it may be asked for twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files to upload, by key.
    pub puts: Vec<Put>,
    /// What stands in the way of a put: files first, then folders, deepest first. Never held back.
    pub blocking: Vec<Delete>,
    /// Files to delete once the uploads are over.
    pub deletes: Vec<Delete>,
    /// Folders to make on stores that have folders, parents first.
    pub dirs: Vec<RelPath>,
    /// Folders to remove there, deepest first. Only when empty: files in it that this run did not store stay.
    pub dir_deletes: Vec<RelPath>,
    /// Deletes that are not done now.
    pub held: Option<Held>,
    /// Files that are stored as they are.
    pub unchanged: usize,
}

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Its key in the store.
    pub key: RelPath,
    /// What to open.
    pub path: PathBuf,
    /// What the key is relative to.
    pub base: Arc<Path>,
    /// Its state when it was seen.
    pub stat: Stat,
    /// Why.
    pub reason: Reason,
    /// As what this pod stored it before; none when it did not.
    pub stored: Option<Box<StoredAs>>,
}

/// Why a file is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The store does not have it.
    New,
    /// The store has another state of it.
    Changed,
    /// It was written so shortly before it was read that the clock cannot tell whether it was written again.
    Unsettled,
}

/// A file, or a folder, to remove from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// Its key.
    pub key: RelPath,
    /// What takes its place, for a delete that stands in the way.
    pub for_key: Option<RelPath>,
    /// A folder, on stores that have folders; nothing at all on the others.
    pub is_dir: bool,
}

impl Delete {
    /// True when this must be done before `key` is put or made.
    pub fn blocks(&self, key: &RelPath) -> bool {
        self.for_key.as_ref().is_some_and(|top| is_within(key, top))
    }
}

impl Changes {
    /// True when the store holds what is on disk. Held deletes do not count.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty()
            && self.blocking.is_empty()
            && self.deletes.is_empty()
            && self.dirs.is_empty()
            && self.dir_deletes.is_empty()
    }
}

/// True when `key` is `top` or lies below it.
pub(crate) fn is_within(key: &RelPath, top: &RelPath) -> bool {
    top.is_root()
        || key
            .as_str()
            .strip_prefix(top.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `key`, its folder, that one's folder, and so on, without the root.
fn upward(key: &RelPath) -> impl Iterator<Item = RelPath> {
    std::iter::successors(Some(key.clone()), |key| Some(key.parent())).take_while(|key| !key.is_root())
}

/// On what grounds an absence can be judged.
struct Grounds<'a> {
    seen: &'a Seen,
    /// The device of each root, or why nothing can be said about it.
    trees: BTreeMap<RelPath, Result<u64, HoldReason>>,
    unread: BTreeSet<&'a RelPath>,
}

impl<'a> Grounds<'a> {
    fn of(seen: &'a Seen) -> Self {
        let mut trees = BTreeMap::new();
        for found in &seen.roots {
            let Some(prefix) = found.root.prefix() else { continue };
            let state = match found.state {
                RootState::Present { dev } => Ok(dev),
                RootState::Missing => Err(HoldReason::RootMissing),
                RootState::Unreadable(_) => Err(HoldReason::RootUnreadable),
            };
            // Of two roots with one prefix, the worse one counts.
            trees
                .entry(prefix)
                .and_modify(|known: &mut Result<_, _>| *known = (*known).and(state))
                .or_insert(state);
        }
        Self { seen, trees, unread: seen.unread.iter().collect() }
    }

    /// The root that covers `key`.
    fn tree(&self, key: &RelPath) -> Option<&RelPath> {
        self.trees.keys().filter(|prefix| is_within(key, prefix)).max_by_key(|prefix| prefix.as_str().len())
    }

    /// The root of an absent key when its absence means that it was deleted; else why it does not.
    /// `stored_on` tells the device that its root was on, given the root.
    fn absent(
        &self,
        key: &RelPath,
        stored_on: impl Fn(&RelPath) -> Option<u64>,
    ) -> Result<&RelPath, HoldReason> {
        let tree = self.tree(key).ok_or(HoldReason::NotScanned)?;
        let dev = self.trees.get(tree).copied().ok_or(HoldReason::NotScanned)??;
        if stored_on(tree).is_some_and(|known| known != dev) {
            return Err(HoldReason::OtherDevice);
        }
        if !self.unread.is_empty()
            && (self.unread.contains(&RelPath::root()) || upward(key).any(|key| self.unread.contains(&key)))
        {
            return Err(HoldReason::Unreadable);
        }
        Ok(tree)
    }

    /// What has taken the place of a stored file or folder, if anything did.
    fn replaced_by(&self, key: &RelPath, is_dir: bool) -> Option<RelPath> {
        let above = upward(key).skip(1).find(|above| self.seen.files.contains_key(above));
        let itself = || if is_dir { self.seen.files.contains_key(key) } else { self.is_dir_now(key) };
        above.or_else(|| itself().then(|| key.clone()))
    }

    fn is_dir_now(&self, key: &RelPath) -> bool {
        // `a/\u{1}` is the least key that can be below `a`.
        let least = RelPath::parse(&format!("{key}/\u{1}")).unwrap_or_default();
        let below = self.seen.files.range(least..).next();
        self.seen.dirs.contains_key(key) || below.is_some_and(|(first, _)| is_within(first, key))
    }
}

impl Journal {
    /// What must be done, given what was seen. Pure, but for two things it remembers: what the delete guard has seen,
    /// and the full state of files of which only `.fs` knew an mtime, so that a later rewrite shows even if that
    /// mtime is set again.
    pub fn plan(&mut self, seen: &Seen) -> Changes {
        let grounds = Grounds::of(seen);
        for (prefix, state) in &grounds.trees {
            if let Ok(dev) = *state {
                self.devices.entry(prefix.clone()).or_insert((dev, dev)).1 = dev;
            }
        }
        let mut changes = Changes::default();
        self.plan_puts(&grounds, &mut changes);
        let kept = self.plan_deletes(&grounds, &mut changes);
        self.plan_dirs(&grounds, &kept, &mut changes);
        changes
    }

    fn plan_puts(&mut self, grounds: &Grounds<'_>, changes: &mut Changes) {
        for (key, file) in &grounds.seen.files {
            let stat = file.stat;
            let reason = match self.files.get_mut(key) {
                None => Some(Reason::New),
                Some(entry) => match entry.known {
                    Known::Stored { stat: last, .. } if !last.same_version(&stat) => Some(Reason::Changed),
                    Known::Stored { settled, .. } => (!settled).then_some(Reason::Unsettled),
                    Known::HandedOver { mtime_us, .. } if mtime_us != python_micros(stat.mtime_ns) => {
                        Some(Reason::Changed)
                    }
                    Known::HandedOver { foreign, .. } => {
                        if !foreign && settled_at(&stat, grounds.seen.at_ns) {
                            entry.known = Known::Stored { stat, settled: true, repeats: 0 };
                        }
                        None
                    }
                },
            };
            match reason {
                None => changes.unchanged += 1,
                Some(reason) => changes.puts.push(Put {
                    key: key.clone(),
                    path: file.path.clone(),
                    base: Arc::clone(&file.base),
                    stat,
                    reason,
                    stored: self.files.get(key).and_then(|entry| entry.stored.clone()),
                }),
            }
        }
    }

    /// Plans the deletes of files; returns the folders that must stay because something stored in them does.
    fn plan_deletes(&mut self, grounds: &Grounds<'_>, changes: &mut Changes) -> BTreeSet<RelPath> {
        let mut held = Held::default();
        let mut kept = BTreeSet::new();
        // Of each tree: how many files are stored, and which of them are gone.
        let mut gone: BTreeMap<&RelPath, (usize, BTreeSet<RelPath>)> = grounds
            .trees
            .iter()
            .filter(|(_, state)| state.is_ok())
            .map(|(tree, _)| (tree, Default::default()))
            .collect();
        for (key, entry) in &self.files {
            let there = grounds.seen.files.contains_key(key);
            if let Some((stored, _)) = grounds.tree(key).and_then(|tree| gone.get_mut(tree)) {
                *stored += 1;
            }
            if there {
                continue;
            }
            if let Some(top) = grounds.replaced_by(key, false) {
                changes.blocking.push(Delete { key: key.clone(), for_key: Some(top), is_dir: false });
                continue;
            }
            let foreign = matches!(entry.known, Known::HandedOver { foreign: true, .. });
            if foreign || is_left_out(key, false, grounds.seen.skip_git) {
                kept.extend(upward(key));
                continue;
            }
            let first =
                |tree: &RelPath| entry.root_dev.or_else(|| self.devices.get(tree).map(|(first, _)| *first));
            match grounds.absent(key, first) {
                Ok(tree) => drop(gone.get_mut(tree).map(|(_, absent)| absent.insert(key.clone()))),
                Err(reason) => {
                    held.add(reason, 1);
                    kept.extend(upward(key));
                }
            }
        }
        for (tree, (stored, absent)) in gone {
            let files = &self.files;
            let now = |key: &RelPath| match (files.contains_key(key), grounds.seen.files.contains_key(key)) {
                (false, _) => Now::Forgotten,
                (true, true) => Now::Back,
                (true, false) => Now::Other,
            };
            let (go, doubted) = self.guard.judge(tree, stored, absent, now);
            if !doubted.is_empty() {
                held.add(HoldReason::MostOfTree, doubted.len());
                kept.extend(doubted.iter().flat_map(upward));
            }
            changes.deletes.extend(go.into_iter().map(|key| Delete { key, for_key: None, is_dir: false }));
        }
        changes.held = (held.count > 0).then_some(held);
        kept
    }

    fn plan_dirs(&self, grounds: &Grounds<'_>, kept: &BTreeSet<RelPath>, changes: &mut Changes) {
        let seen = grounds.seen;
        changes.dirs = seen.dirs.keys().filter(|key| !self.dirs.contains_key(key)).cloned().collect();
        for key in self.dirs.keys().rev().filter(|key| !seen.dirs.contains_key(key)) {
            let first = |tree: &RelPath| self.devices.get(tree).map(|(first, _)| *first);
            if let Some(top) = grounds.replaced_by(key, true) {
                changes.blocking.push(Delete { key: key.clone(), for_key: Some(top), is_dir: true });
            } else if !kept.contains(key)
                && !is_left_out(key, true, seen.skip_git)
                && grounds.absent(key, first).is_ok()
            {
                changes.dir_deletes.push(key.clone());
            }
        }
    }
}
