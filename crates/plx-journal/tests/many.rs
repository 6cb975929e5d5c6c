//! A scan of many files, alone in its process, because it looks at the memory of all of it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use plx_journal::{Journal, Root, ScanRules, StoredAs, scan};
use std::fs;

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn twenty_thousand_files_are_scanned_planned_and_remembered_in_little_memory() {
    let temp = tempfile::tempdir().unwrap();
    let run = temp.path().join("artifacts/8aac02e3a62a4f0aaa257c59da5eab80");
    for dir in 0..100 {
        let dir = run.join(format!("outputs/checkpoint-{dir:04}"));
        fs::create_dir_all(&dir).unwrap();
        (0..200).for_each(|n| drop(fs::File::create(dir.join(format!("shard-{n:05}.bin"))).unwrap()));
    }
    let before = resident();
    let rules = ScanRules { boundary: temp.path().join("artifacts"), skip_git: true };
    let mut journal = Journal::open(&temp.path().join("state"), None, None).unwrap();
    let seen = scan(&[Root::of(&run)], &rules);
    let changes = journal.plan(&seen);
    for put in &changes.puts {
        journal.landed(&put.key, &put.base, put.stat, i64::MAX, StoredAs::default()).unwrap();
    }
    journal.flush().unwrap();
    let again = journal.plan(&seen);
    let used = resident().saturating_sub(before);
    assert_eq!((seen.files.len(), changes.puts.len(), again.unchanged), (20_000, 20_000, 20_000));
    // One scan, one whole plan and the journal at once; a pod has 60 MiB by default.
    assert!(used < 32 * 1024, "{used} KiB");
}
