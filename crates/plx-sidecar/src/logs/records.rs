//! Lines as the records that Polyaxon reads.

use chrono::{DateTime, Utc};
use plx_contract::logs::may_be_number;
use plx_contract::record::{LogLine, isoformat};
use plx_kube::log::{Kind, Line};

/// Before a piece that goes on with the line of the record before it.
const CONTINUED: &str = "[continued] ";
/// Before words of ours.
const NOTE: &str = "[plx-sidecar] ";
/// Polyaxon's reader makes numbers of a file's values when all of them could be some: `007` would be 7.
const NO_NUMBERS: &str = "[plx-sidecar] the lines of this file are text";

/// What all records of a pod have in common.
#[derive(Debug, Clone)]
pub(super) struct Records {
    pub pod: String,
    pub node: Option<String>,
}

impl Records {
    /// A line as it is appended.
    pub(super) fn of(&self, container: &str, line: &Line, now: DateTime<Utc>) -> Record {
        let value = match line.kind {
            Kind::Text => line.text.clone(),
            Kind::Continued => format!("{CONTINUED}{}", line.text),
            Kind::Note => format!("{NOTE}{}", line.text),
        };
        let timestamp = line.time.map_or_else(|| isoformat(now), isoformat);
        Record {
            text: self.record(container, &timestamp, &value),
            is_text: !may_be_number(&value),
            timestamp,
        }
    }

    /// The record that keeps those that follow it from becoming numbers.
    pub(super) fn no_numbers(&self, container: &str, timestamp: &str) -> String {
        self.record(container, timestamp, NO_NUMBERS)
    }

    fn record(&self, container: &str, timestamp: &str, value: &str) -> String {
        LogLine { timestamp, node: self.node.as_deref(), pod: &self.pod, container, value }.to_record()
    }
}

/// A record, and whether it cannot be taken for a number.
pub(super) struct Record {
    pub text: String,
    pub is_text: bool,
    pub timestamp: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_record() {
        let records = Records { pod: "p".to_owned(), node: None };
        let time = DateTime::parse_from_rfc3339("2024-05-06T07:08:09.5Z").unwrap();
        let of = |text: &str, time, kind| {
            let record = records.of("c", &Line { time, text: text.to_owned(), kind }, DateTime::UNIX_EPOCH);
            (record.text, record.is_text)
        };
        let want = |timestamp: &str, value: &str| {
            format!(
                "\n{{\"timestamp\":\"{timestamp}\",\"pod\":\"p\",\"container\":\"c\",\"value\":\"{value}\"}}"
            )
        };
        let (half, now) = ("2024-05-06T07:08:09.500000+00:00", "1970-01-01T00:00:00+00:00");
        assert_eq!(of("007", Some(time), Kind::Text), (want(half, "007"), false));
        assert_eq!(of("x", Some(time), Kind::Continued), (want(half, "[continued] x"), true));
        assert_eq!(of("gone", None, Kind::Note), (want(now, "[plx-sidecar] gone"), true));
        assert!(!may_be_number(NO_NUMBERS));
    }
}
