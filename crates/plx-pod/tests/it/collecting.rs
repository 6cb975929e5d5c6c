use plx_pod::collect::{LINE_LIMIT, Lines, LogFile};
use serde_json::Value;

fn lines(chunks: &[&[u8]]) -> Vec<String> {
    let mut lines = Lines::default();
    let mut found = Vec::new();
    let mut take = |line: &[u8]| found.push(String::from_utf8_lossy(line).into_owned());
    for chunk in chunks {
        lines.push(chunk, &mut take);
    }
    lines.end(&mut take);
    found
}

#[test]
fn lines_are_whole_wherever_the_stream_is_cut() {
    let text = "one\ntwo é\n\nprogress 1\rprogress 2\r\nlast".as_bytes();
    let want = ["one", "two é", "", "progress 1\rprogress 2\r", "last"];
    for size in 1..=text.len() {
        let chunks: Vec<&[u8]> = text.chunks(size).collect();
        assert_eq!(lines(&chunks), want, "chunks of {size}");
    }
    assert_eq!(lines(&[b"a\n"]), ["a"]);
    assert!(lines(&[]).is_empty());
}

#[test]
fn a_line_without_end_is_kept_in_pieces_between_characters() {
    let text = format!("x{}\nnext\n", "é".repeat(LINE_LIMIT));
    let found = lines(&text.as_bytes().chunks(70_001).collect::<Vec<_>>());
    assert_eq!(found.concat() + "\n", text.replacen("\nnext", "next", 1));
    assert!(
        found.len() > 3 && found.iter().all(|line| line.len() <= LINE_LIMIT && !line.contains('\u{fffd}'))
    );
}

#[test]
fn the_log_file_holds_whole_records_in_polyaxons_form() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("plxlogs/pod.jsonl");
    let mut log = LogFile::held(&path, "pod");
    log.line("init", b"fetched\n");
    assert!(!path.exists(), "the default init may still fetch an earlier file");
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(&path, "\n{\"earlier\":1}").expect("fetched");
    log.release();
    log.line("polyaxon-main", b"  bad \xff byte \r");
    log.line("polyaxon-main", b" \t\r");
    let text = std::fs::read_to_string(&path).expect("a log");
    let records: Vec<Value> =
        text.lines().skip(1).map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(text.starts_with('\n') && !text.ends_with('\n'));
    assert_eq!(records.len(), 3);
    assert_eq!((&records[1]["container"], &records[1]["value"]), (&"init".into(), &"fetched".into()));
    assert_eq!((&records[2]["pod"], &records[2]["value"]), (&"pod".into(), &"  bad \u{fffd} byte".into()));
}
