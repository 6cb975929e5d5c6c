//! The captured decisions of Polyaxon's watcher, step by step, beside ours.

use crate::tree::{RUN, T0, Tree, commit, deletes, puts, run, set_mtime, short};
use plx_journal::{FsFile, Journal, ProblemKind};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

const INIT: &str = include_str!("../fixtures/init.fs");
const TIMELINE: &str = include_str!("../fixtures/timeline.json");

/// Files put, files deleted, folders made, folders removed.
type Decision = [BTreeSet<String>; 4];

/// Where we decide otherwise: the step, what we do, and why.
const DIFFERENCES: [(usize, [&[&str]; 4], &str); 8] = [
    (0, [&[], &[], &[], &[]], "`.git` of the hand-over is left alone, not removed from the store"),
    (2, [&["outputs/model.pt"], &[], &[], &[]], "a rewrite with the same mtime is put"),
    (3, [&["outputs/model.pt"], &[], &[], &[]], "an older file is put"),
    (9, [&[], &["outputs/link"], &[], &[]], "a link to a folder is not stored"),
    (10, [&[], &[], &[], &[]], "a dangling link is a warning and stops nothing"),
    (11, [&[], &[], &[], &[]], "nothing to remove for a link that was never stored"),
    (12, [&["outputs/lost.txt"], &[], &["zz"], &[]], "what was scanned beside a dangling link is put"),
    (13, [&[], &[], &[], &[]], "already stored in the step before"),
];

pub fn initial_tree() -> Tree {
    let tree = Tree::new();
    tree.write_at(".git/HEAD", "ref", T0, 0);
    tree.write_at("events/metric/loss.plx", "loss", T0 + 3, 0);
    tree.write_at("outputs/model.pt", "model", T0, 250_000);
    tree.write_at("outputs/empty.txt", "", T0 + 2, 0);
    tree.write_at("outputs/sub/a.txt", "a", T0 + 1, 123_456);
    fs::create_dir(tree.at("outputs/emptydir")).unwrap();
    for dir in [".git", "events", "events/metric", "outputs", "outputs/emptydir", "outputs/sub"] {
        set_mtime(&tree.at(dir), T0, 0);
    }
    tree
}

fn act(tree: &Tree, step: usize) {
    let broken = || fs::remove_file(tree.at("outputs/broken")).unwrap();
    match step {
        0 => {}
        1 => tree.write_at("outputs/model.pt", "model2", T0 + 10, 0),
        2 => tree.write_at("outputs/model.pt", "model3", T0 + 10, 0),
        3 => {
            tree.write_at("outputs/.restored", "model1", T0 - 99, 0);
            fs::rename(tree.at("outputs/.restored"), tree.at("outputs/model.pt")).unwrap();
        }
        4 => tree.write_at("outputs/new.bin", "new", T0 + 20, 0),
        5 => fs::remove_file(tree.at("outputs/new.bin")).unwrap(),
        6 => fs::rename(tree.at("outputs/sub"), tree.at("outputs/sub2")).unwrap(),
        7 => fs::remove_dir_all(tree.at("outputs/sub2")).unwrap(),
        8 => {
            fs::write(tree.art().join("target"), "t").unwrap();
            tree.link(tree.art().join("target"), "outputs/link");
        }
        9 => {
            fs::remove_file(tree.at("outputs/link")).unwrap();
            fs::create_dir(tree.art().join("folder")).unwrap();
            fs::write(tree.art().join("folder/inside"), "i").unwrap();
            tree.link(tree.art().join("folder"), "outputs/dlink");
        }
        10 => tree.link("nowhere", "outputs/broken"),
        11 => {
            broken();
            fs::remove_file(tree.at("outputs/dlink")).unwrap();
        }
        12 => {
            tree.write_at("outputs/lost.txt", "lost", T0 + 40, 0);
            fs::create_dir(tree.at("zz")).unwrap();
            tree.link("nowhere", "zz/broken");
        }
        13 => fs::remove_file(tree.at("zz/broken")).unwrap(),
        14 => {
            let related = tree.art().join("_related_runs/otherrun/outputs");
            fs::create_dir_all(&related).unwrap();
            fs::write(related.join("x.txt"), "x").unwrap();
        }
        15 => tree.write_at("outputs/é ü/naïve file.txt", "n", T0 + 30, 0),
        _ => panic!("a step that is not known"),
    }
}

fn reference(step: &Value) -> Decision {
    ["put_files", "rm_files", "put_dirs", "rm_dirs"].map(|name| {
        let list = step[name].as_array().cloned().unwrap_or_default();
        let prefix = format!("{RUN}/");
        let of =
            |entry: &Value| entry[1].as_str().map(|key| key.strip_prefix(&prefix).unwrap_or(key).to_owned());
        list.iter().filter_map(of).collect()
    })
}

#[test]
fn we_decide_as_the_reference_but_for_the_listed_differences() {
    let tree = initial_tree();
    let timeline: Value = serde_json::from_str(TIMELINE).unwrap();
    let mut journal = Journal::in_memory(Some(&run()), Some(&FsFile::parse(INIT).unwrap()));
    let steps = timeline["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 16);
    for (number, step) in steps.iter().enumerate() {
        act(&tree, number);
        let seen = tree.scan();
        let changes = journal.plan(&seen);
        let ours = [puts(&changes), deletes(&changes), short(&changes.dirs), short(&changes.dir_deletes)];
        let (wanted, why) = match DIFFERENCES.iter().find(|row| row.0 == number) {
            Some((_, sets, why)) => (sets.map(|set| set.iter().map(|&key| key.to_owned()).collect()), *why),
            None => (reference(step), "as the reference"),
        };
        assert_eq!(ours, wanted, "step {number} ({}): {why}", step["step"]);
        let dangling = matches!(number, 10 | 12);
        assert_eq!(
            seen.problems.iter().any(|p| p.kind == ProblemKind::DanglingLink),
            dangling,
            "step {number}"
        );
        assert_eq!(changes.held, None, "step {number}");
        commit(&mut journal, &changes);
        let again = journal.plan(&tree.scan());
        assert!(again.is_empty(), "after step {number} nothing is left to do: {again:?}");
    }
}

#[test]
fn a_file_of_the_hand_over_that_is_rewritten_after_the_first_scan_shows_even_with_its_mtime_put_back() {
    let tree = initial_tree();
    let mut journal = Journal::in_memory(Some(&run()), Some(&FsFile::parse(INIT).unwrap()));
    let mut seen = tree.scan();
    seen.at_ns = crate::tree::later(); // as if the download lay a while back
    assert_eq!(puts(&journal.plan(&seen)), BTreeSet::new());
    tree.write_at("outputs/model.pt", "MODEL", T0, 250_000);
    assert_eq!(puts(&journal.plan(&tree.scan())), ["outputs/model.pt".to_owned()].into());
}

#[test]
fn a_hand_over_knows_other_runs_but_their_absence_deletes_nothing() {
    let tree = initial_tree();
    let had = FsFile::parse(include_str!("../fixtures/16.fs")).unwrap();
    let mut journal = Journal::in_memory(Some(&run()), Some(&had));
    fs::create_dir_all(tree.art().join("_related_runs/otherrun")).unwrap();
    let changes = journal.plan(&tree.scan());
    assert!(!deletes(&changes).contains("otherrun/outputs/x.txt"), "{changes:?}");
    assert!(deletes(&changes).contains("outputs/lost.txt"), "{changes:?}");
    let x = tree.art().join("_related_runs/otherrun/outputs/x.txt");
    fs::create_dir(x.parent().unwrap()).unwrap();
    fs::write(&x, "x").unwrap();
    set_mtime(&x, T0, 0);
    assert!(!puts(&journal.plan(&tree.scan())).contains("otherrun/outputs/x.txt"), "known and unchanged");
}

#[test]
fn a_hand_over_written_with_a_trailing_slash_gets_the_runs_prefix_back() {
    let tree = initial_tree();
    let wrong = INIT
        .replace(&format!("{RUN}/"), "")
        .replace("[\"/tmp/plx-gen-ctx/artifacts\"", &format!("[\"/tmp/plx-gen-ctx/artifacts/{RUN}\""));
    let mut journal = Journal::in_memory(Some(&run()), Some(&FsFile::parse(&wrong).unwrap()));
    let changes = journal.plan(&tree.scan());
    assert!(changes.is_empty() && changes.unchanged == 4, "{changes:?}");
    fs::remove_file(tree.at("outputs/empty.txt")).unwrap();
    assert_eq!(deletes(&journal.plan(&tree.scan())), ["outputs/empty.txt".to_owned()].into());
}
