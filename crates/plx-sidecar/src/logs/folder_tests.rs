use super::*;
use plx_contract::wrapped::{ENDED, Ended, record};
use std::io::Write;
use tempfile::TempDir;

/// What plx-entry writes, of attempt 1 unless said.
struct Folder(TempDir, [u64; 2]);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap(), [0; 2])
    }

    fn append(&self, attempt: u32, number: u32, bytes: &[u8]) {
        let path = self.0.path().join(Segment { attempt, number }.name());
        File::options().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
    }

    fn begin(&self, attempt: u32, number: u32) {
        self.append(attempt, number, Segment::header(self.1).as_bytes());
    }

    fn out(&mut self, number: u32, text: &[u8]) {
        self.write(number, Stream::Out, text);
    }

    fn write(&mut self, number: u32, stream: Stream, text: &[u8]) {
        self.1[stream.index()] += text.len() as u64;
        self.append(1, number, &[record(stream, 1_000_000_000, text.len()).as_bytes(), text].concat());
    }

    fn ended(&self, attempt: u32, written: [u64; 2]) {
        let ended = Ended { exit_code: 0, again: false, attempt, written: Some(written) };
        fs::write(self.0.path().join(ENDED), serde_json::to_vec(&ended).unwrap()).unwrap();
    }

    fn reader(&self, position: Position) -> Reader {
        Reader::new(self.0.path().to_owned(), position)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.reader(Position::default()).segments().unwrap().into_iter().map(Segment::name).collect();
        names.sort();
        names
    }
}

/// All there is now.
fn all(reader: &mut Reader) -> (Vec<String>, Found) {
    let mut lines = Vec::new();
    let found = loop {
        match reader.step(&mut lines).unwrap() {
            Found::More => {}
            found => break found,
        }
    };
    let text = |line: Line| match line.kind {
        Kind::Text => line.text,
        Kind::Continued => format!("+{}", line.text),
        Kind::Note => format!("({})", line.text.split(" of main's").next().unwrap()),
    };
    (lines.into_iter().map(text).collect(), found)
}

#[test]
fn lines_of_two_streams_come_whole_and_a_last_one_without_its_end_at_mains_end() {
    let mut folder = Folder::new();
    let mut reader = folder.reader(Position::default());
    assert_eq!(all(&mut reader), (vec![], Found::Idle), "init has not made it yet");
    folder.begin(1, 1);
    folder.out(1, b"one\ntw");
    folder.write(1, Stream::Err, b"err  \r\n\n\xff");
    assert_eq!(all(&mut reader).0, ["one", "err"]);
    folder.out(1, b"o\nno end");
    assert_eq!(all(&mut reader).0, ["two"]);
    folder.ended(1, folder.1);
    assert_eq!(all(&mut reader), (vec!["no end".to_owned(), "\u{fffd}".to_owned()], Found::All));
    assert_eq!(all(&mut reader), (vec![], Found::All));
}

#[test]
fn a_sidecar_that_is_killed_after_any_step_repeats_and_loses_no_line() {
    let mut folder = Folder::new();
    let mut wanted = Vec::new();
    for number in 1..=4 {
        folder.begin(1, number);
        for line in 0..30 {
            // Cut anywhere, in segments too.
            let text = format!("{number} {line} {}\n", "x".repeat(line * 17));
            let (first, second) = text.split_at(text.len() / 2);
            let err = format!("err {text}");
            folder.out(number, first.as_bytes());
            folder.write(number, Stream::Err, err.as_bytes());
            folder.out(number, second.as_bytes());
            wanted.extend([err.trim_end().to_owned(), text.trim_end().to_owned()]);
        }
    }
    let long = "y".repeat(plx_kube::log::PIECE + 1000);
    folder.out(4, long.as_bytes());
    folder.ended(1, folder.1);
    for buffer in [1000, 4096, CHUNK] {
        let (mut position, mut lines, mut found) = (Position::default(), Vec::new(), Found::More);
        while found != Found::All {
            // What one knew is lost with each step, but the position.
            let mut reader = folder.reader(position);
            reader.buffer = vec![0; buffer];
            while found == Found::More && reader.position() == position {
                found = reader.step(&mut lines).unwrap();
            }
            position = serde_json::from_value(serde_json::to_value(reader.position()).unwrap()).unwrap();
            found = if found == Found::All { found } else { Found::More };
        }
        let long: Vec<Line> = lines.split_off(wanted.len());
        assert_eq!(lines.into_iter().map(|line| line.text).collect::<Vec<_>>(), wanted, "{buffer}");
        assert_eq!(long.iter().map(|line| line.text.len()).sum::<usize>(), plx_kube::log::PIECE + 1000);
        assert_eq!(long.iter().map(|line| line.kind).collect::<Vec<_>>(), [Kind::Text, Kind::Continued]);
    }
}

#[test]
fn a_segment_goes_when_its_lines_are_on_disk_and_the_last_one_stays() {
    let mut folder = Folder::new();
    folder.begin(1, 1);
    folder.out(1, b"one\nbegins");
    folder.begin(1, 2);
    folder.out(2, b" and ends\n");
    let mut reader = folder.reader(Position::default());
    let mut lines = Vec::new();
    while lines.is_empty() {
        reader.step(&mut lines).unwrap();
    }
    let early = reader.position();
    assert_eq!(all(&mut reader).0, ["begins and ends"]);
    reader.remove(&early);
    assert_eq!(folder.names().len(), 2, "half a line of it is not taken");
    reader.remove(&reader.position());
    assert_eq!(folder.names(), ["00001-00000002.log"]);
    folder.out(2, b"more\n");
    assert_eq!(all(&mut reader).0, ["more"]);
}

#[test]
fn what_is_missing_is_said_to_the_byte() {
    let mut folder = Folder::new();
    folder.begin(1, 1);
    folder.out(1, b"one\ntwo is to");
    let mut reader = folder.reader(Position::default());
    assert_eq!(all(&mut reader).0, ["one"]);
    // Half of a record, and then the disk was full for a while.
    folder.append(1, 1, b"out 1000000000 50\nrn apart");
    folder.1[0] += 50 + 1000;
    folder.begin(1, 2);
    folder.out(2, b"on\n");
    let said = ["two is torn apart", "(1042 bytes)", "on"];
    assert_eq!(all(&mut reader).0, said);
    // At the end nothing could be written at all.
    folder.ended(1, [folder.1[0] + 7, 3]);
    assert_eq!(all(&mut reader), (vec!["(7 bytes)".to_owned(), "(3 bytes)".to_owned()], Found::All));
    assert_eq!(all(&mut reader), (vec![], Found::All), "once");
    assert_eq!(
        all(&mut folder.reader(reader.position())),
        (vec![], Found::All),
        "by whoever comes next neither"
    );
}

#[test]
fn what_is_no_segment_costs_no_other() {
    let mut folder = Folder::new();
    folder.begin(1, 1);
    folder.out(1, b"one\n");
    folder.append(1, 1, b"rubbish rubbish\n");
    folder.append(1, 2, b"");
    folder.begin(1, 3);
    folder.out(3, b"three\n");
    assert_eq!(all(&mut folder.reader(Position::default())).0, ["one", "three"]);
}

#[test]
fn a_start_of_main_ends_the_lines_of_the_one_before() {
    let mut folder = Folder::new();
    folder.begin(1, 1);
    folder.out(1, b"first\nkilled");
    let mut reader = folder.reader(Position::default());
    assert_eq!(all(&mut reader).0, ["first"]);
    folder.append(2, 1, Segment::header([0; 2]).as_bytes());
    folder.append(2, 1, b"out 1000000000 7\nsecond\n");
    assert_eq!(all(&mut reader).0, ["killed", "second"]);
    reader.remove(&reader.position());
    assert_eq!(folder.names(), ["00002-00000001.log"]);
    // The third could keep nothing.
    folder.ended(3, [12, 0]);
    assert_eq!(all(&mut reader), (vec!["(12 bytes)".to_owned()], Found::All));
}
