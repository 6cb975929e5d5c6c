//! Events as JSON lines: of each only step and time are read, whatever else a line holds and however long it is.

use serde::Deserialize;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read};

/// What one line was.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    Event {
        step: String,
        timestamp: String,
    },
    Blank,
    /// No event; `ended` when its line has an end, so that nothing more comes.
    Unreadable {
        ended: bool,
    },
}

#[derive(Deserialize)]
struct Record {
    timestamp: Value,
    #[serde(default)]
    step: Value,
}

/// Reads the next line; none when there is none.
pub(super) fn next_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = OneLine { input, bytes: 0, blank: true, ended: false };
    let parsed: Result<Record, _> = serde_json::from_reader(BufReader::with_capacity(4096, &mut line));
    // What is wrong may stand in its middle.
    io::copy(&mut line, &mut io::sink())?;
    if line.bytes == 0 && !line.ended {
        return Ok(None);
    }
    Ok(Some(match parsed {
        Ok(Record { timestamp, step }) => Line::Event { step: text(&step), timestamp: text(&timestamp) },
        Err(error) if error.is_io() => return Err(error.into()),
        Err(_) if line.blank => Line::Blank,
        Err(_) => Line::Unreadable { ended: line.ended },
    }))
}

/// A value as it would stand in a table.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        // pandas takes a column of whole floats for integers.
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// The input as far as the end of its line.
struct OneLine<'a, R> {
    input: &'a mut R,
    bytes: u64,
    blank: bool,
    ended: bool,
}

impl<R: BufRead> Read for OneLine<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ended || out.is_empty() {
            return Ok(0);
        }
        let bytes = self.input.fill_buf()?;
        let bytes = &bytes[..bytes.len().min(out.len())];
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = &bytes[..end.unwrap_or(bytes.len())];
        out[..taken.len()].copy_from_slice(taken);
        self.blank &= taken.iter().all(u8::is_ascii_whitespace);
        self.bytes += taken.len() as u64;
        self.ended = end.is_some();
        let taken = taken.len();
        self.input.consume(taken + usize::from(self.ended));
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_for_itself_however_it_is_cut_into_reads() {
        let long = "x".repeat(100_000);
        let text = format!(
            "\n{{\"timestamp\":\"t\",\"step\":1,\"html\":\"{long}\"}}\n{{\"timest\n \r\n17\n{{\"step\":1}}\n{{\"timestamp\":null,\"step\":2.0}}\n{{\"timestamp\":\"u\",\"ht"
        );
        let event = |step: &str, timestamp: &str| Line::Event {
            step: step.to_owned(),
            timestamp: timestamp.to_owned(),
        };
        let bad = |ended| Line::Unreadable { ended };
        for capacity in [1, 5, 8192] {
            let mut input = BufReader::with_capacity(capacity, text.as_bytes());
            let mut lines = Vec::new();
            while let Some(line) = next_line(&mut input).expect("memory") {
                lines.push(line);
            }
            let want = [
                Line::Blank,
                event("1", "t"),
                bad(true),
                Line::Blank,
                bad(true),
                bad(true),
                event("2", ""),
                bad(false),
            ];
            assert_eq!(lines, want, "{capacity}");
        }
    }
}
