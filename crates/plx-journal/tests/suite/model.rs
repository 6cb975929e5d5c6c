//! Random operations on a real folder, with failing uploads and crashes, against a store that is as strict as a volume.
//! Whatever happened: once it is quiet and nothing fails, the store holds what is on disk.

use crate::tree::{RUN, Tree, key, later, now_ns};
use filetime::FileTime;
use plx_contract::RelPath;
use plx_journal::{Changes, Journal, Put, Seen, Stat, StoredAs};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What may happen between two passes. Paths are small, so that operations meet.
#[derive(Debug, Clone)]
enum Op {
    Write(String, u8),
    /// Other content of the same size, and the old mtime again.
    RewriteUnseen(String, u8),
    /// Another file with an old mtime takes the name.
    RenameOver(String, u8),
    Touch(String),
    Delete(String),
    Mkdir(String),
    Rename(String, String),
    Link(String, String),
    /// So many files that the guard looks at them.
    Fill(String),
    Pass {
        /// One bit for each transfer.
        fails: u64,
        /// One bit for each upload: the file is rewritten between its read and the second `fstat`.
        torn: u64,
        /// Happens between plan and apply.
        meanwhile: Option<Box<Op>>,
    },
    Crash,
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&["a", "b", "a-"][..]), 1..4).prop_map(|names| names.join("/"))
}

fn touch_disk() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (path(), any::<u8>()).prop_map(|(path, byte)| Op::Write(path, byte)),
        4 => (path(), any::<u8>()).prop_map(|(path, byte)| Op::RewriteUnseen(path, byte)),
        2 => (path(), any::<u8>()).prop_map(|(path, byte)| Op::RenameOver(path, byte)),
        1 => path().prop_map(Op::Touch),
        2 => path().prop_map(Op::Delete),
        1 => path().prop_map(Op::Mkdir),
        2 => (path(), path()).prop_map(|(from, to)| Op::Rename(from, to)),
        1 => (path(), path()).prop_map(|(at, to)| Op::Link(at, to)),
        1 => path().prop_map(Op::Fill),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    // No transfer fails in half of the passes; in the others each one may.
    let fails = prop_oneof![Just(0), any::<u64>()];
    let torn = prop_oneof![2 => Just(0), 1 => any::<u64>()];
    let pass = (fails, torn, prop::option::of(touch_disk())).prop_map(|(fails, torn, meanwhile)| Op::Pass {
        fails,
        torn,
        meanwhile: meanwhile.map(Box::new),
    });
    prop_oneof![8 => touch_disk(), 5 => pass, 1 => Just(Op::Crash)]
}

/// A store with folders, where a file and a folder cannot have one name.
#[derive(Debug, Default)]
struct Volume {
    files: BTreeMap<RelPath, Vec<u8>>,
    dirs: BTreeSet<RelPath>,
}

impl Volume {
    fn put(&mut self, key: &RelPath, bytes: Vec<u8>) {
        self.may_be_placed(key);
        assert!(!self.dirs.contains(key), "a folder stands where `{key}` is put");
        self.files.insert(key.clone(), bytes);
    }

    fn make_dir(&mut self, key: &RelPath) {
        self.may_be_placed(key);
        assert!(!self.files.contains_key(key), "a file stands where folder `{key}` is made");
        self.dirs.insert(key.clone());
    }

    fn may_be_placed(&self, key: &RelPath) {
        let mut above = key.parent();
        while above.as_str() != RUN {
            assert!(self.dirs.contains(&above), "`{key}` is placed in `{above}`, which is no folder");
            above = above.parent();
        }
    }

    fn remove_dir(&mut self, key: &RelPath) -> bool {
        let below = format!("{key}/");
        let empty = |other: &RelPath| !other.as_str().starts_with(&below);
        let empty = self.files.keys().all(empty) && self.dirs.iter().all(empty);
        if empty {
            self.dirs.remove(key);
        }
        empty
    }
}

struct World {
    tree: Tree,
    store: Volume,
    journal: Journal,
}

impl World {
    fn new() -> Self {
        let tree = Tree::new();
        let journal = Journal::open(&state(&tree), None, None).unwrap();
        Self { tree, store: Volume::default(), journal }
    }

    fn act(&mut self, op: &Op) {
        match op {
            Op::Pass { fails, torn, meanwhile } => self.pass(*fails, *torn, meanwhile.as_deref(), None),
            Op::Crash => self.journal = Journal::open(&state(&self.tree), None, None).unwrap(),
            op => change(&self.tree, op),
        }
        let stored: Vec<_> =
            self.journal.stored().filter(|key| !self.store.files.contains_key(key)).collect();
        assert!(stored.is_empty(), "the journal knows what the store does not hold: {stored:?}");
    }

    /// Scan, plan, apply.
    fn pass(&mut self, fails: u64, torn: u64, meanwhile: Option<&Op>, calm_since: Option<i64>) {
        let changes = self.journal.plan(&scan(&self.tree));
        if let Some(op) = meanwhile {
            change(&self.tree, op);
        }
        let (mut fails, mut torn) = (coin(fails), coin(torn));
        let mut broken: Vec<RelPath> = Vec::new(); // nothing can be placed at or below these
        for delete in &changes.blocking {
            let done = !fails() && (!delete.is_dir || self.store.remove_dir(&delete.key));
            match (done, delete.is_dir) {
                (false, _) => broken.extend(delete.for_key.clone()),
                (true, true) => self.journal.dir_removed(&delete.key).unwrap(),
                (true, false) => {
                    self.store.files.remove(&delete.key);
                    self.journal.removed(&delete.key).unwrap();
                }
            }
        }
        for key in &changes.dirs {
            if is_below(key, &broken) || fails() {
                broken.push(key.clone());
            } else {
                self.store.make_dir(key);
                self.journal.dir_made(key, Path::new("/ctx")).unwrap();
            }
        }
        for put in &changes.puts {
            if !is_below(&put.key, &broken) && !fails() {
                self.upload(put, torn(), calm_since);
            }
        }
        self.clean(&changes, fails);
    }

    /// As an uploader does: state of the open file, content, state again.
    fn upload(&mut self, put: &Put, torn: bool, calm_since: Option<i64>) {
        let read_began = calm_since.unwrap_or_else(now_ns);
        let Ok(mut file) = File::open(&put.path) else { return };
        let before = coarse(Stat::of(&file.metadata().unwrap()));
        let mut bytes = Vec::new();
        if file.read_to_end(&mut bytes).is_err() {
            return;
        }
        if torn {
            rewrite_unseen(&put.path, 255);
        }
        if before == coarse(Stat::of(&file.metadata().unwrap())) {
            self.store.put(&put.key, bytes);
            self.journal.landed(&put.key, &put.base, before, read_began, StoredAs::default()).unwrap();
        }
    }

    fn clean(&mut self, changes: &Changes, mut fails: impl FnMut() -> bool) {
        for delete in changes.deletes.iter().filter(|_| !fails()) {
            self.store.files.remove(&delete.key);
            self.journal.removed(&delete.key).unwrap();
        }
        for key in &changes.dir_deletes {
            if self.store.remove_dir(key) {
                self.journal.dir_removed(key).unwrap();
            }
        }
    }

    fn settle(&mut self) {
        let calm = later();
        // The guard wants two scans more, and a file that a link shared may need one pass after another.
        for _ in 0..5 {
            self.pass(0, 0, None, Some(calm));
        }
        self.journal.flush().unwrap();
        let changes = self.journal.plan(&scan(&self.tree));
        assert!(changes.is_empty() && changes.held.is_none(), "something is left to do: {changes:?}");
    }
}

/// The scan of a kernel with a coarse clock.
fn scan(tree: &Tree) -> Seen {
    let mut seen = tree.scan();
    seen.files.values_mut().for_each(|file| file.stat = coarse(file.stat));
    seen
}

/// Timestamps as kernels before 6.13 have them: the time of the last tick, so that two writes can share it. (The tick
/// here comes on top of the real one; both together stay below what the journal allows for.)
fn coarse(stat: Stat) -> Stat {
    let tick = |ns: i64| ns - ns.rem_euclid(5_000_000);
    Stat { mtime_ns: tick(stat.mtime_ns), ctime_ns: tick(stat.ctime_ns), ..stat }
}

/// The bits of a number, one after another, for ever.
fn coin(bits: u64) -> impl FnMut() -> bool {
    let mut bits = (0..64).map(move |bit| bits >> bit & 1 == 1).cycle();
    move || bits.next().unwrap_or_default()
}

fn state(tree: &Tree) -> PathBuf {
    tree.art().join(".plx/pod")
}

fn is_below(key: &RelPath, tops: &[RelPath]) -> bool {
    let below = |top: &RelPath| key == top || key.as_str().starts_with(&format!("{top}/"));
    tops.iter().any(below)
}

/// Does it, or does not when the system refuses: a refused operation is also something that happens.
fn change(tree: &Tree, op: &Op) {
    match op {
        Op::Write(rel, byte) => {
            make_room(tree, rel);
            drop(fs::write(tree.at(rel), vec![*byte; usize::from(*byte % 5)]));
        }
        Op::RewriteUnseen(rel, byte) => rewrite_unseen(&tree.at(rel), *byte),
        Op::RenameOver(rel, byte) => {
            make_room(tree, rel);
            let other = tree.art().join("other");
            fs::write(&other, [*byte; 3]).unwrap();
            filetime::set_file_mtime(&other, FileTime::from_unix_time(i64::from(*byte % 3), 0)).unwrap();
            drop(fs::rename(other, tree.at(rel)));
        }
        Op::Touch(rel) => {
            drop(filetime::set_file_mtime(tree.at(rel), FileTime::from_unix_time(1_700_000_000, 0)))
        }
        Op::Delete(rel) => remove(&tree.at(rel)),
        Op::Mkdir(rel) => {
            make_room(tree, rel);
            drop(fs::create_dir(tree.at(rel)));
        }
        Op::Rename(from, to) => drop(fs::rename(tree.at(from), tree.at(to))),
        Op::Link(rel, to) => {
            make_room(tree, rel);
            drop(std::os::unix::fs::symlink(tree.at(to), tree.at(rel)));
        }
        Op::Fill(rel) => {
            make_room(tree, rel);
            if fs::create_dir(tree.at(rel)).is_ok() {
                (0..25).for_each(|n| fs::write(tree.at(&format!("{rel}/{n}")), [n]).unwrap());
            }
        }
        Op::Pass { .. } | Op::Crash => {}
    }
}

/// Other content, the same size, and the mtime it had.
fn rewrite_unseen(path: &Path, byte: u8) {
    let Ok(meta) = fs::metadata(path) else { return };
    if meta.is_file() {
        fs::write(path, vec![byte; meta.len() as usize]).unwrap();
        filetime::set_file_mtime(path, FileTime::from_last_modification_time(&meta)).unwrap();
    }
}

/// Removes what stands at `rel`, and every file or link above it.
fn make_room(tree: &Tree, rel: &str) {
    let mut above = tree.run();
    for name in rel.split('/') {
        if fs::symlink_metadata(&above).is_ok_and(|meta| !meta.is_dir()) {
            remove(&above);
        }
        drop(fs::create_dir(&above));
        above.push(name);
    }
    if above.is_dir() {
        remove(&above);
    }
}

fn remove(path: &Path) {
    if fs::remove_file(path).is_err() {
        drop(fs::remove_dir_all(path));
    }
}

/// What a person would say is in the folder.
fn on_disk(dir: &Path, prefix: &str, found: &mut Volume) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.dirs.insert(key(&name));
            on_disk(&entry.path(), &name, found);
        } else if fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file()) {
            found.files.insert(key(&name), fs::read(entry.path()).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn once_it_is_quiet_the_store_holds_what_is_on_disk(ops in prop::collection::vec(op(), 1..40)) {
        let mut world = World::new();
        for op in &ops {
            world.act(op);
        }
        world.settle();
        let mut disk = Volume::default();
        on_disk(&world.tree.run(), RUN, &mut disk);
        prop_assert_eq!(&world.store.files, &disk.files);
        prop_assert_eq!(&world.store.dirs, &disk.dirs);
    }
}
