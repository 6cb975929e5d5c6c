//! Trees and snapshots.

use plx_testkit::{Snapshot, Tree};

#[test]
fn the_same_seed_makes_the_same_tree() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tree = Tree::new(7)
        .small(150, 10)
        .file("big/model.bin", 3_000_001)
        .empty_file("empty")
        .odd_names()
        .dirs_only("a/b");
    let written = tree.write_to(one.path()).unwrap();
    tree.clone().write_to(two.path()).unwrap();
    let read = Snapshot::of(one.path()).unwrap();
    assert_eq!(read.diff_with_dirs(&written), "");
    assert_eq!(read, Snapshot::of(two.path()).unwrap());
    assert_eq!(read.files["big/model.bin"].size, 3_000_001);
    assert!(read.empty_dirs.contains("a/b"));
    assert_eq!(read.under("small").files.len(), 150);

    let other = Tree::new(8).file("big/model.bin", 3_000_001).write_to(two.path()).unwrap();
    assert_ne!(other.files["big/model.bin"], written.files["big/model.bin"]);
}

#[test]
fn a_difference_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let before = Tree::new(1).file("a", 5).file("b", 5).file("c", 5).write_to(folder.path()).unwrap();
    std::fs::write(folder.path().join("a"), "longer than it was").unwrap();
    std::fs::write(folder.path().join("b"), "12345").unwrap();
    std::fs::remove_file(folder.path().join("c")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("d")).unwrap();
    std::fs::create_dir(folder.path().join("e")).unwrap();
    let now = Snapshot::of(folder.path()).unwrap();
    let diff = now.diff_with_dirs(&before);
    assert_eq!(
        diff,
        "~ \"a\" has 18 bytes instead of 5\n~ \"b\" has other bytes\n- \"c\" is missing\n\
         + \"d\" should not be there\n+ empty folder \"e\" should not be there"
    );
    assert_eq!(now.without(|path| path != "a").files.len(), 1);
}
