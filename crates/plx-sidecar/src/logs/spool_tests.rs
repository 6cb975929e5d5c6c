use super::*;
use std::path::Path;

fn run() -> RunUuid {
    RunUuid::new("R").unwrap()
}

fn open(folder: &Path) -> Spool {
    Spool::open(&Layout::under(folder), &run(), "pod-1").unwrap()
}

/// Standss differ by their start here.
fn cursor(restart: u32) -> Stands {
    serde_json::from_str(&format!(r#"{{"restart":{restart},"floor":0,"at_floor":0,"recent":[]}}"#)).unwrap()
}

fn batch(text: &str, restart: u32) -> Batch {
    Batch {
        bytes: text.as_bytes().to_owned(),
        worth: text.len() as u64,
        has_text: true,
        cursors: BTreeMap::from([("uid-1/main".to_owned(), cursor(restart))]),
    }
}

fn stands(spool: &Spool) -> Stands {
    assert_eq!(spool.cursors_of("uid-2"), BTreeMap::new());
    spool.cursors_of("uid-1").remove("main").unwrap_or_default()
}

/// All parts, and what is collected.
fn content(folder: &Path) -> String {
    let layout = Layout::under(folder);
    let parts = (1..10).map(|number| layout.log_part(&run(), "pod-1", number));
    let collected = layout.logs(&run()).join(".plx-part.pod-1.jsonl");
    parts.chain([collected]).filter_map(|path| fs::read_to_string(path).ok()).collect()
}

#[test]
fn what_was_collected_becomes_parts_that_never_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path());
    spool.publish(true).unwrap();
    spool.append(&batch("\na", 1)).unwrap();
    spool.append(&batch("\nb", 2)).unwrap();
    spool.publish(false).unwrap();
    spool.append(&batch("\nc", 3)).unwrap();
    let ours = Batch { worth: 0, ..batch("\nours", 4) };
    spool.publish(false).unwrap();
    spool.append(&ours).unwrap();
    // Nothing but our own words: that waits.
    spool.publish(false).unwrap();
    let logs = Layout::under(folder.path()).logs(&run());
    let read = |name: &str| fs::read_to_string(logs.join(name)).unwrap();
    assert_eq!((read("pod-1.jsonl"), read("pod-1.jsonl.0002")), ("\na\nb".to_owned(), "\nc".to_owned()));
    assert_eq!(read(".plx-part.pod-1.jsonl"), "\nours");
    spool.publish(true).unwrap();
    assert_eq!(read("pod-1.jsonl.0003"), "\nours");
    assert_eq!(fs::metadata(logs.join("pod-1.jsonl")).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(stands(&open(folder.path())), cursor(4));
}

#[test]
fn a_crash_anywhere_between_two_writes_loses_nothing_and_doubles_nothing() {
    // All states of the disk from a write's announcement to the next part's.
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path());
    spool.append(&batch("\nfirst", 1)).unwrap();
    let logs = Layout::under(folder.path()).logs(&run());
    let collected = logs.join(".plx-part.pod-1.jsonl");
    spool.append(&batch("\nsecond", 2)).unwrap();
    let whole = fs::read(&collected).unwrap();
    let announced = fs::read(spool.state()).unwrap();
    for length in 6..=whole.len() {
        fs::write(spool.state(), &announced).unwrap();
        fs::write(&collected, &whole[..length]).unwrap();
        let spool = open(folder.path());
        let want = if length == whole.len() { ("\nfirst\nsecond", 2) } else { ("\nfirst", 1) };
        assert_eq!((content(folder.path()).as_str(), stands(&spool)), (want.0, cursor(want.1)), "{length}");
    }
    // It has its name as a part, and that was not written down.
    fs::write(&collected, &whole).unwrap();
    fs::rename(&collected, logs.join("pod-1.jsonl")).unwrap();
    let mut spool = open(folder.path());
    assert_eq!(stands(&spool), cursor(2));
    // The next write is announced, and there is no file yet.
    let state = fs::read(spool.state()).unwrap();
    spool.append(&batch("\nthird", 3)).unwrap();
    fs::remove_file(&collected).unwrap();
    assert_ne!(fs::read(spool.state()).unwrap(), state);
    let mut spool = open(folder.path());
    assert_eq!(stands(&spool), cursor(2));
    spool.append(&batch("\nthird", 3)).unwrap();
    spool.publish(true).unwrap();
    assert_eq!(content(folder.path()), "\nfirst\nsecond\nthird");
}

#[test]
fn a_write_that_fails_has_not_happened() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path());
    // A file stands where the folder of the logs should be.
    let logs = Layout::under(folder.path()).logs(&run());
    fs::create_dir_all(logs.parent().unwrap()).unwrap();
    fs::write(&logs, "in the way").unwrap();
    assert!(spool.append(&batch("\na", 1)).is_err());
    assert_eq!(stands(&spool), Stands::default());
    fs::remove_file(&logs).unwrap();
    spool.append(&batch("\na", 1)).unwrap();
    assert_eq!((content(folder.path()).as_str(), stands(&spool)), ("\na", cursor(1)));
}

#[test]
fn what_cannot_be_read_is_begun_anew_and_overwrites_no_part() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(folder.path());
    spool.append(&batch("\na", 1)).unwrap();
    spool.publish(true).unwrap();
    fs::write(spool.state(), "{torn").unwrap();
    let mut spool = open(folder.path());
    assert_eq!(stands(&spool), Stands::default());
    spool.append(&batch("\nagain", 1)).unwrap();
    spool.publish(true).unwrap();
    assert_eq!(content(folder.path()), "\na\nagain");
}
