use super::*;
use std::fs;

const STORE: &str = "http://here s3://bucket/base";

fn rel(path: &str) -> RelPath {
    RelPath::parse(path).expect("safe")
}

fn version(size: u64) -> Stat {
    Stat { dev: 1, ino: 2, size, mtime_ns: 3, ctime_ns: -4, mode: 0o100_644 }
}

fn begin(ledger: &Ledger, key: &str, size: u64) -> u64 {
    let number = ledger.intend(&rel(key), version(size), 8, 99);
    ledger.opened(number, format!("id-{number}"));
    number
}

fn part(ledger: &Ledger, number: u64, index: usize) {
    ledger.part(number, index, &PartId { content_id: format!("\"e{index}\"") });
}

fn reopened(path: &Path) -> Ledger {
    let (ledger, note) = Ledger::open(path, STORE).expect("opens");
    assert_eq!(note, None);
    ledger
}

#[test]
fn what_is_in_flight_is_known_to_the_next_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(".plx/pod/uploads.jsonl");
    let ledger = reopened(&path);
    assert!(!ledger.is_inherited());
    let (done, open) = (begin(&ledger, "R/done", 10), begin(&ledger, "R/open", 20));
    ledger.over(done);
    part(&ledger, open, 0);
    part(&ledger, open, 2);
    ledger.completing(open, Some("before".to_owned()));
    ledger.intend(&rel("R/asked"), version(30), 8, 1);
    drop(ledger);
    let ledger = reopened(&path);
    assert!(ledger.is_inherited());
    assert_eq!(ledger.flights().len(), 2);
    let flight = ledger.find(&rel("R/open"), &version(20)).expect("in flight");
    assert_eq!((flight.part, flight.read_began_ns, flight.id.as_deref()), (8, 99, Some("id-2")));
    assert_eq!(flight.parts.keys().copied().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(flight.completing, Some(Some("before".to_owned())));
    for (key, size) in [("R/open", 21), ("R/asked", 30), ("R/done", 10)] {
        assert!(ledger.find(&rel(key), &version(size)).is_none(), "{key} {size}");
    }
    assert_eq!(begin(&ledger, "R/new", 1), 4, "numbers go on");
}

#[test]
fn a_file_that_is_cut_at_any_byte_loses_no_more_than_its_last_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("uploads.jsonl");
    let ledger = reopened(&path);
    let number = begin(&ledger, "R/a", 10);
    (0..3).for_each(|index| part(&ledger, number, index));
    drop(ledger);
    let whole = fs::read(&path).expect("written");
    let starts = || whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).expect("writes");
        let lines = starts().filter(|start| *start <= cut).count();
        let ledger = reopened(&path);
        let flights = ledger.flights();
        let known = flights.first().map(|flight| (flight.id.is_some(), flight.parts.len()));
        assert_eq!(
            known,
            [
                None,
                None,
                Some((false, 0)),
                Some((true, 0)),
                Some((true, 1)),
                Some((true, 2)),
                Some((true, 3))
            ][lines]
        );
        // What is appended stands on a line of its own.
        let next = begin(&ledger, "R/b", 5);
        assert_eq!(reopened(&path).find(&rel("R/b"), &version(5)).map(|flight| flight.number), Some(next));
    }
}

#[test]
fn a_ledger_of_another_store_is_set_aside_and_never_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("uploads.jsonl");
    begin(&reopened(&path), "R/a", 10);
    let (ledger, note) = Ledger::open(&path, "http://there s3://bucket/base").expect("opens");
    assert!(note.expect("a note").contains("is about http://here"));
    assert!(ledger.flights().is_empty() && !ledger.is_inherited());
    assert!(fs::read_to_string(folder.path().join("uploads.jsonl.bad")).expect("kept").contains("R/a"));
    for garbage in ["{\"version\":9,\"store\":\"\"}\n", "garbage\n", "[]\n"] {
        fs::write(&path, garbage).expect("writes");
        let (ledger, note) = Ledger::open(&path, STORE).expect("opens");
        assert!(note.is_some() && ledger.flights().is_empty(), "{garbage}");
    }
}

#[test]
fn a_ledger_that_is_idle_does_not_grow_and_is_removed_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("uploads.jsonl");
    let ledger = reopened(&path);
    let mut longest = 0;
    for _ in 0..100 {
        let number = begin(&ledger, "R/a", 10);
        (0..100).for_each(|index| part(&ledger, number, index));
        ledger.over(number);
        longest = longest.max(fs::metadata(&path).expect("there").len());
    }
    assert!(longest < 80 << 10, "{longest}");
    let open = begin(&ledger, "R/a", 10);
    ledger.close();
    assert!(path.exists(), "one is in flight");
    ledger.over(open);
    ledger.close();
    assert!(!path.exists());
}

#[test]
fn a_disk_that_is_full_leaves_the_memory_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("uploads.jsonl");
    let ledger = reopened(&path);
    let number = begin(&ledger, "R/a", 10);
    ledger.held().lines.as_mut().expect("a file").fill_disk();
    part(&ledger, number, 0);
    assert_eq!(ledger.flights()[0].parts.len(), 1);
    assert_eq!(reopened(&path).flights()[0].parts.len(), 0);
}

#[test]
fn a_line_that_is_missing_costs_nothing_of_what_comes_behind_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("uploads.jsonl");
    let ledger = reopened(&path);
    let first = begin(&ledger, "R/a", 10);
    part(&ledger, first, 0);
    ledger.completing(first, None);
    let second = begin(&ledger, "R/b", 20);
    part(&ledger, second, 0);
    drop(ledger);
    let whole = fs::read_to_string(&path).expect("written");
    for missing in 1..5 {
        let lines = whole.lines().enumerate().filter(|(at, _)| *at != missing);
        fs::write(&path, lines.map(|(_, line)| format!("{line}\n")).collect::<String>()).expect("writes");
        let ledger = reopened(&path);
        let flight = ledger.find(&rel("R/b"), &version(20)).expect("in flight");
        assert_eq!((flight.number, flight.parts.len()), (second, 1), "line {missing}");
        let flights = ledger.flights();
        assert_eq!(flights.len(), 2, "line {missing}");
        // Without its intent it is known all the same, to be aborted.
        assert_eq!((flights[0].key.as_str(), flights[0].number), ("R/a", first));
        assert_eq!(flights[0].doomed, missing == 1);
        assert_eq!(flights[0].id.is_some(), missing != 2);
        assert_eq!(begin(&ledger, "R/c", 1), 3, "a number is used once");
    }
    // As written before the key stood in the line of the id: it is passed over.
    let old = whole.lines().enumerate().filter(|(at, _)| *at != 1);
    let old: String = old.map(|(_, line)| format!("{}\n", line.replace(r#","key":"R/a""#, ""))).collect();
    fs::write(&path, old).expect("writes");
    assert_eq!(reopened(&path).flights().iter().map(|flight| flight.number).collect::<Vec<_>>(), [second]);
}

#[test]
fn a_header_that_could_not_be_written_is_written_with_the_next_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("uploads.jsonl");
    let ledger = reopened(&path);
    let number = begin(&ledger, "R/a", 10);
    ledger.held().lines.as_mut().expect("a file").lose_header();
    ledger.over(number);
    begin(&ledger, "R/b", 20);
    assert!(reopened(&path).find(&rel("R/b"), &version(20)).is_some());
}
