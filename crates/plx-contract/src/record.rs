//! The lines and bodies that Polyaxon reads back.

use chrono::{DateTime, SecondsFormat, TimeZone, Timelike};
use serde::Serialize;
use std::fmt::Display;

/// One line of `plxlogs/POD.jsonl` (`traceml/logging/schemas.py`, `V1Log`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine<'a> {
    /// When it was written, ISO-8601.
    pub timestamp: &'a str,
    /// Node of the pod, left out when unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'a str>,
    /// The pod.
    pub pod: &'a str,
    /// The container.
    pub container: &'a str,
    /// The text, without its line end.
    pub value: &'a str,
}

impl LogLine<'_> {
    /// The record as it is appended: a newline, then one compact JSON object. The file therefore begins with an empty
    /// line and has no final newline, and an append is always whole lines.
    pub fn to_record(&self) -> String {
        let json = serde_json::to_string(self).expect("five strings always serialise");
        format!("\n{json}")
    }
}

/// A time as Python's `isoformat()` writes it: with its offset as `+00:00`, six digits of fraction or none.
pub fn isoformat<Z: TimeZone>(time: DateTime<Z>) -> String
where
    Z::Offset: Display,
{
    let fraction = if time.nanosecond() / 1000 == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    time.to_rfc3339_opts(fraction, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;

    #[test]
    fn a_record_is_polyaxons_to_the_byte() {
        let time = Utc.with_ymd_and_hms(2024, 5, 6, 7, 8, 9).single().expect("a time");
        let at = isoformat(time + chrono::Duration::microseconds(123_456));
        let line = LogLine {
            timestamp: &at,
            node: Some("node-1"),
            pod: "plx-operation-abc-x7z",
            container: "polyaxon-main",
            value: "unicode é世界 \u{1b}[0m \"q\"",
        };
        assert_eq!(
            line.to_record(),
            "\n{\"timestamp\":\"2024-05-06T07:08:09.123456+00:00\",\"node\":\"node-1\",\"pod\":\"plx-operation-abc-x7z\",\
             \"container\":\"polyaxon-main\",\"value\":\"unicode é世界 \\u001b[0m \\\"q\\\"\"}"
        );
        assert_eq!(isoformat(time), "2024-05-06T07:08:09+00:00");
    }
}
