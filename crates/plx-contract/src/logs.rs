//! Lines of a container's log as the kubelet sends them, and what Polyaxon's reader makes of their text.

use chrono::{DateTime, FixedOffset, NaiveDateTime, SecondsFormat, Utc};

/// When a line was written, with the offset it came with.
pub type Time = DateTime<FixedOffset>;

/// A line, apart from the time that the kubelet wrote before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// None when the line does not begin with a time.
    pub time: Option<Time>,
    /// The rest, without space at its end; what is not UTF-8 is replaced.
    pub text: String,
}

impl Stamped {
    /// Takes a line without its line end.
    ///
    /// The time is what stands before the first space, and nothing else: a time in the middle of the text is the user's.
    /// One space belongs to the time, further ones to the text.
    pub fn of(line: &[u8]) -> Self {
        let line = String::from_utf8_lossy(line);
        let (first, rest) = line.split_once(' ').unwrap_or((&line, ""));
        if let Some(time) = instant(first.trim_end()) {
            return Self { time: Some(time), text: rest.trim_end().to_owned() };
        }
        if let Some((time, rest)) = with_spaces(&line) {
            return Self { time: Some(time), text: rest.trim_end().to_owned() };
        }
        Self { time: None, text: line.trim().to_owned() }
    }
}

/// RFC 3339, with a second 60 as the first of the next minute: Polyaxon's reader refuses the other spelling.
fn instant(text: &str) -> Option<Time> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    let over = time.timestamp_subsec_nanos().checked_sub(1_000_000_000);
    let Some(over) = over else { return Some(time) };
    let next = DateTime::from_timestamp(time.timestamp() + 1, over)?;
    Some(next.with_timezone(time.offset()))
}

/// `2024-05-06 07:08:21 UTC text`, which the reference takes too.
fn with_spaces(line: &str) -> Option<(Time, &str)> {
    let line = line.trim_start();
    let at = line.match_indices(' ').nth(1)?.0;
    let time = NaiveDateTime::parse_from_str(&line[..at], "%Y-%m-%d %H:%M:%S").ok()?;
    let rest = line[at + 1..].strip_prefix("UTC")?;
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(' ')? };
    Some((time.and_utc().fixed_offset(), rest))
}

/// A time as one number, to compare with others of the same clock. Those beyond the year 2262 are all the last one.
pub fn nanoseconds(time: &Time) -> i64 {
    time.timestamp_nanos_opt().unwrap_or(i64::MAX)
}

/// A number of [`nanoseconds`] as the API takes it, in whole seconds: none of what came then is later.
pub fn since(nanoseconds: i64) -> String {
    let time: DateTime<Utc> = DateTime::from_timestamp_nanos(nanoseconds);
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Whether Python could read it as a number. Polyaxon's reader turns a file's values into numbers when all of them are.
///
/// Says so of more than numbers: everything without a letter that no number, `nan` or `infinity` has.
pub fn may_be_number(value: &str) -> bool {
    !value.chars().any(|c| c.is_alphabetic() && !"aefintyAEFINTY".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{LogLine, isoformat};
    use serde_json::Value;

    /// Where we differ from the reference on purpose: its line, and the end of our record.
    const DIFFERENCES: [(&str, &str); 2] = [
        // A time within the text is the user's.
        (
            "2024-05-06T07:08:14.1Z user log has its own date 2020-01-02T03:04:05Z inside",
            r#""value":"user log has its own date 2020-01-02T03:04:05Z inside"}"#,
        ),
        // A second 60 is no reason to lose a line, nor all that follow; the reference raises.
        ("2024-05-06T07:08:60Z leap second", r#""value":"leap second"}"#),
    ];

    fn record(line: &str) -> String {
        let Stamped { time, text } = Stamped::of(line.as_bytes());
        let now = DateTime::parse_from_rfc3339("2024-05-06T12:00:00Z").unwrap();
        LogLine {
            timestamp: &isoformat(time.unwrap_or(now)),
            node: Some("node-1"),
            pod: "plx-operation-abc-x7z",
            container: "polyaxon-main",
            value: &text,
        }
        .to_record()
    }

    #[test]
    fn lines_become_the_records_of_the_reference() {
        let fixture: Value = serde_json::from_str(include_str!("../tests/fixtures/logs/lines.json")).unwrap();
        let lines = fixture["lines"].as_array().unwrap();
        assert_eq!(lines.len(), 17);
        let sample: Vec<&str> = include_str!("../tests/fixtures/logs/sample.jsonl").trim().lines().collect();
        let mut in_sample = 0;
        for case in lines {
            let line = case["line"].as_str().unwrap();
            let record = record(line);
            if let Some((_, end)) = DIFFERENCES.iter().find(|(of, _)| *of == line) {
                assert!(record.ends_with(end), "{record}");
                continue;
            }
            assert_eq!(record, format!("\n{}", case["json"].as_str().unwrap()), "{line}");
            assert_eq!(record.ends_with(r#""value":""}"#), case["dropped_when_empty"] == true, "{line}");
            in_sample += usize::from(sample.contains(&record.trim_start()));
        }
        // All but the one that differs.
        assert_eq!(in_sample, sample.len() - 1);
    }

    #[test]
    fn a_second_60_is_the_next_minute() {
        let time = Stamped::of(b"2024-05-06T07:08:60.25Z x").time.unwrap();
        assert_eq!(isoformat(time), "2024-05-06T07:09:00.250000+00:00");
    }

    #[test]
    fn what_is_not_utf8_is_replaced_and_what_is_no_time_stays() {
        let line = Stamped::of(b"2024-05-06T07:08:09Z a\xffb\x00");
        assert_eq!(line.text, "a\u{fffd}b\0");
        for text in
            ["", "é", "2024-13-06T07:08:09Z x", "2024-05-06 07:08:21 UTCx y", "2024-05-06 7", "a b c d"]
        {
            assert_eq!(Stamped::of(text.as_bytes()), Stamped { time: None, text: text.to_owned() });
        }
    }

    #[test]
    fn times_compare_by_nanoseconds_and_are_asked_for_by_seconds() {
        let at = |line: &str| nanoseconds(&Stamped::of(line.as_bytes()).time.unwrap());
        assert_eq!(at("2024-05-06T07:08:09.000000002Z") - at("2024-05-06T09:08:09.000000001+02:00"), 1);
        assert_eq!(since(at("2024-05-06T07:08:09.999999999Z")), "2024-05-06T07:08:09Z");
    }

    #[test]
    fn what_python_reads_as_a_number_is_known() {
        for number in ["007", "1.0", "-1e-7", " 12 ", "1_000", "nan", "+Infinity", "٣", "", "2024-01-01"] {
            assert!(may_be_number(number), "{number}");
        }
        for text in ["x", "0x1f", "epoch 1", "07:08h", "true", "é"] {
            assert!(!may_be_number(text), "{text}");
        }
    }
}
