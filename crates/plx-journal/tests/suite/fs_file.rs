//! Polyaxon's `.fs`, to the byte.

use crate::timeline::initial_tree;
use crate::tree::{RUN, Tree};
use plx_contract::{Class, Classified};
use plx_journal::{FsEntry, FsFile, FsFileError, FsOp, Root, Underway};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[test]
fn every_captured_file_comes_out_as_it_went_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "fs") {
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(FsFile::parse(&text).unwrap().to_text(), text, "{}", path.display());
            count += 1;
        }
    }
    assert_eq!(count, 15);
}

#[test]
fn a_record_is_what_fswatch_writes() {
    let tree = initial_tree();
    let wanted = FsFile::parse(include_str!("../fixtures/init.fs")).unwrap();
    // A trailing slash makes no difference here.
    let record = FsFile::record(&Root::of(Path::new(&format!("{}/", tree.run().display()))));
    let set = |list: Vec<(String, FsEntry)>| list.into_iter().collect::<BTreeMap<_, _>>().into_iter();
    let base = tree.art().to_str().unwrap().to_owned();
    let moved = |list| {
        set(list).map(|(key, entry)| (key, FsEntry { base: base.clone(), ..entry })).collect::<Vec<_>>()
    };
    assert_eq!(set(record.dirs.clone()).collect::<Vec<_>>(), moved(wanted.dirs));
    assert_eq!(set(record.files.clone()).collect::<Vec<_>>(), moved(wanted.files));
    // And the reference's text, but for the order inside a folder.
    assert!(
        record.to_text().starts_with(&format!("{{\"dir_mapping\":{{\"{RUN}/.git\":[\"{base}\",\"2023-11-14"))
    );
}

#[test]
fn a_record_follows_links_and_leaves_out_what_is_ours_or_dangling() {
    let tree = Tree::new();
    tree.write("a", "a");
    tree.write(".plx-part.a", "half");
    tree.write(".plx/journal", "x");
    fs::create_dir(tree.art().join("elsewhere")).unwrap();
    fs::write(tree.art().join("elsewhere/b"), "b").unwrap();
    crate::tree::set_mtime(&tree.art().join("elsewhere/b"), 5, 7);
    tree.link(tree.art().join("elsewhere/b"), "link");
    tree.link(tree.art().join("elsewhere"), "folder");
    tree.link("nowhere", "dangling");
    tree.link("loop", "loop");
    let record = FsFile::record(&Root::of(&tree.run()));
    let names = |list: &[(String, FsEntry)]| list.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    assert_eq!(names(&record.files), [format!("{RUN}/a"), format!("{RUN}/link")]);
    assert_eq!(names(&record.dirs), [format!("{RUN}/folder")], "as a folder, not walked");
    assert_eq!((record.files[1].1.mtime_us, record.files[1].1.op), (5_000_007, FsOp::Put), "of the target");
}

#[test]
fn a_missing_root_is_an_empty_record_and_an_absent_file_is_none() {
    let tree = Tree::new();
    let record = FsFile::record(&Root::of(&tree.art().join("nothing")));
    assert_eq!(record.to_text(), "{}");
    assert!(FsFile::load(&tree.art().join(".fs")).unwrap().is_none());
}

#[test]
fn saving_replaces_in_one_step_and_leaves_nothing_beside_it() {
    let tree = initial_tree();
    let path = tree.art().join(".fs");
    fs::write(&path, "old").unwrap();
    let record = FsFile::record(&Root::of(&tree.run()));
    record.save(&path).unwrap();
    assert_eq!(FsFile::load(&path).unwrap(), Some(record.clone()));
    assert_eq!(fs::read_to_string(&path).unwrap(), record.to_text());
    assert_eq!(fs::read_dir(tree.art()).unwrap().count(), 2);
    let error = record.save(&tree.art().join("no/folder/.fs")).unwrap_err();
    assert!(matches!(error, FsFileError::Write { .. }) && error.to_string().contains("no/folder/.fs"));
}

#[test]
fn a_hand_over_that_is_being_made_shows_until_it_is_there_or_given_up() {
    let tree = initial_tree();
    let path = tree.art().join(".fs");
    assert!(!Underway::is(&path));
    let given_up = Underway::begin(&path).unwrap();
    assert!(Underway::is(&path));
    drop(given_up);
    assert!(!Underway::is(&path) && fs::read_dir(tree.art()).unwrap().count() == 1, "nothing is left of it");
    let underway = Underway::begin(&path).unwrap();
    let record = FsFile::record(&Root::of(&tree.run()));
    record.save(&path).unwrap();
    assert!(!Underway::is(&path), "it is there");
    drop(underway);
    assert_eq!(FsFile::load(&path).unwrap(), Some(record));
    // What a killed init left is locked by nobody.
    fs::write(tree.art().join(".plx-part..fs"), "").unwrap();
    assert!(!Underway::is(&path));
}

#[test]
fn a_malformed_file_is_a_configuration_error_that_names_it() {
    let tree = Tree::new();
    let path = tree.art().join(".fs");
    for bytes in
        [&b""[..], b"{\"file_mapping\":", b"\xff", b"{\"file_mapping\":{\"a\":[\"/\",\"x\",\"put\"]}}"]
    {
        fs::write(&path, bytes).unwrap();
        let error = FsFile::load(&path).unwrap_err();
        assert_eq!(error.class(), Class::Config);
        assert!(error.to_string().contains(path.to_str().unwrap()) && error.next_step().is_some(), "{error}");
    }
    // To open a pipe takes until somebody writes into it.
    for name in [".fs", ".plx-part..fs"] {
        fs::remove_file(tree.art().join(name)).ok();
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, tree.art().join(name), fifo, mode, 0).unwrap();
    }
    assert!(matches!(FsFile::load(&path), Err(FsFileError::Read { .. })));
    assert!(!Underway::is(&path));
}
