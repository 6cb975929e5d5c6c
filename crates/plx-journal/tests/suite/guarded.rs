//! What may not be deleted, and what must go first.

use crate::tree::{RUN, Tree, commit, deletes, key, puts, short};
use plx_contract::RelPath;
use plx_journal::{Changes, HoldReason, Journal, RootState, Seen};
use std::collections::BTreeMap;
use std::fs;

/// A tree of `count` files that are all stored.
fn stored(count: usize) -> (Tree, Journal) {
    let tree = Tree::new();
    for n in 0..count {
        tree.write(&format!("outputs/{n:02}"), "x");
    }
    let mut journal = Journal::in_memory(None, None);
    let changes = journal.plan(&tree.scan());
    commit(&mut journal, &changes);
    (tree, journal)
}

fn held(changes: &Changes) -> BTreeMap<HoldReason, usize> {
    changes.held.clone().map(|held| held.reasons).unwrap_or_default()
}

fn run_key(rel: &str) -> RelPath {
    key(&format!("{RUN}/{rel}"))
}

#[test]
fn most_of_a_tree_goes_only_when_two_later_scans_agree() {
    let (tree, mut journal) = stored(30);
    fs::remove_dir_all(tree.at("outputs")).unwrap();
    for _ in 0..2 {
        let changes = journal.plan(&tree.scan());
        assert_eq!(held(&changes), [(HoldReason::MostOfTree, 30)].into());
        assert!(changes.is_empty(), "the folder stays as well: {changes:?}");
        assert!(changes.held.unwrap().to_string().contains("30 because more than half"));
    }
    let changes = journal.plan(&tree.scan());
    assert_eq!((deletes(&changes).len(), held(&changes).len()), (30, 0));
    assert_eq!(short(&changes.dir_deletes), ["outputs".to_owned()].into());
    commit(&mut journal, &changes);
    assert!(journal.plan(&tree.scan()).is_empty());
}

#[test]
fn a_root_that_went_away_deletes_nothing_however_often_it_is_seen_so() {
    let (tree, mut journal) = stored(3);
    fs::remove_dir_all(tree.run()).unwrap();
    for _ in 0..5 {
        let changes = journal.plan(&tree.scan());
        assert!(changes.is_empty());
        assert_eq!(held(&changes), [(HoldReason::RootMissing, 3)].into());
    }
}

#[test]
fn an_unreadable_root_and_an_unscanned_one_delete_nothing() {
    let (tree, mut journal) = stored(3);
    let mut seen = Seen { files: BTreeMap::new(), ..tree.scan() };
    seen.roots[0].state = RootState::Unreadable("Input/output error".to_owned());
    assert_eq!(held(&journal.plan(&seen)), [(HoldReason::RootUnreadable, 3)].into());
    seen.roots.clear();
    assert_eq!(held(&journal.plan(&seen)), [(HoldReason::NotScanned, 3)].into());
}

#[test]
fn another_device_under_the_root_deletes_nothing_even_after_a_restart() {
    let tree = Tree::new();
    let dir = tree.art().join(".plx/pod");
    for n in 0..3 {
        tree.write(&format!("outputs/{n}"), "x");
    }
    let mut journal = Journal::open(&dir, None, None).unwrap();
    let changes = journal.plan(&tree.scan());
    commit(&mut journal, &changes);
    fs::remove_dir_all(tree.at("outputs")).unwrap();
    let mut other = tree.scan();
    other.roots[0].state = RootState::Present { dev: 1 << 40 };
    for _ in 0..2 {
        let changes = journal.plan(&other);
        assert!(changes.deletes.is_empty() && changes.dir_deletes.is_empty(), "{changes:?}");
        assert_eq!(held(&changes), [(HoldReason::OtherDevice, 3)].into());
        journal = Journal::open(&dir, None, None).unwrap();
    }
    assert_eq!(
        deletes(&journal.plan(&tree.scan())).len(),
        3,
        "the old device is back, and the files are gone"
    );
}

#[test]
fn nothing_below_what_could_not_be_read_is_taken_for_deleted() {
    let (tree, mut journal) = stored(2);
    tree.write("outputs-2/a", "x");
    let changes = journal.plan(&tree.scan());
    commit(&mut journal, &changes);
    // As a scan by somebody who may not read `outputs`.
    let mut seen = tree.scan();
    seen.files.clear();
    seen.dirs.retain(|key, _| key.as_str().ends_with("outputs"));
    seen.unread = vec![run_key("outputs")];
    let changes = journal.plan(&seen);
    assert_eq!(
        deletes(&changes),
        ["outputs-2/a".to_owned()].into(),
        "a name that only begins alike is not below it"
    );
    assert_eq!(held(&changes), [(HoldReason::Unreadable, 2)].into());
    seen.unread = vec![RelPath::root()];
    assert_eq!(journal.plan(&seen).deletes, []);
}

#[test]
fn a_file_that_became_a_folder_and_the_reverse_are_deleted_before_the_put() {
    let tree = Tree::new();
    for name in ["file", "dir/x", "dir/sub/y", "dir-z", "kept/k"] {
        tree.write(name, "1");
    }
    let mut journal = Journal::in_memory(None, None);
    let changes = journal.plan(&tree.scan());
    commit(&mut journal, &changes);
    fs::remove_file(tree.at("file")).unwrap();
    tree.write("file/below", "2");
    fs::remove_dir_all(tree.at("dir")).unwrap();
    tree.write("dir", "2");
    let changes = journal.plan(&tree.scan());
    let blocking: Vec<_> = changes
        .blocking
        .iter()
        .map(|delete| {
            let names = short([&delete.key, delete.for_key.as_ref().unwrap()]);
            (names.into_iter().rev().collect::<Vec<_>>().join(" for "), delete.is_dir)
        })
        .collect();
    let wanted = [
        ("dir/sub/y for dir", false),
        ("dir/x for dir", false),
        ("file", false),
        ("dir/sub for dir", true),
        ("dir", true),
    ];
    assert_eq!(blocking, wanted.map(|(text, is_dir)| (text.to_owned(), is_dir)));
    assert!(changes.deletes.is_empty() && changes.dir_deletes.is_empty() && changes.held.is_none());
    assert_eq!(puts(&changes), ["dir".to_owned(), "file/below".to_owned()].into());
    let blocked = |rel: &str| changes.blocking.iter().filter(|delete| delete.blocks(&run_key(rel))).count();
    assert_eq!([blocked("file/below"), blocked("file"), blocked("dir"), blocked("dir-z")], [1, 1, 4, 0]);
    commit(&mut journal, &changes);
    assert!(journal.plan(&tree.scan()).is_empty());
}

#[test]
fn what_stands_in_the_way_is_not_held_by_the_guard() {
    let (tree, mut journal) = stored(30);
    fs::remove_dir_all(tree.at("outputs")).unwrap();
    tree.write("outputs", "now a file");
    let changes = journal.plan(&tree.scan());
    assert_eq!((changes.blocking.len(), changes.held), (31, None));
}

#[test]
fn a_file_that_never_landed_is_never_deleted() {
    let (tree, mut journal) = stored(1);
    tree.write("outputs/failed", "x");
    assert_eq!(puts(&journal.plan(&tree.scan())), ["outputs/failed".to_owned()].into());
    assert_eq!(puts(&journal.plan(&tree.scan())), ["outputs/failed".to_owned()].into(), "until it lands");
    fs::remove_file(tree.at("outputs/failed")).unwrap();
    assert!(journal.plan(&tree.scan()).is_empty());
}

#[test]
fn a_failed_delete_is_planned_again() {
    let (tree, mut journal) = stored(2);
    fs::remove_file(tree.at("outputs/00")).unwrap();
    assert_eq!(deletes(&journal.plan(&tree.scan())).len(), 1);
    assert_eq!(deletes(&journal.plan(&tree.scan())).len(), 1);
    journal.removed(&run_key("outputs/00")).unwrap();
    assert!(journal.plan(&tree.scan()).is_empty());
}

#[test]
fn a_related_run_has_its_own_root_and_its_keys_have_no_prefix_of_the_folder() {
    let tree = Tree::new();
    let related = tree.art().join("_related_runs/other/outputs");
    fs::create_dir_all(&related).unwrap();
    fs::write(related.join("x"), "x").unwrap();
    let mut journal = Journal::in_memory(None, None);
    let changes = journal.plan(&tree.scan());
    assert_eq!(puts(&changes), ["other/outputs/x".to_owned()].into());
    assert_eq!(&*changes.puts[0].base, tree.art().join("_related_runs"));
    commit(&mut journal, &changes);
    fs::remove_file(related.join("x")).unwrap();
    assert_eq!(deletes(&journal.plan(&tree.scan())), ["other/outputs/x".to_owned()].into());
}
