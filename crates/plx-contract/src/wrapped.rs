//! What `plx-entry`, which runs main, leaves for the sidecar: main's output in segments, how it is started, how it ended.
//!
//! A folder holds it ([`crate::layout::Layout::wrapped_main`]):
//!
//! * [`STARTED`]: [`Started`] as JSON, locked (`flock`) as long as the program that wrote it lives, however it ends;
//! * [`ENDED`]: [`Ended`] as JSON, once main has ended and all of its output is there; removed when main is started again;
//! * `ATTEMPT-NUMBER.log`: a [`Segment`] of main's output. All but the last never change; the oldest may be removed.
//!
//! A segment is a line with how many bytes of each stream come before it, and then records: a line `STREAM NANOSECONDS LENGTH` and
//! so many bytes as main wrote them. The numbers of bytes are those that main wrote, so that a reader knows exactly what is
//! missing where something could not be written, or was removed.

use serde::{Deserialize, Serialize};

/// How main was started.
pub const STARTED: &str = "main-start.json";
/// How main ended: the marker.
pub const ENDED: &str = "main-exit.json";
/// The program, where an init container places it.
pub const PROGRAM: &str = "plx-entry";

/// The first word of a segment, and its version.
const MAGIC: &str = "plx-entry 1";
/// No line before bytes is longer.
const LONGEST: usize = 80;

/// When Kubernetes starts main again: the pod's `restartPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Restarts {
    /// Never.
    #[default]
    Never,
    /// Unless it succeeded.
    OnFailure,
    /// After every end.
    Always,
}

impl Restarts {
    /// By the name that Kubernetes has for it; none for another.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Never, Self::OnFailure, Self::Always].into_iter().find(|one| one.name() == name)
    }

    /// Kubernetes' name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Never => "Never",
            Self::OnFailure => "OnFailure",
            Self::Always => "Always",
        }
    }

    /// Whether main is started again after that exit code.
    pub fn again(self, exit_code: i64) -> bool {
        match self {
            Self::Never => false,
            Self::OnFailure => exit_code != 0,
            Self::Always => true,
        }
    }
}

/// A start of main.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Started {
    /// Counts from 1.
    pub attempt: u32,
    /// Whether others follow.
    #[serde(default)]
    pub restarts: Restarts,
}

/// An end of main.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ended {
    /// Its exit code, or 128 plus the signal's number.
    pub exit_code: i64,
    /// Kubernetes starts it again, unless the pod is being deleted.
    #[serde(default)]
    pub again: bool,
    /// Which start of it.
    #[serde(default)]
    pub attempt: u32,
    /// How many bytes it wrote to stdout and to stderr, where they were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<[u64; 2]>,
}

/// Where main wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// stdout.
    Out,
    /// stderr.
    Err,
}

impl Stream {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Out, Self::Err];

    /// Its place in a pair.
    pub fn index(self) -> usize {
        match self {
            Self::Out => 0,
            Self::Err => 1,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
        }
    }
}

/// The name of a segment; they are in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Which start of main.
    pub attempt: u32,
    /// Counts from 1 at each start.
    pub number: u32,
}

impl Segment {
    /// Its file's name.
    pub fn name(self) -> String {
        format!("{:05}-{:08}.log", self.attempt, self.number)
    }

    /// The segment that a file is; none for another file.
    ///
    /// ```
    /// use plx_contract::wrapped::Segment;
    /// let segment = Segment { attempt: 1, number: 12 };
    /// assert_eq!(Segment::of(&segment.name()), Some(segment));
    /// assert_eq!(Segment::of("main-exit.json"), None);
    /// ```
    pub fn of(name: &str) -> Option<Self> {
        let (attempt, number) = name.strip_suffix(".log")?.split_once('-')?;
        let segment = Self { attempt: attempt.parse().ok()?, number: number.parse().ok()? };
        (segment.name() == name).then_some(segment)
    }

    /// How a segment begins, when so many bytes of stdout and stderr come before it.
    pub fn header([out, err]: [u64; 2]) -> String {
        format!("{MAGIC} {out} {err}\n")
    }
}

/// What stands before the bytes of a record.
pub fn record(stream: Stream, nanoseconds: i64, length: usize) -> String {
    format!("{} {nanoseconds} {length}\n", stream.word())
}

/// What a segment holds, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// So many bytes of stdout and stderr come before it.
    Begins([u64; 2]),
    /// Bytes of a stream, and when they came. Those of one record may be given in several parts.
    Bytes(Stream, i64, &'a [u8]),
}

/// What is no segment, or no longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not what plx-entry writes")]
pub struct Broken;

/// Reads a segment that comes in pieces cut anywhere, and may end anywhere.
#[derive(Debug, Default)]
pub struct Decoder {
    /// A line that is not whole yet.
    line: Vec<u8>,
    begun: bool,
    /// The record, and how many of its bytes are to come.
    within: Option<(Stream, i64, usize)>,
}

impl Decoder {
    /// Takes bytes; `each` gets what is in them.
    ///
    /// # Errors
    /// When they cannot be part of a segment; nothing more can be read of it then.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Part<'_>)) -> Result<(), Broken> {
        while !bytes.is_empty() {
            if let Some((stream, at, left)) = self.within {
                let (now, rest) = bytes.split_at(left.min(bytes.len()));
                each(Part::Bytes(stream, at, now));
                let left = left - now.len();
                self.within = (left > 0).then_some((stream, at, left));
                bytes = rest;
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len()).min(LONGEST + 1)]);
            if self.line.len() > LONGEST {
                return Err(Broken);
            }
            let Some(end) = end else { return Ok(()) };
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            let line = std::str::from_utf8(&line).map_err(|_| Broken)?;
            if self.begun {
                let (stream, at, length) = of_record(line).ok_or(Broken)?;
                self.within = (length > 0).then_some((stream, at, length));
            } else {
                each(Part::Begins(of_header(line).ok_or(Broken)?));
                self.begun = true;
            }
        }
        Ok(())
    }
}

fn of_header(line: &str) -> Option<[u64; 2]> {
    let (out, err) = line.strip_prefix(MAGIC)?.strip_prefix(' ')?.split_once(' ')?;
    Some([out.parse().ok()?, err.parse().ok()?])
}

fn of_record(line: &str) -> Option<(Stream, i64, usize)> {
    let (word, rest) = line.split_once(' ')?;
    let (at, length) = rest.split_once(' ')?;
    let stream = Stream::BOTH.into_iter().find(|stream| stream.word() == word)?;
    Some((stream, at.parse().ok()?, length.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(segment: &[u8], cut: usize) -> Result<Vec<(Stream, i64, Vec<u8>)>, Broken> {
        let (mut decoder, mut all) = (Decoder::default(), Vec::<(Stream, i64, Vec<u8>)>::new());
        for bytes in segment.chunks(cut) {
            decoder.push(bytes, |part| match part {
                Part::Begins(before) => assert_eq!(before, [7, 8]),
                Part::Bytes(stream, at, bytes) => match all.last_mut() {
                    Some((last, then, more)) if (*last, *then) == (stream, at) => more.extend(bytes),
                    _ => all.push((stream, at, bytes.to_vec())),
                },
            })?;
        }
        Ok(all)
    }

    #[test]
    fn a_segment_may_be_cut_anywhere_and_end_anywhere() {
        let mut segment = Segment::header([7, 8]).into_bytes();
        let records: [(Stream, i64, &[u8]); 4] = [
            (Stream::Out, 1, b"out 5 7\n"),
            (Stream::Err, 2, b"\xff\n\n"),
            (Stream::Out, 3, b"x"),
            (Stream::Out, 4, b"end"),
        ];
        for (stream, at, bytes) in records {
            segment.extend(record(stream, at, bytes.len()).into_bytes());
            segment.extend(bytes);
        }
        let whole: Vec<_> = records.map(|(stream, at, bytes)| (stream, at, bytes.to_vec())).into();
        for cut in 1..=segment.len() {
            assert_eq!(decoded(&segment, cut).unwrap(), whole, "{cut}");
        }
        for length in 1..segment.len() {
            let torn: Vec<u8> =
                decoded(&segment[..length], 5).unwrap().into_iter().flat_map(|one| one.2).collect();
            let all: Vec<u8> = whole.iter().flat_map(|one| one.2.clone()).collect();
            assert!(all.starts_with(&torn), "{length}");
        }
    }

    #[test]
    fn what_is_no_segment_is_an_error() {
        for text in ["", "plx-entry 1 7 8\n"] {
            assert_eq!(decoded(text.as_bytes(), 3), Ok(vec![]), "{text}");
        }
        let long = "x".repeat(200);
        for text in
            ["hello\n", "plx-entry 2 7 8\n", "plx-entry 1 7 8\nout 1\n", "plx-entry 1 7 8\nlog 1 2\n", &long]
        {
            assert_eq!(decoded(text.as_bytes(), 50), Err(Broken), "{text}");
        }
    }

    #[test]
    fn a_marker_of_plx_pod_is_an_end_too() {
        let ended: Ended = serde_json::from_str("{\"exit_code\":3}\n").unwrap();
        assert_eq!(ended, Ended { exit_code: 3, ..Ended::default() });
    }

    #[test]
    fn main_is_started_again_as_its_policy_says() {
        let again = |name: &str| [0, 1, 143].map(|code| Restarts::named(name).unwrap().again(code));
        assert_eq!(again("Never"), [false; 3]);
        assert_eq!(again("OnFailure"), [false, true, true]);
        assert_eq!(again("Always"), [true; 3]);
        assert_eq!(Restarts::named("never"), None);
    }
}
