//! The answer to a watch: one JSON object a line, cut into chunks anywhere.

use crate::Pod;
use serde::Deserialize;
use serde_json::Value;

/// No object of Kubernetes is as long as this: etcd keeps none above a few megabytes.
const LONGEST: usize = 8 << 20;

/// Lines out of chunks.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
    /// Nothing ends before here.
    searched: usize,
}

/// A line that never ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Lines {
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), TooLong> {
        self.rest.extend_from_slice(chunk);
        if self.rest.len() > LONGEST { Err(TooLong) } else { Ok(()) }
    }

    /// The next whole line; what comes after the last one is kept until its end comes, or dropped with this.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        let Some(found) = self.rest[self.searched..].iter().position(|&byte| byte == b'\n') else {
            self.searched = self.rest.len();
            return None;
        };
        let tail = self.rest.split_off(self.searched + found + 1);
        self.searched = 0;
        let mut line = std::mem::replace(&mut self.rest, tail);
        line.pop();
        Some(line)
    }
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// It was added, or is another than it was.
    Changed(Box<Pod>),
    /// It is no more; as it was at last.
    Deleted(Box<Pod>),
    /// The watch is alive and knows all until now.
    Bookmark,
    /// The watch is over, with the code of a `Status`: 410 for a version that the server forgot.
    Error(u16),
    /// Nothing that one could read.
    Unknown,
}

impl Event {
    pub(crate) fn parse(line: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Line {
            r#type: String,
            object: Value,
        }
        let Ok(Line { r#type, object }) = serde_json::from_slice(line) else { return Self::Unknown };
        let pod = |event: fn(Box<Pod>) -> Self, object| {
            serde_json::from_value(object).map_or(Self::Unknown, |pod| event(Box::new(pod)))
        };
        match r#type.as_str() {
            "ADDED" | "MODIFIED" => pod(Self::Changed, object),
            "DELETED" => pod(Self::Deleted, object),
            "BOOKMARK" => Self::Bookmark,
            "ERROR" => {
                let code = object.get("code").and_then(Value::as_u64).and_then(|code| code.try_into().ok());
                Self::Error(code.unwrap_or_default())
            }
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        r#"{"type":"ADDED","object":{"metadata":{"uid":"ü-1"}}}"#,
        "\n",
        r#"{"type":"BOOKMARK","object":{"spec":{"containers":null}}}"#,
        "\n\n",
        r#"{"type":"ERROR","object":{"kind":"Status","code":410}}"#,
        "\n",
        r#"{"type":"DELETED","object":{}}"#,
    );

    #[test]
    fn lines_may_be_cut_anywhere() {
        for length in 1..=STREAM.len() {
            let (mut lines, mut events) = (Lines::default(), Vec::new());
            for chunk in STREAM.as_bytes().chunks(length) {
                lines.push(chunk).unwrap();
                while let Some(line) = lines.next() {
                    events.push(Event::parse(&line));
                }
            }
            let Some(Event::Changed(pod)) = events.first() else { panic!("{length}: {events:?}") };
            assert_eq!(pod.metadata.uid, "ü-1");
            // The last line has no end, and so is not whole.
            assert_eq!(events[1..], [Event::Bookmark, Event::Unknown, Event::Error(410)], "{length}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let mut lines = Lines::default();
        let pushed = (0..=8).map(|_| lines.push(&[b'x'; 1 << 20])).collect::<Vec<_>>();
        assert_eq!(pushed.last(), Some(&Err(TooLong)));
        assert_eq!(pushed.iter().filter(|pushed| pushed.is_err()).count(), 1);
    }

    #[test]
    fn what_is_no_event_is_unknown() {
        for line in ["", "{", "[]", r#"{"type":"ADDED"}"#, r#"{"type":"ADDED","object":7}"#, "\u{0}"] {
            assert_eq!(Event::parse(line.as_bytes()), Event::Unknown, "{line:?}");
        }
        assert_eq!(Event::parse(br#"{"type":"ERROR","object":{}}"#), Event::Error(0));
    }
}
