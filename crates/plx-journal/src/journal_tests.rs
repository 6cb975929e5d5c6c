//! Tests that need the inside of the journal: crashes, a full disk, what the file holds.

use super::*;
use crate::plan::Reason;
use crate::seen::{Root, RootState, Seen, SeenFile, SeenRoot};
use std::io::Write as _;

const SECOND: i64 = 1_000_000_000;

fn key(raw: &str) -> RelPath {
    RelPath::parse(raw).expect("safe")
}

fn stat(ino: u64) -> Stat {
    Stat { dev: 7, ino, size: 3, mtime_ns: SECOND + 1, ctime_ns: SECOND + 1, mode: 0o100_644 }
}

/// A scan of one root that found these files.
fn seen(files: &[(&str, Stat)]) -> Seen {
    let root = Root { dir: "/ctx/R".into(), base: "/ctx".into() };
    let base: Arc<Path> = Arc::from(Path::new("/ctx"));
    let file = |(raw, stat): &(&str, Stat)| {
        (key(raw), SeenFile { path: Path::new("/ctx").join(raw), base: Arc::clone(&base), stat: *stat })
    };
    Seen {
        roots: vec![SeenRoot { root, state: RootState::Present { dev: 7 } }],
        files: files.iter().map(file).collect(),
        ..Seen::default()
    }
}

fn land(journal: &mut Journal, raw: &str, stat: Stat) -> Result<(), JournalError> {
    journal.landed(&key(raw), Path::new("/ctx"), stat, 9 * SECOND, StoredAs::default())
}

fn stored(journal: &Journal) -> Vec<String> {
    journal.stored().map(ToString::to_string).collect()
}

#[test]
fn what_landed_is_still_known_after_a_restart() {
    let dir = tempfile::tempdir().expect("temp");
    let mut journal = Journal::open(dir.path(), None, None).expect("opens");
    land(&mut journal, "R/a", stat(1)).expect("writes");
    land(&mut journal, "R/b", stat(2)).expect("writes");
    land(&mut journal, "R/b", stat(3)).expect("writes");
    land(&mut journal, "R/c", stat(4)).expect("writes");
    journal.removed(&key("R/a")).expect("writes");
    journal.dir_made(&key("R/d"), Path::new("/ctx")).expect("writes");
    journal.dir_made(&key("R/e"), Path::new("/ctx")).expect("writes");
    journal.dir_removed(&key("R/d")).expect("writes");
    drop(journal); // no flush: a crash of the process loses nothing that was appended
    let mut journal = Journal::open(dir.path(), None, None).expect("opens");
    let changes = journal.plan(&seen(&[("R/b", stat(3)), ("R/c", stat(5))]));
    assert_eq!((changes.unchanged, changes.puts.len(), changes.puts[0].reason), (1, 1, Reason::Changed));
    assert_eq!(changes.dir_deletes, [key("R/e")]);
    assert!(journal.notes().is_empty());
}

#[test]
fn a_last_line_torn_at_any_byte_costs_that_line_only() {
    let dir = tempfile::tempdir().expect("temp");
    let file = dir.path().join(log::NAME);
    let mut journal = Journal::open(dir.path(), None, None).expect("opens");
    land(&mut journal, "R/a", stat(1)).expect("writes");
    let before = fs::read(&file).expect("reads").len();
    land(&mut journal, "R/naïve é", stat(2)).expect("writes");
    let whole = fs::read(&file).expect("reads");
    for length in before..whole.len() {
        fs::write(&file, &whole[..length]).expect("writes");
        let mut journal = Journal::open(dir.path(), None, None).expect("opens");
        assert_eq!((stored(&journal), journal.notes()), (vec!["R/a".to_owned()], &[] as &[Note]), "{length}");
        assert_eq!(fs::metadata(&file).expect("stat").len(), before as u64, "what was torn is cut off");
        land(&mut journal, "R/z", stat(3)).expect("writes");
        let journal = Journal::open(dir.path(), None, None).expect("opens");
        assert_eq!(stored(&journal), ["R/a", "R/z"], "{length}");
    }
}

#[test]
fn zeros_at_the_end_are_a_torn_line() {
    let dir = tempfile::tempdir().expect("temp");
    let mut journal = Journal::open(dir.path(), None, None).expect("opens");
    land(&mut journal, "R/a", stat(1)).expect("writes");
    let mut file = fs::OpenOptions::new().append(true).open(dir.path().join(log::NAME)).expect("opens");
    file.write_all(&[0; 4096]).expect("writes");
    let journal = Journal::open(dir.path(), None, None).expect("opens");
    assert_eq!((stored(&journal), journal.notes().len()), (vec!["R/a".to_owned()], 0));
}

#[test]
fn a_journal_that_cannot_be_used_is_kept_and_everything_is_uploaded_again() {
    let good = "{\"version\":1}\n";
    for (text, why) in [
        (format!("{good}not json\n{{\"op\":\"rm\",\"key\":\"R/a\"}}\n"), "line 2"),
        (format!("{good}{{\"op\":\"rm\",\"key\":\"../x\"}}\n"), "line 2: path `../x`"),
        ("{\"version\":2}\n".to_owned(), "version 2, wanted 1"),
        ("{\"vers".to_owned(), "first line"),
    ] {
        let dir = tempfile::tempdir().expect("temp");
        fs::write(dir.path().join(log::NAME), &text).expect("writes");
        let had =
            FsFile::parse("{\"file_mapping\":{\"R/gone\":[\"/ctx\",\"2023-11-14T22:13:20+00:00\",\"\"]}}");
        let mut journal = Journal::open(dir.path(), None, had.ok().as_ref()).expect("opens");
        let note = journal.notes()[0].to_string();
        assert!(note.contains(why) && note.contains("journal.jsonl.bad"), "{note}");
        assert_eq!(fs::read_to_string(dir.path().join("journal.jsonl.bad")).expect("kept"), text);
        let changes = journal.plan(&seen(&[("R/a", stat(1))]));
        assert_eq!((changes.puts.len(), changes.deletes.len()), (1, 0));
        land(&mut journal, "R/a", stat(1)).expect("writes");
        let again = Journal::open(dir.path(), None, None).expect("opens");
        assert_eq!((stored(&again), again.notes().len()), (vec!["R/a".to_owned()], 0));
    }
}

#[test]
fn journals_set_aside_do_not_overwrite_each_other() {
    let dir = tempfile::tempdir().expect("temp");
    for n in 0..12 {
        fs::write(dir.path().join(log::NAME), format!("{{\"version\":{}}}\n", n + 2)).expect("writes");
        Journal::open(dir.path(), None, None).expect("opens");
    }
    assert_eq!(fs::read_to_string(dir.path().join("journal.jsonl.bad")).expect("kept"), "{\"version\":2}\n");
    assert_eq!(fs::read_dir(dir.path()).expect("reads").count(), 10, "nine kept, one in use");
}

#[test]
fn an_empty_journal_is_none_so_the_hand_over_counts() {
    let dir = tempfile::tempdir().expect("temp");
    fs::write(dir.path().join(log::NAME), "").expect("writes");
    let had = FsFile::parse("{\"file_mapping\":{\"R/a\":[\"/ctx\",\"2023-11-14T22:13:20+00:00\",\"\"]}}");
    let journal = Journal::open(dir.path(), None, had.ok().as_ref()).expect("opens");
    assert_eq!(stored(&journal), ["R/a"]);
    drop(journal);
    let journal = Journal::open(dir.path(), None, Some(&FsFile::default())).expect("opens");
    assert_eq!(stored(&journal), ["R/a"], "the hand-over is in the journal now, which wins");
}

#[test]
fn a_full_disk_is_an_error_and_the_memory_is_right() {
    let dir = tempfile::tempdir().expect("temp");
    let mut journal = Journal::open(dir.path(), None, None).expect("opens");
    land(&mut journal, "R/a", stat(1)).expect("writes");
    journal.log().fill_disk();
    let error = land(&mut journal, "R/b", stat(2)).expect_err("the disk is full");
    assert!(error.to_string().contains("journal.jsonl"), "{error}");
    journal.removed(&key("R/a")).expect_err("the disk is full");
    let changes = journal.plan(&seen(&[("R/b", stat(2))]));
    assert!(changes.is_empty() && changes.unchanged == 1, "{changes:?}");
    // Space again: the next flush catches up.
    journal.flush().expect("writes");
    let journal = Journal::open(dir.path(), None, None).expect("opens");
    assert_eq!(stored(&journal), ["R/b"]);
}

#[test]
fn a_failed_write_leaves_whole_lines_only() {
    let dir = tempfile::tempdir().expect("temp");
    let path = dir.path().join(log::NAME);
    let mut journal = Journal::open(dir.path(), None, None).expect("opens");
    land(&mut journal, "R/a", stat(1)).expect("writes");
    journal.log().tear(b"{\"op\":\"put\",\"key\":\"R/hal");
    land(&mut journal, "R/b", stat(2)).expect("writes");
    let journal = Journal::open(dir.path(), None, None).expect("opens");
    assert_eq!(stored(&journal), ["R/a", "R/b"]);
    assert!(!fs::read_to_string(path).expect("reads").contains("R/hal"));
}

#[test]
fn a_log_far_longer_than_its_entries_is_rewritten() {
    let dir = tempfile::tempdir().expect("temp");
    let mut journal = Journal::open(dir.path(), None, None).expect("opens");
    for n in 0..1002 {
        land(&mut journal, "R/a", stat(n)).expect("writes");
    }
    journal.flush().expect("writes");
    assert_eq!(journal.log().lines(), 1002, "at the limit");
    land(&mut journal, "R/a", stat(5000)).expect("writes");
    journal.dir_made(&key("R/d"), Path::new("/ctx")).expect("writes");
    journal.flush().expect("writes");
    assert_eq!(journal.log().lines(), 1004, "two entries have a higher limit");
    land(&mut journal, "R/a", stat(5001)).expect("writes");
    journal.flush().expect("writes");
    assert_eq!(journal.log().lines(), 2);
    land(&mut journal, "R/b", stat(6)).expect("writes");
    let mut journal = Journal::open(dir.path(), None, None).expect("opens");
    let changes = journal.plan(&seen(&[("R/a", stat(5001)), ("R/b", stat(6))]));
    assert_eq!((changes.unchanged, changes.dir_deletes), (2, vec![key("R/d")]));
    assert_eq!(fs::read_dir(dir.path()).expect("reads").count(), 1, "no temporary file is left");
}

#[test]
fn a_state_that_never_settles_is_put_a_bounded_number_of_times() {
    let mut journal = Journal::in_memory(None, None);
    let future = Stat { ctime_ns: 100 * SECOND + 1, ..stat(1) };
    let mut puts = 0;
    while !journal.plan(&seen(&[("R/a", future)])).puts.is_empty() {
        puts += 1;
        assert!(puts < 10, "it must end");
        land(&mut journal, "R/a", future).expect("in memory");
    }
    assert_eq!(puts, 1 + i32::from(MAX_REPEATS));
    let changed = Stat { size: 4, ..future };
    land(&mut journal, "R/a", changed).expect("in memory");
    assert_eq!(journal.plan(&seen(&[("R/a", changed)])).puts[0].reason, Reason::Unsettled, "counted anew");
}

#[test]
fn a_file_read_within_the_tick_of_its_change_is_put_once_more() {
    let mut journal = Journal::in_memory(None, None);
    let state = stat(1);
    for (read_began, again) in [(state.ctime_ns + 5_000_000, true), (state.ctime_ns + 25_000_000, false)] {
        journal
            .landed(&key("R/a"), Path::new("/ctx"), state, read_began, StoredAs::default())
            .expect("in memory");
        let puts = journal.plan(&seen(&[("R/a", state)])).puts;
        assert_eq!(puts.iter().any(|put| put.reason == Reason::Unsettled), again);
    }
    // Whole seconds on both times: a clock of two seconds.
    let coarse = Stat { mtime_ns: SECOND, ctime_ns: SECOND, ..state };
    for (read_began, again) in [(2 * SECOND, true), (3 * SECOND + 1, false)] {
        journal
            .landed(&key("R/b"), Path::new("/ctx"), coarse, read_began, StoredAs::default())
            .expect("in memory");
        let puts = journal.plan(&seen(&[("R/a", state), ("R/b", coarse)])).puts;
        assert_eq!(!puts.is_empty(), again);
    }
}

/// A hand-over of files with the mtime that [`stat`] has.
fn handed(keys: &[&str]) -> FsFile {
    let entry = |key: &&str| format!("\"{key}\":[\"/ctx\",\"1970-01-01T00:00:01+00:00\",\"put\"]");
    let files: Vec<String> = keys.iter().map(entry).collect();
    FsFile::parse(&format!("{{\"file_mapping\":{{{}}}}}", files.join(","))).expect("valid")
}

#[test]
fn a_hand_over_that_comes_late_is_taken_once_and_what_is_known_is_newer() {
    let dir = tempfile::tempdir().expect("temp");
    let mut journal = Journal::open(dir.path(), None, None).expect("opens");
    let changed = Stat { mtime_ns: 5 * SECOND, ..stat(1) };
    land(&mut journal, "R/sent", changed).expect("writes");
    drop(journal);
    let mut journal = Journal::open(dir.path(), None, None).expect("opens");
    assert!(journal.awaits_hand_over(), "a restart in between is none of its business");
    let fs = handed(&["R/sent", "R/had", "R/gone", "R/own"]);
    journal.hand_over(None, &fs, |key| key.as_str() == "R/own").expect("writes");
    let now = seen(&[("R/sent", stat(1)), ("R/had", stat(2)), ("R/own", stat(3))]);
    let changes = journal.plan(&now);
    let puts: Vec<_> = changes.puts.iter().map(|put| (put.key.as_str(), put.reason)).collect();
    assert_eq!(puts, [("R/own", Reason::New), ("R/sent", Reason::Changed)]);
    assert_eq!(changes.deletes.len(), 1, "what init fetched and main deleted");
    // What is forgotten from now on is forgotten for good: the store may have lost it, and the record is older.
    journal.removed(&key("R/had")).expect("writes");
    drop(journal);
    let mut journal = Journal::open(dir.path(), None, Some(&fs)).expect("opens");
    assert!(!journal.awaits_hand_over());
    journal.hand_over(None, &fs, |_| false).expect("writes");
    assert_eq!(stored(&journal), ["R/gone", "R/sent"]);
}

#[test]
fn no_hand_over_is_taken_where_one_was_or_where_a_journal_was_lost() {
    let dir = tempfile::tempdir().expect("temp");
    drop(Journal::open(dir.path(), None, Some(&handed(&["R/a"]))).expect("opens"));
    let mut journal = Journal::open(dir.path(), None, None).expect("opens");
    assert!(!journal.awaits_hand_over());
    // A rewrite keeps that.
    (0..2000).for_each(|_| drop(land(&mut journal, "R/b", stat(1))));
    journal.flush().expect("writes");
    drop(journal);
    assert!(!Journal::open(dir.path(), None, None).expect("opens").awaits_hand_over());
    fs::write(dir.path().join(log::NAME), "{}").expect("writes");
    let journal = Journal::open(dir.path(), None, Some(&handed(&["R/a"]))).expect("opens");
    assert!(!journal.awaits_hand_over() && stored(&journal).is_empty());
    drop(journal);
    assert!(!Journal::open(dir.path(), None, None).expect("opens").awaits_hand_over());
}
